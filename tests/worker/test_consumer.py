"""The ingest role, turn by turn, on a broker in memory and both stores."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import ConsumerBroken, UndecodableBatch
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.broker.memory_group import MemoryConsumer
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline import ingest, offsets
from chargeback_worker.settings import Ingest, Kafka, MaxRefused, Settings
from chargeback_worker.store import Store, cursors, schema, totals
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Cursor, Door
from chargeback_worker.store.dialects.sqlite_errors import DatabaseUnusable
from chargeback_worker.usage.event import Grain, Reader
from chargeback_worker.worker import silence
from chargeback_worker.worker.consumer import Session, UsageConsumer
from chargeback_worker.worker.lag import Ends
from chargeback_worker.worker.lifecycle import BackOff
from tests.support.at_once import AtOnce
from tests.support.sites import subscribed

TOPIC = "usage-events"
NOW_US = 1_800_000_000_000_000
ACT = Act("tester", NOW_US, "because")


@dataclass
class Rig:
    store: Store
    broker: MemoryBroker
    settings: Settings = field(default_factory=Settings)
    metrics: Metrics = field(default_factory=lambda: Metrics("test"))
    ended: MemoryConsumer | None = None

    def role(self) -> UsageConsumer:
        return UsageConsumer(
            self.store,
            self.broker,
            self.settings,
            Reader(Grain("UTC")),
            self.metrics,
            lambda: NOW_US,
            AtOnce,
        )

    def session(self, role: UsageConsumer | None = None) -> Session:
        """The session of a new worker; the one before it has ended."""
        if self.ended is not None:
            self.ended.evict()
        consumer = self.ended = self.broker.consumer("chargeback")
        session = Session(role or self.role(), consumer, lambda waits_for=None: None, BackOff())
        consumer.subscribe(TOPIC, session)
        return session

    def put(self, *ids: int, partition: int = 0) -> None:
        for number in ids:
            self.broker.put(TOPIC, _event(number), partition=partition)

    def cursor(self, partition: int = 0) -> Cursor:
        with self.store.read() as transaction:
            found = [
                cursor
                for cursor in cursors.listed(transaction, Door.TOPIC)
                if cursor.partition == partition and not cursor.retired
            ]
        return found[0]

    def cost(self) -> int:
        with self.store.read() as transaction:
            return sum(totals.cost_by_period(transaction).values())


def _event(number: int) -> bytes:
    return (
        b'{"usage_id":"%d","timestamp":"2026-10-01T12:00:00Z","team_id":"A","cost_usd":1}' % number
    )


def _undecodable(place: TopicPartition, last: int | None = None) -> UndecodableBatch:
    return UndecodableBatch(place, 0, "bad checksum", last)


@pytest.fixture
def rig(ready_url: str) -> Iterator[Rig]:
    store = Store(ready_url)
    schema.upgrade(store)
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 2)
    yield Rig(store, broker)
    store.close()


def _turn(session: Session, times: int = 4) -> None:
    for _ in range(times):
        session.turn()


def test_every_record_of_the_topic_is_counted_once(rig: Rig) -> None:
    rig.put(1, 2, 3)
    rig.put(4, 1, partition=1)
    _turn(rig.session())
    assert rig.cursor(0).tally.consumed + rig.cursor(1).tally.consumed == 5
    assert rig.cost() == 4 * 10**9


def test_a_new_worker_goes_on_where_the_store_stands_whatever_the_group_says(rig: Rig) -> None:
    rig.put(1, 2)
    session = rig.session()
    _turn(session)
    session.commit_group()
    rig.put(3)
    assert rig.ended is not None
    rig.ended.commit({TopicPartition(TOPIC, 0): 0})
    _turn(rig.session())
    assert rig.cursor().tally == cursors.Tally(accepted=3)


def test_a_rolled_back_batch_is_read_again_from_its_stored_position(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = rig.session()
    _turn(session, 1)
    rig.put(1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _unavailable)
        session.turn()
    assert rig.cost() == 0
    rig.put(3)
    _turn(session)
    assert rig.cursor().tally == cursors.Tally(accepted=3)


def test_while_the_store_is_away_the_group_keeps_the_partitions_and_nothing_is_quarantined(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1)
    with monkeypatch.context() as patch:
        patch.setattr(offsets, "take_partition", _unavailable)
        session = rig.session()
        _turn(session)
        assert session.positions.waiting
        assert not session.positions.held
    _turn(session)
    assert rig.cursor().tally == cursors.Tally(accepted=1)


def test_a_batch_whose_cursor_another_worker_moved_is_dropped(rig: Rig) -> None:
    session = rig.session()
    _turn(session, 1)
    rig.put(1, 2)
    with rig.store.begin() as transaction:
        cursor = rig.cursor()
        cursors.advance(
            transaction,
            cursor.cursor_id,
            cursors.Tally(skipped=1),
            expected=0,
            new=1,
            now_us=NOW_US,
        )
    _turn(session)
    assert rig.cursor().tally == cursors.Tally(accepted=1, skipped=1)


def test_a_topic_made_anew_stops_the_worker_until_it_is_adopted(rig: Rig) -> None:
    rig.put(1)
    _turn(rig.session())
    rig.broker.recreate_topic(TOPIC)
    rig.put(1, 2)
    with pytest.raises(offsets.TopicRecreated, match="made anew"):
        _turn(rig.session())
    topic_id = rig.broker.topic_id(TOPIC)
    assert topic_id is not None
    offsets.adopt_topic(rig.store, TOPIC, topic_id, ACT)
    _turn(rig.session())
    assert rig.cursor().tally == cursors.Tally(accepted=1, duplicate=1)
    assert rig.cost() == 2 * 10**9


def test_only_the_partitions_of_the_first_start_begin_at_the_end(rig: Rig) -> None:
    rig.settings = Settings(kafka=Kafka(start_at="end"))
    rig.put(1)
    rig.put(2, partition=1)
    session = rig.session()
    _turn(session)
    rig.put(3)
    _turn(session)
    assert (rig.cursor(0).first_position, rig.cursor(1).first_position) == (1, 1)
    assert rig.cost() == 10**9


def test_a_partition_that_is_added_later_is_read_whole(rig: Rig) -> None:
    # Made by a worker that knew of one partition only.
    offsets.start_at_end(rig.store, TOPIC, {0: 0}, topic_id=None, now_us=NOW_US)
    rig.settings = Settings(kafka=Kafka(start_at="end"))
    rig.put(1, 2, partition=1)
    _turn(rig.session())
    assert rig.cursor(1).tally == cursors.Tally(accepted=2)


def test_a_partition_whose_next_records_were_deleted_stops_until_the_gap_is_accepted(
    rig: Rig,
) -> None:
    rig.put(1)
    _turn(rig.session())
    rig.put(2, 3, 4)
    log = rig.broker.log(TopicPartition(TOPIC, 0))
    assert log is not None
    log.delete_before(3)
    session = rig.session()
    _turn(session)
    assert "2 records were deleted" in session.positions.stopped[TopicPartition(TOPIC, 0)]
    assert "chargeback offsets accept-gap --reason TEXT" in str(rig.cursor().stopped)
    offsets.accept_gap(rig.store, TOPIC, {0: (3, 4), 1: (0, 0)}, ACT)
    _turn(rig.session())
    assert rig.cursor().tally == cursors.Tally(accepted=2, skipped=2)


def test_a_record_that_ends_the_worker_each_time_is_named_and_can_be_skipped(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2, 3)
    write = ingest.ingest

    def crash_on_2(store: Store, parts: list[ingest.Part], **more: object) -> object:
        if any(event.raw.position == 1 for part in parts for event in part.events):
            raise RuntimeError("a bug that this record meets")
        return write(store, parts, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", crash_on_2)
        for _ in range(20):
            session = rig.session()
            try:
                _turn(session)
            except RuntimeError:
                continue
            break
        stopped = session.positions.stopped[TopicPartition(TOPIC, 0)]
        assert "offset 1 was tried 3 times" in stopped
        assert stopped.endswith("start the worker again.")
        assert rig.cursor().tally == cursors.Tally(accepted=1)
    offsets.skip(rig.store, TOPIC, 0, 1, ACT)
    _turn(rig.session())
    assert rig.cursor().tally == cursors.Tally(accepted=2, skipped=1)


def test_a_batch_that_cannot_be_decoded_three_times_stops_its_partition_only(rig: Rig) -> None:
    role = rig.role()
    place = TopicPartition(TOPIC, 0)
    role.undecodable[place, 0] = [_undecodable(place)] * offsets.ATTEMPTS_MAX
    rig.put(1)
    rig.put(2, partition=1)
    session = rig.session(role)
    _turn(session)
    assert "cannot be decoded" in session.positions.stopped[place]
    assert rig.cost() == 10**9


def test_why_a_broken_batch_stops_its_partition_names_the_command_that_goes_past_all_of_it(
    rig: Rig,
) -> None:
    role = rig.role()
    place = TopicPartition(TOPIC, 0)
    role.undecodable[place, 0] = [_undecodable(place, last=4)] * offsets.ATTEMPTS_MAX
    rig.put(1)
    _turn(rig.session(role))
    stopped = str(rig.cursor().stopped)
    assert f"The batch at {place}:0 cannot be decoded: bad checksum. " in stopped
    assert f"chargeback offsets skip {place}:0-4 --reason TEXT" in stopped
    assert stopped.endswith("start the worker again.")


def test_a_burst_of_refused_events_stops_its_partition_before_anything_is_quarantined(
    rig: Rig,
) -> None:
    limits = Ingest(max_refused=MaxRefused(run=5))
    rig.settings = Settings(ingest=limits)
    rig.put(1)
    for _ in range(5):
        rig.broker.put(TOPIC, b"{broken", partition=0)
    session = rig.session()
    _turn(session)
    stopped = session.positions.stopped[TopicPartition(TOPIC, 0)]
    assert "5 events in a row" in stopped
    assert "raise ingest.max_refused.run or ingest.max_refused.share" in stopped
    assert rig.cursor().tally.consumed == 0
    rig.settings = Settings()
    _turn(rig.session())
    assert rig.cursor().tally == cursors.Tally(accepted=1, quarantined=5)


def test_records_of_a_partition_without_a_position_discard_the_consumer(rig: Rig) -> None:
    rig.put(1)
    session = rig.session()
    _turn(session)
    session.positions.held.clear()
    rig.put(2)
    with pytest.raises(ConsumerBroken, match="without a position"):
        _turn(session)


def test_a_client_that_keeps_messages_back_is_discarded_once_it_was_given_time(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_SILENCE_S", 0.0)
    session = rig.session()
    _turn(session)
    assert rig.ended is not None
    # Behind the back of those who keep the positions, as a client that is stuck does.
    rig.ended.pause([TopicPartition(TOPIC, 0)])
    rig.put(1)
    session.turn()
    with pytest.raises(ConsumerBroken, match="does not give"):
        _turn(session)
    _turn(rig.session())
    assert rig.cost() == 10**9


def test_a_client_that_the_group_never_answers_is_discarded(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1)
    session = rig.session()
    assert rig.ended is not None
    monkeypatch.setattr(silence, "_JOIN_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(rig.ended, "poll", lambda _timeout_s, _max_records: {})
        with pytest.raises(ConsumerBroken, match="the group has not said"):
            _turn(session)
    _turn(rig.session())
    assert rig.cost() == 10**9


def test_a_partition_that_is_at_its_end_is_no_reason_to_discard_anything(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "_SILENCE_S", 0.0)
    rig.put(1)
    session = rig.session()
    _turn(session, 12)
    rig.put(2)
    _turn(session, 12)
    assert rig.cost() == 2 * 10**9


def test_the_role_makes_a_new_consumer_after_an_error_of_the_old_one(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2)
    made: list[object] = []
    stop = threading.Event()
    consumer = rig.broker.consumer

    def failing_first(group_id: str, instance_id: str | None = None) -> object:
        new = consumer(group_id, instance_id)
        made.append(new)
        if len(made) == 1:
            new.fail_next_poll(_undecodable(TopicPartition(TOPIC, 0)))
        return new

    monkeypatch.setattr(rig.broker, "consumer", failing_first)
    role = rig.role()
    role.run(stop, _stop_after(stop, 6))
    assert len(made) == 2
    ((at, errors),) = role.undecodable.items()
    assert (at, len(errors)) == ((TopicPartition(TOPIC, 0), 0), 1)
    assert rig.cost() == 2 * 10**9


def _until_careful(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The session of a worker whose forerunners were all killed before they had written."""
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _killed)
        for _ in range(offsets.ATTEMPTS_MAX):
            with pytest.raises(KeyboardInterrupt):
                _turn(rig.session())
    return rig.session()


