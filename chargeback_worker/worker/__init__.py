"""The worker: its roles, each a thread, and what starts, watches and ends them.

Owns: the loop that consumes the usage topic, the poke that closes due periods, the publishing of
the outbox, heartbeats, health, signals and logs. Does not own: any decision about usage or money;
a role reads what is there, calls one step of `pipeline` and counts what it did.

Invariants: a role that ends unasked ends the process with an exit code other than 0; after any
rollback every partition of the batch is put back to its stored position; nothing is quarantined
because a database or broker did not answer.
"""
