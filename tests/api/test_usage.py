"""Usage over HTTP: counted once by whatever door, refused with a reason, summed and paged."""

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa

from chargeback_worker.reports.verify import verify
from chargeback_worker.store import cursors
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.tables import quarantine, usage_conflict
from tests.support.http_api import Api

EVENT = {
    "usage_id": "u-1",
    "timestamp": "2026-10-03T12:00:00Z",
    "team_id": "A",
    "user_id": "ada",
    "cost_usd": 1.5,
    "quantity": 2,
}


def _tally(api: Api) -> Tally:
    with api.store.read() as transaction:
        return sum((row.tally for row in cursors.listed(transaction, Door.HTTP)), Tally())


def _sound(api: Api) -> None:
    assert verify(api.store).mismatches == ()


def test_the_same_event_counts_once(api: Api) -> None:
    first = api.post("usage", EVENT)
    again = api.post("usage", {**EVENT, "metadata": {"attempt": 2}})
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert _tally(api) == Tally(accepted=1, duplicate=1)
    _sound(api)


def test_other_content_under_the_same_id_is_kept_and_refused(api: Api) -> None:
    api.ok("POST", "usage", EVENT)
    for _ in range(2):
        reply = api.post("usage", {**EVENT, "cost_usd": 2})
        assert reply.problem == (409, "usage-conflict")
        assert "'u-1'" in reply.json["detail"]
    assert _tally(api) == Tally(accepted=1, conflict=2)
    with api.store.read() as transaction:
        kept = transaction.execute(sa.select(sa.func.count()).select_from(usage_conflict))
        assert kept.scalar_one() == 2
    _sound(api)


def test_an_event_without_an_id_keeps_its_own_quantity_beside_other_fields(api: Api) -> None:
    bare = {field: value for field, value in EVENT.items() if field != "usage_id"}
    sent = {**bare, "resource_type": "gpu", "quantity": 5, "total_tokens": 300}
    for event in (sent, {**sent, "usage_id": "u-2"}):
        record = api.ok("POST", "usage", event)["usage_record"]
        assert (record["resource_type"], record["quantity"]) == ("gpu", "5")
        assert record["metadata"] == {"total_tokens": "300"}


def test_an_event_without_a_time_is_the_same_one_when_it_is_sent_again(api: Api) -> None:
    untimed = {field: value for field, value in EVENT.items() if field != "timestamp"}
    first = api.post("usage", untimed)
    again = api.post("usage", untimed)
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    assert api.post("usage", EVENT).problem == (409, "usage-conflict")
    _sound(api)


def test_an_event_without_an_id_gets_one_of_its_own(api: Api) -> None:
    bare = {"cost_usd": 1}
    names = {api.ok("POST", "usage", bare)["usage_record"]["usage_id"] for _ in range(3)}
    assert len(names) == 3
    _sound(api)


def test_what_was_counted_at_another_door_is_a_duplicate(api: Api) -> None:
    line = json.dumps(EVENT).encode()
    list(api.books.ingest_file("digest", [line]))
    assert api.post("usage", EVENT).status == 200
    assert next(api.books.ingest_file("other", [line])).tally == Tally(duplicate=1)
    _sound(api)


def test_what_is_answered_of_new_usage_is_what_is_stored_of_it(api: Api) -> None:
    """Nothing is read for the first answer, and all of it for the second."""
    api.ok("POST", "usage", {**EVENT, "timestamp": "2026-09-03T12:00:00Z"})
    api.ok("POST", "periods/2026-09/close")
    for number, event in enumerate(_ODD):
        sent = json.dumps({"usage_id": f"odd-{number}", **event})
        new, again = api.post("usage", sent), api.post("usage", sent)
        assert (new.status, again.status) == (201, 200), (event, new)
        assert new.body == again.body


