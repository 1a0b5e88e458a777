"""One batch is written while the next is gathered: whatever happens meanwhile, each event counts
once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.broker.memory_group import MemoryConsumer
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline import ingest
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import Ingest, MaxRefused, Settings
from chargeback_worker.store import Store, cursors
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.dialects.sqlite_errors import DatabaseUnusable
from chargeback_worker.usage.event import Grain, Reader
from chargeback_worker.worker.background import Background
from chargeback_worker.worker.consumer import Session, UsageConsumer
from chargeback_worker.worker.lifecycle import BackOff

TOPIC = "usage-events"
PLACE = TopicPartition(TOPIC, 0)
NOW_US = 1_800_000_000_000_000


class Later:
    """A background that does its job when it is let, or when its result is waited for."""

    def __init__(self) -> None:
        self._job: Callable[[], Any] | None = None
        self._let = False

    def start(self, job: Callable[[], Any]) -> None:
        assert self._job is None
        self._job = job

    def let(self) -> None:
        self._let = True

    def done(self) -> bool:
        return self._let

    def result(self) -> Any:
        job, self._job, self._let = self._job, None, False
        assert job is not None
        return job()


class Rig:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, 2)
        self.laters: list[Later] = []
        self.settings = Settings(ingest=Ingest(batch_events=8, max_refused=MaxRefused(run=3)))
        self.beats = 0
        self._sent = 0

    def _beat(self, waits_for: str | None = None) -> None:
        self.beats += 1

    def session(self) -> tuple[Session, MemoryConsumer]:
        role = UsageConsumer(
            self.store,
            self.broker,
            self.settings,
            Reader(Grain("UTC")),
            Metrics("test"),
            lambda: NOW_US,
            self._later,
        )
        consumer = self.broker.consumer("chargeback")
        session = Session(role, consumer, self._beat, BackOff())
        consumer.subscribe(TOPIC, session)
        return session, consumer

    def _later(self) -> Later:
        self.laters.append(Later())
        return self.laters[-1]

    def let(self) -> None:
        for later in self.laters:
            later.let()

    def put(self, count: int) -> None:
        for _ in range(count):
            self._sent += 1
            self.broker.put(TOPIC, _event(self._sent), partition=0)

    def drain(self, session: Session) -> None:
        """Until what is on the topic is stored, or nothing moves any more."""
        for _ in range(20):
            self.let()
            session.turn()

    @property
    def tally(self) -> Tally:
        with self.store.read() as transaction:
            found = cursors.listed(transaction, Door.TOPIC)
        return sum((cursor.tally for cursor in found), Tally())


def _event(number: int) -> bytes:
    return (
        b'{"usage_id":"%d","timestamp":"2026-10-01T12:00:00Z","team_id":"A","cost_usd":1}' % number
    )


@pytest.fixture
def rig(ready_url: str) -> Iterator[Rig]:
    store = Store(ready_url)
    yield Rig(store)
    assert verify(store).mismatches == ()
    store.close()


def _busy(rig: Rig) -> tuple[Session, MemoryConsumer]:
    """A session that has two events under way to the database, and two gathered behind them."""
    session, consumer = rig.session()
    session.turn()
    rig.put(2)
    session.turn()
    rig.put(2)
    session.turn()
    assert rig.tally == Tally()
    return session, consumer


def test_what_is_gathered_meanwhile_is_written_next(rig: Rig) -> None:
    session, _ = _busy(rig)
    rig.let()
    session.turn()
    assert rig.tally == Tally(accepted=2)
    assert session.positions.stored[PLACE] == 2
    rig.put(3)
    rig.drain(session)
    assert rig.tally == Tally(accepted=7)


def test_each_batch_that_ends_is_a_beat_also_where_the_next_one_is_begun_at_once(rig: Rig) -> None:
    session, _ = _busy(rig)
    before = rig.beats
    for ended in range(1, 4):
        rig.put(2)
        rig.let()
        session.turn()
        assert rig.beats == before + ended
    # A database that never answers must be seen by who watches the beats.
    session.turn()
    assert rig.beats == before + 3
    rig.drain(session)


def test_a_full_batch_waits_for_the_one_before_it(rig: Rig) -> None:
    session, _ = _busy(rig)
    rig.put(6)
    session.turn()
    assert rig.tally == Tally(accepted=2)
    rig.drain(session)
    assert rig.tally == Tally(accepted=10)


def test_where_a_batch_is_not_written_what_was_gathered_behind_it_is_read_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, _ = _busy(rig)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _unavailable)
        rig.let()
        session.turn()
    assert session.positions.waiting
    rig.drain(session)
    assert rig.tally == Tally(accepted=4)


def test_where_another_worker_owns_the_partition_what_was_gathered_is_dropped(rig: Rig) -> None:
    session, _ = _busy(rig)
    with rig.store.begin() as transaction:
        cursor = next(c for c in cursors.listed(transaction, Door.TOPIC) if c.partition == 0)
        cursors.advance(
            transaction, cursor.cursor_id, Tally(skipped=1), expected=0, new=1, now_us=NOW_US
        )
    rig.drain(session)
    assert rig.tally == Tally(accepted=3, skipped=1)


def test_a_rebalance_lets_the_batch_end_before_anybody_reads_positions(rig: Rig) -> None:
    session, consumer = _busy(rig)
    joined, _ = rig.session()
    for _ in range(3):
        session.turn()
        joined.turn()
    assert rig.tally.accepted >= 2
    consumer.evict()
    rig.drain(joined)
    rig.drain(joined)
    assert rig.tally == Tally(accepted=4)


def test_a_burst_stops_the_partition_after_what_came_before_it_with_its_reason(rig: Rig) -> None:
    session, _ = _busy(rig)
    for _ in range(3):
        rig.broker.put(TOPIC, b"{broken", partition=0)
    session.turn()
    assert "3 events in a row" in session.positions.stopped[PLACE]
    with rig.store.read() as transaction:
        cursor = next(c for c in cursors.listed(transaction, Door.TOPIC) if c.partition == 0)
    # What had been gathered and not written is read again by whoever goes on.
    assert cursor.next_position == 2
    assert "3 events in a row" in str(cursor.stopped)


def test_a_session_that_ends_lets_the_batch_end_and_leaves_the_rest(rig: Rig) -> None:
    session, consumer = _busy(rig)
    session.end()
    session.abandon()
    assert rig.tally == Tally(accepted=2)
    consumer.evict()
    after, _ = rig.session()
    rig.drain(after)
    assert rig.tally == Tally(accepted=4)


def test_a_background_gives_back_what_its_job_returned_or_raised() -> None:
    background: Background[int] = Background("test")
    background.start(lambda: 1)
    assert background.result() == 1
    assert not background.done()
    background.start(lambda: int("x"))
    with pytest.raises(ValueError, match="invalid literal"):
        background.result()


def _unavailable(*_arguments: object, **_more: object) -> object:
    raise DatabaseUnusable("books", "it is away")