def test_kills_before_any_commit_make_the_next_worker_careful_and_nothing_else(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2, 3)
    session = _until_careful(rig, monkeypatch)
    _turn(session)
    assert not session.positions.stopped
    assert rig.cursor().tally == cursors.Tally(accepted=3)
    assert rig.cursor().attempts == 0


def test_a_record_is_not_blamed_for_a_database_that_does_not_answer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2)
    session = _until_careful(rig, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _unavailable)
        _turn(session, 3 * offsets.ATTEMPTS_MAX)
    assert not session.positions.stopped
    assert rig.cursor().attempts == offsets.ATTEMPTS_MAX
    assert rig.cursor().suspect_attempts <= 1
    _turn(session)
    assert rig.cursor().tally == cursors.Tally(accepted=2)


def test_a_record_is_not_blamed_for_a_database_that_fails_while_the_group_moves_partitions(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2)
    session = _until_careful(rig, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _unavailable)
        for _ in range(3 * offsets.ATTEMPTS_MAX):
            _turn(session, 1)
            rig.broker.group("chargeback").rebalance()
    _turn(session)
    assert not session.positions.stopped
    assert rig.cursor().tally == cursors.Tally(accepted=2)


def test_a_record_is_not_blamed_for_a_try_of_which_nothing_was_heard(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1, 2)
    session = _until_careful(rig, monkeypatch)
    suspect = offsets.suspect

    def unheard(store: Store, cursor_id: int, position: int) -> int:
        suspect(store, cursor_id, position)
        raise DatabaseUnusable("books", "it went away after the commit")

    with monkeypatch.context() as patch:
        patch.setattr(offsets, "suspect", unheard)
        _turn(session, 3 * offsets.ATTEMPTS_MAX)
    _turn(session)
    assert not session.positions.stopped
    assert rig.cursor().tally == cursors.Tally(accepted=2)