_ODD: list[dict[str, Any]] = [
    {"cost_usd": 1},
    {"cost_usd": 0, "timestamp": "2026-10-03T12:00:00Z"},
    {"cost_usd": -0.000000001, "timestamp": "2026-10-03T23:59:59.999999-11:00"},
    {"cost_usd": 0.0000000005, "timestamp": "2026-10-03T12:00:00Z", "quantity": 1e-9},
    {"cost_usd": -1_000_000_000, "quantity": -1e18, "timestamp": "2026-10-03T12:00:00.1Z"},
    {"cost_usd": 1, "timestamp": "2026-09-30T23:59:59Z", "team_id": "late"},
    {"cost_usd": 1, "team_id": "", "user_id": " ", "agent_id": "\u202e\t", "metadata": None},
    {"cost_usd": 1, "team_id": "\U0001f600/\\", "resource_type": "Größe", "resource_id": "ﬁ"},
    {"cost_usd": 1, "metadata": {"z": [1.50, {"b": None, "a": '\n"\u2028'}], "a": 10**30}},
    {"cost_usd": "1e-3", "quantity": "007.50"[2:], "more": {"deep": [[[]]]}, "usage_id": 17},
]


@pytest.mark.parametrize(
    "event",
    [
        {"call_id": "c", "operation_type": "chat", "total_tokens": 7, "cost_usd": 1,
         "timestamp": "2026-10-03T12:00:00Z", "metadata": {"team_id": "A"}},
        {"specversion": "1.0", "id": "c", "source": "", "type": "t",
         "time": "2026-10-03T12:00:00Z",
         "data": {"team_id": "A", "resource_type": "chat", "quantity": 7, "cost_usd": 1}},
    ],
    ids=["cost record", "cloudevent"],
)  # fmt: skip
def test_every_format_of_the_topic_is_taken(api: Api, event: dict[str, Any]) -> None:
    media_type = "application/cloudevents+json" if "specversion" in event else "application/json"
    if event.get("source") == "":
        event = {**event, "source": "/agents"}
    reply = api.having(Content_Type=media_type).post("usage", event)
    assert reply.status == 201, reply
    record = reply.json["usage_record"]
    assert (record["usage_id"], record["team_id"], record["quantity"]) == ("c", "A", "7")
    assert record["resource_type"] == "chat"


def test_usage_of_a_closed_month_is_late(api: Api) -> None:
    api.ok("POST", "usage", {**EVENT, "timestamp": "2026-09-03T12:00:00Z"})
    api.ok("POST", "periods/2026-09/close")
    record = api.ok(
        "POST", "usage", {**EVENT, "usage_id": "u-2", "timestamp": "2026-09-04T12:00:00Z"}
    )["usage_record"]
    assert (record["late"], record["billing_period"]) == (True, "2026-10")
    september = api.ok("GET", "usage/summary", period="2026-09")["summary"]
    assert september["record_count"] == "2", "by its own day, late or not"


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        (b'{"cost_usd": 1', 400, "not_json", "#"),
        (b"", 400, "empty", "#"),
        (b"[]", 400, "not_an_object", "#"),
        (b'{"cost_usd": NaN}', 400, "not_a_number", "#"),
        (b'{"cost_usd": 1, "cost_usd": 2}', 400, "duplicate_keys", "#"),
        (b'{"team_id": "A"}', 400, "missing_cost", "#/cost_usd"),
        (b'{"cost_usd": "1_0"}', 400, "not_a_number", "#/cost_usd"),
        (b'{"cost_usd": 1e12}', 400, "out_of_range", "#/cost_usd"),
        (b'{"cost_usd": 1, "timestamp": "soon"}', 400, "bad_timestamp", "#/timestamp"),
        (b'{"cost_usd": 1, "team_id": {}}', 400, "wrong_type", "#/team_id"),
        (b'{"cost_usd": 1, "timestamp": "2099-01-01T00:00:00Z"}', 422, "time_out_of_range",
         "#/timestamp"),
    ],
)  # fmt: skip
def test_what_cannot_be_counted_is_told_and_not_kept(
    sqlite_api: Api, body: bytes, status: int, code: str, pointer: str
) -> None:
    reply = sqlite_api.post("usage", body)
    assert reply.problem == (status, "usage-refused")
    (fault,) = reply.json["errors"]
    assert (fault["code"], fault["pointer"]) == (code, pointer)
    assert reply.json["error"] == reply.json["detail"]
    with sqlite_api.store.read() as transaction:
        assert not transaction.execute(sa.select(quarantine)).all()
    assert _tally(sqlite_api) == Tally()


