"""Interleavings: real workers, closers and publishers run one at a time, as a seed draws it.

Each actor is a thread, and exactly one of them runs. It holds the baton, and where it says so (a
transaction begins, a statement, a commit, a poll, a send, a wait) one seeded generator draws
who goes on; so a seed replays exactly. Nothing here knows what is right: the actors run the code of
`worker/` and `pipeline/`, and `oracle` holds the end against a truth that was written before.

* `baton` hands over, and keeps the simulated time: a step takes a little of it, a wait ends by it,
  and when nobody can go on it leaps to the next moment at which somebody can.
* `world` is one history: its clocks, its weather (leaps of clocks, kills, sleepers, rebalances, a
  broker that is away), what was counted. Who rests leaves the steps to others, so that most are
  taken where something happens. In the end it is calm, and all must come to rest.
* `database` wraps a store and its dialect: the clock that leases are kept on is ours, and
  transactions are lost before their COMMIT, or after it without anybody hearing of it.
* `locks` says who waits for whose lock. SQLite has one writer: whoever would wait for the file
  is not runnable, for thirty simulated seconds at most. PostgreSQL is let wait: whose statement
  the server says is blocked by another session puts down the baton, and takes part again once the
  statement has ended. It is asked after each end of a transaction, so that its answer, and no
  timer, decides. Reading transactions see one snapshot and wait for nobody: they are one step.
* `topics` is the broker in memory with waits, kills and failing sends; `actors` are the roles.
* `planted` faults are in `tests/planted/interleaved.py`.

Run: `python -m tests.interleaving --seeds 1000`, or `make simulate-faults SEEDS=1000`.
"""
