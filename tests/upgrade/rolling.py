"""Old and new workers on one database: rolled on, and back, while usage flows.

The old release makes the database and works; the new one upgrades it meanwhile, and takes the
workers' places one after the other; then the old one comes back, on the new schema. Each closes a
month, and both publish what is closed.
"""

import signal
from pathlib import Path
from uuid import uuid4

from chargeback_worker.reports.verify import verify
from chargeback_worker.store import outbox, schema
from tests.faults.billed import read_topic, wrongly_told
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground, Scene, mismatches, scene, until
from tests.faults.worker import Worker

_PUBLISH = ("chargeback_worker", "run", "--role", "publisher")
_STEP = 500
"""So many more events, and the workers have shown that they work."""


def rolling(ground: Ground, pace: Pace, old: Path, *, sqlite: bool = False) -> Figures:
    """On SQLite, which bears one worker, each takes over when the one before has ended."""
    topic = f"invoices-{uuid4().hex[:12]}"
    settings = {"CHARGEBACK_KAFKA__INVOICES_TOPIC": topic}
    with scene(ground, pace, sqlite=sqlite, settings=settings) as given:
        given.broker.create_topic(topic, 1)
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
        # What each of the two closes and bills, both recompute, and either publishes.
        wrong += _close(given, "2026-04", old, [None] if sqlite else [old, None])
        wrong += _close(given, "2026-05", None, [old] if sqlite else [old, None])
        told = read_topic(given.broker, topic)
        with given.store.read() as transaction:
            wrong += wrongly_told(transaction, told, ())
        given.command("verify", release=old)
        where = "SQLite" if sqlite else "PostgreSQL"
        what = f"{old.name} with schema {was} rolled to {_schema(given)} and back, {where}"
        detail = f"{len(told)} messages told, in order."
        return Figures(what, given.flow.expected.events, len(names) + 1, wrong, detail)


def _close(
    given: Scene, month: str, closer: Path | None, publishers: list[Path | None]
) -> list[str]:
    """Close a month by one release while publishers of those releases run, until nothing waits;
    what is wrong with the books then."""
    running = [
        given.worker(f"publisher-{number}", arguments=_PUBLISH, member=False, release=release)
        for number, release in enumerate(publishers)
    ]
    for worker in running:
        # Before that it has no say in how it ends.
        assert worker.wait_for("started"), worker.last_words
    given.command("close", month, release=closer)
    until(lambda: not _waiting(given), f"{month} is published")
    for worker in running:
        worker.signal(signal.SIGTERM)
    for worker in running:
        assert worker.ended() == 0, worker.last_words
    return [str(one) for one in verify(given.store).mismatches]


def _waiting(given: Scene) -> int:
    with given.store.read() as transaction:
        return outbox.backlog(transaction).messages


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
