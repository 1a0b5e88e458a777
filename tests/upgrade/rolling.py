"""Old and new workers on one database: rolled on, and back, while usage flows.

The old release makes the database and works; the new one upgrades it meanwhile, and takes the
workers' places one after the other; then the old one comes back, on the new schema, and closes.
"""

import signal
from pathlib import Path

from chargeback_worker.reports.verify import verify
from chargeback_worker.store import schema
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground, Scene, mismatches, scene, until
from tests.faults.worker import Worker

_STEP = 500
"""So many more events, and the workers have shown that they work."""


def rolling(ground: Ground, pace: Pace, old: Path, *, sqlite: bool = False) -> Figures:
    """On SQLite, which bears one worker, each takes over when the one before has ended."""
    with scene(ground, pace, sqlite=sqlite) as given:
        given.command("db", "upgrade", release=old)
        names = ["worker-0"] if sqlite else ["worker-0", "worker-1"]
        workers = [given.worker(name, release=old) for name in names]
        given.flow.start()
        _goes_on(given, workers, "the old release works")
        was = _schema(given)
        given.command("db", "upgrade")
        assert _schema(given) != was, "there is nothing to upgrade"
        _goes_on(given, workers, "the old release works on, on the new schema")
        for number, name in enumerate(names):
            workers[number] = _in_place_of(given, workers[number], name, None)
            _goes_on(given, workers, "the new release works, beside the old one where both may")
        # The first goes back: on PostgreSQL the two work side by side to the end.
        workers[0] = _in_place_of(given, workers[0], names[0], old)
        _goes_on(given, workers, "the old release works again")
        given.drain(workers)
        wrong = mismatches(given.store, given.flow.expected)
        given.command("verify", release=old)
        # What each of the two closes and bills, both recompute.
        given.command("close", "2026-04", release=old)
        wrong += [str(one) for one in verify(given.store).mismatches]
        given.command("close", "2026-05")
        wrong += [str(one) for one in verify(given.store).mismatches]
        given.command("verify", release=old)
        where = "SQLite" if sqlite else "PostgreSQL"
        what = f"{old.name} with schema {was} rolled to {_schema(given)} and back, {where}"
        return Figures(what, given.flow.expected.events, len(names) + 1, wrong)


def _schema(given: Scene) -> str:
    with given.store.read() as transaction:
        return schema.version(transaction).found or "none"


def _goes_on(given: Scene, workers: list[Worker], what: str) -> None:
    """All of them are there, and more is counted than before."""
    for worker in workers:
        assert worker.wait_for("first_commit"), f"{what}: {worker.last_words}"
    before = given.tally().consumed
    wanted = min(before + _STEP, given.flow.pace.events)
    until(lambda: given.tally().consumed >= wanted, what)
    for worker in workers:
        assert worker.running, f"{what}: {worker.last_words}"


def _in_place_of(given: Scene, before: Worker, name: str, release: Path | None) -> Worker:
    """The same member of the group, of another release."""
    before.signal(signal.SIGTERM)
    assert before.ended() == 0, before.last_words
    return given.worker(name, release=release)