def test_a_body_beyond_the_limit_of_an_event_is_refused(sqlite_api: Api) -> None:
    large = json.dumps({**EVENT, "metadata": {"x": "y" * 300_000}})
    assert sqlite_api.post("usage", large).problem == (413, "body-too-large")


def test_records_are_paged_right_while_more_come(api: Api) -> None:
    def record(name: str, day: int) -> None:
        at = f"2026-10-{day:02d}T12:00:00Z"
        api.ok("POST", "usage", {**EVENT, "usage_id": name, "timestamp": at, "agent_id": name})

    for number in range(25):
        record(f"u{number}", 1 + number % 5)
    seen, cursor, days = [], None, []
    while True:
        page = api.ok("GET", "usage", period="2026-10", limit=4, cursor=cursor)
        seen += [row["usage_id"] for row in page["usage_records"]]
        days += [row["timestamp"][:10] for row in page["usage_records"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        record(f"new-{len(seen)}", 5)
    assert len(seen) == len(set(seen))
    assert {f"u{number}" for number in range(25)} <= set(seen)
    assert days == sorted(days, reverse=True)
    assert api.get("usage", period="2026-10", cursor="nowhere").problem == (400, "unknown-place")


def test_usage_without_a_team_can_be_asked_for(api: Api) -> None:
    api.ok("POST", "usage", EVENT)
    api.ok("POST", "usage", {"usage_id": "nobody", "cost_usd": 4, "timestamp": EVENT["timestamp"]})
    asked = {"period": "2026-10", "team_id": ""}
    assert api.ok("GET", "usage/summary", **asked)["summary"]["total_cost_usd"] == "4"
    (row,) = api.ok("GET", "usage", **asked)["usage_records"]
    assert row["usage_id"] == "nobody"


def test_many_clients_with_the_same_events_count_each_once(api: Api) -> None:
    statuses: list[int] = []

    def send() -> None:
        for number in range(10):
            statuses.append(api.post("usage", {**EVENT, "usage_id": f"u{number}"}).status)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 30 + [201] * 10
    assert _tally(api) == Tally(accepted=10, duplicate=30)
    _sound(api)


def test_a_range_may_be_written_in_each_way(sqlite_api: Api) -> None:
    for asked in (
        {"period": "2024-01"},
        {"period": "2024-01-01/2024-02-01"},
        {"period_start": "2024-01-01T00:00:00Z", "period_end": "2024-01-31T23:59:59Z"},
        {"period_start": "2024-01-01", "period_end": "2024-02-01"},
    ):
        summary = sqlite_api.ok("GET", "usage/summary", **asked)["summary"]
        assert (summary["period_start"], summary["period_end"]) == ("2024-01-01", "2024-02-01")
    for wrong in (
        {},
        {"period": "2024-13"},
        {"period": "1999-01"},
        {"period_start": "2024-01-01"},
        {"period": "2024-01", "period_start": "2024-01-01", "period_end": "2024-02-01"},
        {"period_start": "2024-02-01", "period_end": "2024-01-01"},
        {"period": "2024-01", "limits": 5},
    ):
        assert sqlite_api.get("usage/summary", **wrong).problem == (400, "parameter-refused")
    twice = sqlite_api.get("usage/summary?period=2024-01&period=2024-02")
    assert twice.problem == (400, "parameter-refused")
    years = sqlite_api.get("usage/summary", period="2000-01-01/2020-01-01")
    assert years.problem == (400, "range-too-long")
