"""Events that leave their id or time to their receipt, as the HTTP door takes them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from chargeback_worker.period import to_us
from chargeback_worker.usage.event import (
    Grain,
    RawEvent,
    Reader,
    Reason,
    Received,
    RefusedEvent,
    UsageEvent,
)

NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
LATER_US = NOW_US + 90_000_000_000
READER = Reader(Grain("UTC"))
BARE = {"cost_usd": 1}


def _read(
    event: dict[str, Any], name: str | None = "made", now_us: int = NOW_US
) -> UsageEvent | RefusedEvent:
    return READER.read(RawEvent(json.dumps(event).encode()), now_us, Received(name))


def _event(event: dict[str, Any], name: str | None = "made", now_us: int = NOW_US) -> UsageEvent:
    found = _read(event, name, now_us)
    assert isinstance(found, UsageEvent), found
    return found


def test_what_says_neither_id_nor_time_is_named_and_dated_by_its_receipt() -> None:
    found = _event(BARE)
    assert (found.usage_id, found.source, found.time_us, found.day) == (
        "made",
        "",
        NOW_US,
        20261122,
    )


def test_a_time_of_receipt_is_no_part_of_the_content() -> None:
    assert _event(BARE).content == _event(BARE, now_us=LATER_US).content
    dated = {**BARE, "timestamp": "2026-11-22T12:00:00Z"}
    assert _event(dated).time_us == NOW_US
    assert _event(dated).content != _event(BARE).content


@pytest.mark.parametrize(
    "event",
    [
        {**BARE, "usage_id": "own"},
        {**BARE, "call_id": "own"},
        {"specversion": "1.0", "id": "own", "source": "/s", "data": BARE},
    ],
)
def test_an_id_of_its_own_stands(event: dict[str, Any]) -> None:
    assert _event(event).usage_id == "own"


def test_the_time_of_an_envelope_stands() -> None:
    wrapped = {"specversion": "1.0", "time": "2026-11-01T00:00:00Z", "data": BARE}
    assert _event(wrapped).day == 20261101


def test_without_a_name_to_give_an_event_without_an_id_is_refused() -> None:
    found = _read(BARE, name=None)
    assert isinstance(found, RefusedEvent)
    assert (found.reason, found.pointer) == (Reason.NO_ID, "/usage_id")


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"cost_usd": None}, "/cost_usd"),
        ({"cost_usd": "1_0"}, "/cost_usd"),
        ({"quantity": 10**19}, "/quantity"),
        ({"timestamp": "yesterday"}, "/timestamp"),
        ({"timestamp": "1999-12-31T00:00:00Z"}, "/timestamp"),
        ({"timestamp": "2026-11-30T00:00:00Z"}, "/timestamp"),
        ({"team_id": ["A"]}, "/team_id"),
        ({"usage_id": "x" * 513}, "/usage_id"),
        ({"resource_type": 5}, "/resource_type"),
        ({"metadata": "none"}, "/metadata"),
    ],
)
def test_a_refusal_points_at_its_field(changed: dict[str, Any], pointer: str) -> None:
    found = _read({**BARE, **changed})
    assert isinstance(found, RefusedEvent)
    assert found.pointer == pointer


def test_elsewhere_an_event_without_a_time_is_refused_still() -> None:
    found = READER.read(RawEvent(b'{"usage_id": "a", "cost_usd": 1}'), NOW_US)
    assert isinstance(found, RefusedEvent)
    assert found.reason is Reason.MISSING_TIMESTAMP
