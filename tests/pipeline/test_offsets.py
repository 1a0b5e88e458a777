"""Where reading goes on, and the few audited ways in which a person may move it."""

import pytest

from chargeback_worker.pipeline import offsets
from chargeback_worker.pipeline.offsets import (
    PartitionUnknown,
    SkipNotNext,
    TopicRecreated,
    accept_gap,
    adopt_topic,
    first_seen,
    skip,
    stop_partition,
    take_partition,
)
from chargeback_worker.reports.audit import audited
from chargeback_worker.reports.offsets import offsets as shown
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store
from chargeback_worker.store.audit import Act, ReasonMissing
from chargeback_worker.store.cursors import Cursor, Tally
from tests.support.feed import NOW_US, Feed, usage

TOPIC = "usage-events"
ACT = Act("ada", NOW_US, "lost for good")
_WITHOUT_REASON = Act("ada", NOW_US)


def _first_seen(
    store: Store, position: int = 0, *, topic_id: str | None = None, partition: int = 0
) -> Cursor:
    return first_seen(store, TOPIC, partition, topic_id=topic_id, position=position, now_us=NOW_US)


def _taken(store: Store, topic_id: str | None = None, partition: int = 0) -> Cursor | None:
    return take_partition(store, TOPIC, partition, topic_id=topic_id)


def test_a_partition_never_seen_has_no_position(store: Store) -> None:
    assert _taken(store) is None
    first = _first_seen(store, 17)
    assert (first.first_position, first.next_position) == (17, 17)
    assert _first_seen(store, 99).next_position == 17


def test_taking_a_partition_counts_attempts_until_something_is_committed(store: Store) -> None:
    _first_seen(store)
    attempts = [cursor.attempts for cursor in (_taken(store), _taken(store)) if cursor]
    assert attempts == [1, 2]
    Feed(store).send(usage("a"))
    cursor = _taken(store)
    assert cursor is not None
    assert cursor.attempts == 1


def test_an_attempt_at_a_single_record_is_counted_by_its_position(store: Store) -> None:
    cursor = _first_seen(store)
    tries = [offsets.suspect(store, cursor.cursor_id, position) for position in (5, 5, 5, 6)]
    assert tries == [1, 2, 3, 1]


def test_the_id_of_a_topic_is_learnt_once_and_then_compared(store: Store) -> None:
    _first_seen(store)
    cursor = _taken(store, "one")
    assert cursor is not None
    assert _taken(store, None) is not None
    with pytest.raises(TopicRecreated) as refused:
        _taken(store, "two")
    assert "adopt-topic" in refused.value.hint
    learnt = _taken(store, "one")
    assert learnt is not None
    assert learnt.topic_id == "one"


def test_a_partition_of_a_recreated_topic_is_refused_even_if_it_is_new(store: Store) -> None:
    _first_seen(store, topic_id="one")
    with pytest.raises(TopicRecreated):
        _taken(store, "two", partition=1)


def test_skipping_goes_past_exactly_the_next_record(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b"))
    with pytest.raises(SkipNotNext):
        skip(store, TOPIC, 0, 3, ACT)
    with pytest.raises(PartitionUnknown):
        skip(store, TOPIC, 7, 2, ACT)
    stop_partition(store, feed.cursor.cursor_id, "it failed three times")
    after = skip(store, TOPIC, 0, 2, ACT)
    assert (after.next_position, after.tally.skipped, after.stopped) == (3, 1, None)
    (entry,) = audited(store)["audit"]
    assert (entry["action"], entry["subject"]) == ("offsets.skip", f"{TOPIC}:0")
    assert entry["before"] == {"next_position": 2, "stopped": "it failed three times"}
    assert entry["after"] == {"next_position": 3}
    assert entry["reason"] == "lost for good"
    assert verify(store).mismatches == ()


def test_skipping_goes_past_a_whole_batch(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b"))
    after = skip(store, TOPIC, 0, 2, ACT, last=6)
    assert (after.next_position, after.tally.skipped) == (7, 5)
    assert verify(store).mismatches == ()


def test_every_move_needs_a_reason(store: Store) -> None:
    _first_seen(store)
    with pytest.raises(ReasonMissing):
        skip(store, TOPIC, 0, 0, _WITHOUT_REASON)
    with pytest.raises(ReasonMissing):
        accept_gap(store, TOPIC, {0: (5, 9)}, _WITHOUT_REASON)
    with pytest.raises(ReasonMissing):
        adopt_topic(store, TOPIC, "two", _WITHOUT_REASON)
    assert audited(store)["audit"] == []


def test_a_gap_is_accepted_only_where_there_is_one(store: Store) -> None:
    _first_seen(store, partition=0)
    _first_seen(store, 3, partition=1)
    _first_seen(store, 4, partition=2)
    moved = accept_gap(store, TOPIC, {0: (10, 20), 1: (0, 20)}, ACT)
    assert [(cursor.partition, cursor.next_position) for cursor in moved] == [(0, 10)]
    assert moved[0].tally == Tally(skipped=10)
    assert accept_gap(store, TOPIC, {0: (10, 20), 1: (0, 20)}, ACT) == []
    assert verify(store).mismatches == ()


def test_a_log_that_lost_its_end_is_counted_anew_from_there(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b"), usage("c"))
    (after,) = accept_gap(store, TOPIC, {0: (0, 2)}, ACT)
    assert (after.first_position, after.next_position, after.tally) == (2, 2, Tally())
    assert feed.send(usage("c"), usage("d")) == ["duplicate", "accepted"]
    retired, current = shown(store)["offsets"]
    assert retired["retired"] != current["retired"]
    assert verify(store).mismatches == ()


def test_the_log_may_lose_its_end_more_than_once(store: Store) -> None:
    feed = Feed(store)
    for number in range(3):
        feed.send(usage(f"a{number}"), usage(f"b{number}"))
        accept_gap(store, TOPIC, {0: (0, 1)}, ACT)
    assert feed.cursor.next_position == 1
    assert len(shown(store)["offsets"]) == 4
    assert verify(store).mismatches == ()


def test_adopting_a_topic_starts_it_anew_and_counts_nothing_twice(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a"), usage("b"))
    _taken(store, "one")
    assert adopt_topic(store, TOPIC, "two", ACT) == 1
    assert _taken(store, "two") is None
    _first_seen(store, topic_id="two")
    cursor = _taken(store, "two")
    assert cursor is not None
    assert (cursor.next_position, cursor.topic_id) == (0, "two")
    (entry,) = audited(store)["audit"]
    assert entry["after"] == {"topic_id": "two", "retired": 1}
    assert entry["before"]["cursors"][0]["next_position"] == 2
    assert verify(store).mismatches == ()


def test_adopting_a_topic_twice_changes_nothing(store: Store) -> None:
    _first_seen(store, 5, topic_id="one")
    adopt_topic(store, TOPIC, "two", ACT)
    _first_seen(store, 7, topic_id="two")
    assert adopt_topic(store, TOPIC, "two", ACT) == 0
    cursor = _taken(store, "two")
    assert cursor is not None
    assert cursor.next_position == 7


def test_a_topic_may_come_back_under_its_first_id(store: Store) -> None:
    _first_seen(store, 5, topic_id="one")
    adopt_topic(store, TOPIC, "two", ACT)
    _first_seen(store, 0, topic_id="two")
    adopt_topic(store, TOPIC, "one", ACT)
    assert _taken(store, "one") is None
    assert _first_seen(store, 0, topic_id="one").retired is False
