"""Refused events: kept whole, replayed once, dismissed with a reason."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from chargeback_worker.money import NANO
from chargeback_worker.pipeline.dismiss import dismiss
from chargeback_worker.pipeline.ingest import Outcome, Part, ingest, read_events
from chargeback_worker.reports.quarantine import quarantined, quarantined_event
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, audit, quarantine, totals
from chargeback_worker.store.audit import Act, ReasonMissing
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.quarantine import AlreadyResolved, Held, QuarantineUnknown
from chargeback_worker.store.tables import quarantine as table
from chargeback_worker.usage.event import RawEvent, Reader
from tests.support.feed import BYTES_MAX, NOW_US, Feed, usage

ACT = Act("ada", NOW_US, "mended")
_AHEAD = usage("ahead", day="2026-12-24")
_LATER = Act("ada", NOW_US + 40 * 86_400_000_000, "the day has come")


def _replay(feed: Feed, act: Act = ACT) -> dict[int, Outcome]:
    """Every held event again, by what `feed` reads now."""
    cursor = feed.door(Door.REPLAY, "quarantine")
    held = _held(feed.store)
    part = Part(cursor.cursor_id, read_events(feed.reader, held, act.now_us), replays=True)
    result = ingest(
        feed.store,
        [part],
        zone=feed.zone,
        quarantine_bytes_max=BYTES_MAX,
        now_us=act.now_us,
        act=act,
    )
    numbers = [raw.position for raw in held]
    return dict(zip(numbers, result.parts[0].outcomes, strict=True))


def _held(
    store: Store, *, after: int = 0, events_max: int = 100, bytes_max: int = 2**20
) -> list[RawEvent]:
    with store.read() as transaction:
        return quarantine.next_replayable(
            transaction, after=after, events_max=events_max, bytes_max=bytes_max
        )


def _states(store: Store) -> list[tuple[str, str | None]]:
    with store.read() as transaction:
        rows = transaction.execute(sa.select(table).order_by(table.c.quarantine_id))
        return [(row.state, row.outcome) for row in rows]


def test_a_refused_event_is_kept_as_it_came(store: Store) -> None:
    raw = RawEvent(b"\xff\x00 no JSON", (("h", b"\x01"), ("none", None)), b"key")
    Feed(store).send(raw)
    with store.read() as transaction:
        kept = quarantine.get(transaction, 1)
    assert kept.raw == raw
    assert (kept.replayable, kept.state) == (True, Held.HELD)


@pytest.mark.parametrize("value", [None, b""])
def test_nothing_and_an_empty_value_stay_apart(store: Store, value: bytes | None) -> None:
    Feed(store).send(value)
    with store.read() as transaction:
        kept = quarantine.get(transaction, 1).raw
    assert kept is not None
    assert kept.value == value


def test_too_much_is_kept_by_its_head_and_cannot_be_replayed(store: Store) -> None:
    Feed(store).send(b"x" * (BYTES_MAX + 1))
    with store.read() as transaction:
        kept = quarantine.get(transaction, 1)
        assert quarantine.count_replayable(transaction) == 0
    assert _held(store) == []
    assert kept.raw is not None
    assert kept.raw.value == b"x" * quarantine.HEAD_BYTES
    assert (kept.replayable, kept.size_bytes) == (False, BYTES_MAX + 1)
    assert verify(store).mismatches == ()


def test_a_replay_counts_what_can_be_read_now(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD, b"poison", usage("good"))
    assert list(_replay(feed, _LATER).values()) == [Outcome.ACCEPTED, Outcome.QUARANTINED]
    assert _states(store) == [("replayed", "accepted"), ("held", None)]
    assert feed.door(Door.REPLAY, "quarantine").tally == Tally(accepted=1)
    assert feed.cursor.tally == Tally(accepted=1, quarantined=2)
    assert verify(store).mismatches == ()


def test_a_replay_by_another_reader_notes_the_reason_of_today(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("old", day="1999-01-01"), _AHEAD)
    feed.reader = Reader(replace(feed.grain), event_bytes_max=10)
    _replay(feed)
    listed = quarantined(store)["quarantine"]
    assert [row["reason"] for row in listed] == ["too_large", "too_large"]


def test_a_replay_of_what_has_come_by_itself_is_a_duplicate_or_conflict(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD, usage("ahead", "2", day="2026-12-24"))
    feed.now_us = _LATER.now_us
    feed.send(_AHEAD)
    assert list(_replay(feed, _LATER).values()) == [Outcome.DUPLICATE, Outcome.CONFLICT]
    with store.read() as transaction:
        (total,) = totals.stored(transaction).values()
    assert (total.cost, total.records) == (NANO, 1)
    assert feed.door(Door.REPLAY, "quarantine").tally == Tally(duplicate=1, conflict=1)
    assert verify(store).mismatches == ()


def test_what_is_held_is_read_some_at_a_time(store: Store) -> None:
    feed = Feed(store)
    feed.send(*(b"poison %d" % number for number in range(5)), b"x" * (BYTES_MAX + 1))
    assert [raw.position for raw in _held(store)] == [1, 2, 3, 4, 5]
    assert [raw.value for raw in _held(store, events_max=2)] == [b"poison 0", b"poison 1"]
    assert [raw.position for raw in _held(store, after=2, bytes_max=16)] == [3, 4]
    # One goes along however large it is, or nothing would go on.
    assert [raw.position for raw in _held(store, after=4, bytes_max=1)] == [5]
    assert _held(store, after=5) == []
    dismiss(store, 2, ACT)
    with store.read() as transaction:
        few = quarantine.next_replayable(
            transaction, among=[1, 2, 5], events_max=9, bytes_max=2**20
        )
    assert [raw.position for raw in few] == [1, 5]


def test_one_that_is_resolved_already_undoes_the_whole_batch(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD, usage("ahead too", day="2026-12-24"), b"poison")
    dismiss(store, 1, ACT)
    cursor = feed.door(Door.REPLAY, "quarantine")
    events = [RawEvent(_AHEAD, position=number) for number in (2, 1)]
    part = Part(cursor.cursor_id, read_events(feed.reader, events, _LATER.now_us), replays=True)
    with pytest.raises(AlreadyResolved, match="quarantined event 1 is already dismissed"):
        feed.ingest(part)
    assert _states(store) == [("dismissed", "dismissed"), ("held", None), ("held", None)]
    assert feed.door(Door.REPLAY, "quarantine").tally == Tally()


def test_a_replay_is_done_once(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD)
    cursor = feed.door(Door.REPLAY, "quarantine")
    raw = RawEvent(_AHEAD, position=1)
    part = Part(cursor.cursor_id, read_events(feed.reader, [raw], _LATER.now_us), replays=True)
    feed.ingest(part)
    with pytest.raises(AlreadyResolved):
        feed.ingest(part)
    assert feed.door(Door.REPLAY, "quarantine").tally == Tally(accepted=1)
    assert _replay(feed) == {}


def test_a_replay_is_audited_event_by_event(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD, b"poison")
    _replay(feed, _LATER)
    with store.read() as transaction:
        rows = audit.listed(transaction)
    assert [(row.actor, row.action, row.subject, row.after) for row in rows] == [
        ("ada", "replay", "quarantine:2", {"outcome": "quarantined"}),
        ("ada", "replay", "quarantine:1", {"outcome": "accepted"}),
    ]


def test_dismissing_erases_the_bytes_and_keeps_the_reason(store: Store) -> None:
    Feed(store).send(b"secret")
    row = dismiss(store, 1, ACT)
    assert (row.state, row.raw, row.replayable) == (Held.DISMISSED, None, False)
    assert row.reason == "not_json"
    with store.read() as transaction:
        (entry,) = audit.listed(transaction)
    assert (entry.action, entry.subject, entry.reason) == ("dismiss", "quarantine:1", "mended")
    assert verify(store).mismatches == ()


def test_dismissing_needs_a_reason_and_a_held_event(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD)
    with pytest.raises(ReasonMissing):
        dismiss(store, 1, Act("ada", NOW_US, " "))
    with pytest.raises(QuarantineUnknown):
        dismiss(store, 2, ACT)
    _replay(feed, _LATER)
    with pytest.raises(AlreadyResolved):
        dismiss(store, 1, ACT)


def test_the_list_is_paged_newest_first(store: Store) -> None:
    Feed(store).send(*(b"poison", b"", None))
    page = quarantined(store, limit=2)
    assert [row["quarantine_id"] for row in page["quarantine"]] == [3, 2]
    rest = quarantined(store, limit=2, cursor=int(page["next_cursor"]))
    assert [row["quarantine_id"] for row in rest["quarantine"]] == [1]
    assert rest["next_cursor"] is None
    assert [row["reason"] for row in quarantined(store, reason="empty")["quarantine"]] == ["empty"]


def test_one_event_is_shown_with_what_it_holds(store: Store) -> None:
    Feed(store).send(b"caf\xe9", RawEvent(b"words", (("h", b"v"),), b"T"))
    first, second = (quarantined_event(store, number)["quarantined"] for number in (1, 2))
    assert first["event"]["value"] == r"caf\xe9"
    assert first["event"]["value_base64"] == b"caf\xe9"
    assert second["event"] == {
        "value": "words",
        "value_base64": None,
        "key": "T",
        "headers": {"h": "v"},
    }
    assert (second["door"], second["name"], second["position"]) == ("topic", "usage-events", 1)
    dismiss(store, 1, ACT)
    assert quarantined_event(store, 1)["quarantined"]["event"] is None


def test_a_conflicting_event_that_two_replay_at_once_is_resolved_once(store: Store) -> None:
    feed = Feed(store)
    feed.send(_AHEAD)
    feed.now_us = _LATER.now_us
    feed.send(usage("ahead", "2", day="2026-12-24"))
    cursor = feed.door(Door.REPLAY, "quarantine")
    # Both have read the held event before either has written.
    part = Part(cursor.cursor_id, feed.read([_AHEAD], 1), replays=True)
    assert feed.ingest(part).parts[0].outcomes == (Outcome.CONFLICT,)
    with pytest.raises(AlreadyResolved):
        feed.ingest(part)