def test_a_log_that_grew_while_its_partition_was_taken_was_not_cut_short(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1)
    _turn(rig.session())
    cursor_id, take = rig.cursor().cursor_id, offsets.take_partition

    def taken_late(*arguments: Any, **named: Any) -> Cursor | None:
        monkeypatch.setattr(offsets, "take_partition", take)
        # Whoever had it before has not noticed yet, and writes on.
        rig.put(2)
        moved = cursors.Tally(skipped=1)
        with rig.store.begin() as transaction:
            cursors.advance(transaction, cursor_id, moved, expected=1, new=2, now_us=NOW_US)
        return take(*arguments, **named)

    monkeypatch.setattr(offsets, "take_partition", taken_late)
    session = rig.session()
    session.turn()
    assert not session.positions.stopped
    rig.put(3)
    _turn(session)
    assert rig.cursor().tally == cursors.Tally(accepted=2, skipped=1)


def test_a_careful_worker_that_loses_its_partition_at_the_last_position_goes_on(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(1)
    session = _until_careful(rig, monkeypatch)
    part = ingest.Part(rig.cursor().cursor_id, [], 0, 5)
    place = TopicPartition(TOPIC, 0)
    session.turn()
    monkeypatch.setattr(session, "_commit", lambda parts: session.positions.wait_for(list(parts)))
    session._write_one_by_one(place, part)
    assert place in session.positions.waiting


def test_a_start_with_nothing_to_read_is_no_attempt(rig: Rig) -> None:
    rig.put(1)
    _turn(rig.session())
    for _ in range(5):
        _turn(rig.session())
    assert rig.cursor().attempts == 0


def test_a_careful_worker_takes_few_events_a_turn(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.put(*range(250))
    session = _until_careful(rig, monkeypatch)
    _turn(session, 2)
    assert rig.cursor().tally.accepted <= 2 * 200
    _turn(session)
    assert rig.cursor().tally.accepted == 250


def test_why_a_partition_stopped_is_noted_as_soon_as_the_store_answers(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.settings = Settings(ingest=Ingest(max_refused=MaxRefused(run=5)))
    for _ in range(5):
        rig.broker.put(TOPIC, b"{broken", partition=0)
    session = rig.session()
    with monkeypatch.context() as patch:
        patch.setattr(offsets, "stop_partition", _unavailable)
        _turn(session)
    assert not session.positions.stopped
    assert rig.cursor().tally.consumed == 0
    _turn(session)
    assert "5 events in a row" in str(rig.cursor().stopped)
    rig.settings = Settings()
    rig.session().turn()
    assert rig.cursor().stopped is None


def test_a_session_that_ended_shows_no_lag_of_partitions_that_are_not_its_own(rig: Rig) -> None:
    session = rig.session()
    rig.put(1)
    _turn(session)
    assert b"chargeback_consumer_lag{" in rig.metrics.exposition()
    session.abandon()
    assert b"chargeback_consumer_lag{" not in rig.metrics.exposition()


def _lags(rig: Rig) -> dict[str, float]:
    (family,) = rig.metrics.consumer_lag.collect()
    return {sample.labels["partition"]: sample.value for sample in family.samples}


def test_what_came_since_the_last_fetch_counts_as_lag_once_the_broker_is_asked(rig: Rig) -> None:
    role = rig.role()
    session, ends = rig.session(role), Ends(rig.broker, role.lag)
    rig.put(1)
    _turn(session)
    assert _lags(rig) == {"0": 0, "1": 0}
    rig.put(2, 3)
    rig.put(4, partition=1)
    ends.ask()
    assert _lags(rig) == {"0": 2, "1": 1}
    _turn(session)
    assert _lags(rig) == {"0": 0, "1": 0}


def test_a_partition_that_waits_for_the_store_keeps_its_lag_and_it_grows(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = rig.role()
    session, ends = rig.session(role), Ends(rig.broker, role.lag)
    _turn(session)
    rig.put(1)
    with monkeypatch.context() as patch:
        patch.setattr(ingest, "ingest", _unavailable)
        patch.setattr(offsets, "take_partition", _unavailable)
        _turn(session)
        assert session.positions.waiting
        assert _lags(rig) == {"0": 1, "1": 0}
        rig.put(2, 3)
        ends.ask()
        assert _lags(rig) == {"0": 3, "1": 0}
    _turn(session)
    assert _lags(rig) == {"0": 0, "1": 0}


def test_a_stopped_partition_shows_what_waits_in_it(rig: Rig) -> None:
    rig.settings = Settings(ingest=Ingest(max_refused=MaxRefused(run=5)))
    role = rig.role()
    session, ends = rig.session(role), Ends(rig.broker, role.lag)
    for _ in range(5):
        rig.broker.put(TOPIC, b"{broken", partition=0)
    _turn(session)
    assert session.positions.stopped
    rig.put(1, 2)
    ends.ask()
    assert _lags(rig) == {"0": 7, "1": 0}


def test_while_the_broker_is_away_the_last_known_end_stands(rig: Rig) -> None:
    role = rig.role()
    session, ends = rig.session(role), Ends(rig.broker, role.lag)
    _turn(session)
    rig.put(1, 2)
    ends.ask()
    rig.broker.away = True
    ends.ask()
    _turn(session)
    assert _lags(rig) == {"0": 2, "1": 0}
    rig.broker.away = False
    _turn(session)
    assert _lags(rig) == {"0": 0, "1": 0}


def test_partitions_that_were_given_up_show_no_lag(rig: Rig) -> None:
    role = rig.role()
    session, ends = rig.session(role), Ends(rig.broker, role.lag)
    _turn(session)
    other, _ = subscribed(rig.broker, TOPIC, "chargeback")
    other.poll(0, 1)
    _turn(session)
    ends.ask()
    assert _lags(rig) == {"0": 0}


def _stop_after(stop: threading.Event, beats: int) -> Callable[..., None]:
    heard: list[object] = []

    def beat(waits_for: str | None = None) -> None:
        heard.append(waits_for)
        if len(heard) == beats:
            stop.set()

    return beat


def _unavailable(*_arguments: object, **_more: object) -> object:
    raise DatabaseUnusable("books", "it is away")


def _killed(*_arguments: object, **_more: object) -> object:
    raise KeyboardInterrupt
