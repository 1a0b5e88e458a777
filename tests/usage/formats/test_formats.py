import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from chargeback_worker.usage.event import Grain, RawEvent, Reader, Reason, RefusedEvent, UsageEvent
from chargeback_worker.usage.fields import Fields
from chargeback_worker.usage.formats import FORMATS
from chargeback_worker.usage.json_object import JsonObject
from tests.support.poison import NOW_US

TIME = "2026-10-31T12:00:00Z"
READER = Reader(Grain("UTC", labels=("model", "provider")))
CALL: dict[str, Any] = {
    "call_id": "k", "timestamp": TIME, "provider": "azure", "model": "gpt-4", "prompt_tokens": 5,
    "completion_tokens": 2, "total_tokens": 7, "cost_usd": 0.25, "agent_id": "g",
    "operation_type": "embedding", "metadata": {"team_id": "T", "user_id": "U", "trace": "t"},
}  # fmt: skip
RECORD: dict[str, Any] = {
    "usage_id": "k", "timestamp": TIME, "team_id": "T", "user_id": "U", "agent_id": "g",
    "resource_type": "embedding", "resource_id": "index-1", "quantity": 7, "cost_usd": 0.25,
    "metadata": {"trace": "t"},
}  # fmt: skip
NO_ID: dict[str, Any] = {"timestamp": TIME, "cost_usd": 1}


def read(
    event: object, headers: tuple[tuple[str, bytes | None], ...] = ()
) -> UsageEvent | RefusedEvent:
    return READER.read(RawEvent(json.dumps(event).encode(), headers), NOW_US)


def accepted(event: object, headers: tuple[tuple[str, bytes | None], ...] = ()) -> UsageEvent:
    read_event = read(event, headers)
    assert isinstance(read_event, UsageEvent), read_event
    return read_event


def cloudevent(data: object, **attributes: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": "e", "source": "/s", "type": "t", "data": data} | attributes


@pytest.mark.parametrize("read_format", FORMATS, ids=lambda read_format: read_format.__module__)
def test_a_format_drops_no_field(read_format: Callable[[JsonObject], Fields | None]) -> None:
    for event in (CALL, RECORD):
        fields = read_format(dict(event))
        if fields is not None:
            kept = [getattr(fields, name) for name in fields.__struct_fields__ if name != "rest"]
            kept += fields.rest.values()
            assert all(value in kept for value in event.values())


def test_the_last_format_takes_every_event() -> None:
    assert FORMATS[-1]({}) is not None


def test_a_usage_record_is_read() -> None:
    event = accepted(RECORD)
    assert (event.usage_id, event.team, event.user, event.agent) == ("k", "T", "U", "g")
    assert (event.resource_type, event.resource_id) == ("embedding", "index-1")
    assert (event.quantity, event.cost) == (7_000_000_000, 250_000_000)
    assert (event.day, event.metadata) == (20261031, '{"trace":"t"}')


def test_a_cost_record_is_read() -> None:
    event = accepted(CALL)
    assert (event.usage_id, event.team, event.user, event.agent) == ("k", "T", "U", "g")
    assert (event.resource_type, event.quantity, event.cost) == (
        "embedding", 7_000_000_000, 250_000_000,
    )  # fmt: skip
    assert event.labels == ("gpt-4", "azure")
    assert json.loads(event.metadata or "") == {
        "provider": "azure", "model": "gpt-4", "prompt_tokens": 5, "completion_tokens": 2,
        "trace": "t",
    }  # fmt: skip


def test_both_formats_of_one_use_have_one_identity() -> None:
    assert accepted(CALL).identity == accepted(RECORD).identity


def test_owners_at_the_top_stand_before_those_in_metadata() -> None:
    for base in (CALL, RECORD):
        event = accepted({**base, "team_id": "top", "metadata": {"team_id": "T", "user_id": "U"}})
        assert event.team == "top"
        assert '"team_id":"T"' in (event.metadata or "")
        empty = accepted({**base, "team_id": "", "user_id": None, "metadata": {"team_id": "T"}})
        assert (empty.team, empty.user) == ("T", None)
        assert "team_id" not in (empty.metadata or "")


def test_a_wrong_owner_in_metadata_is_refused() -> None:
    refused = read({**CALL, "metadata": {"team_id": ["T"]}})
    assert isinstance(refused, RefusedEvent)
    assert refused.reason == Reason.WRONG_TYPE


def test_an_empty_usage_id_gives_way_to_the_call_id() -> None:
    assert accepted({**CALL, "usage_id": ""}).usage_id == "k"
    assert accepted({**RECORD, "call_id": "other"}).usage_id == "k"


def test_data_without_an_id_takes_source_and_id_of_its_envelope() -> None:
    event = accepted(cloudevent(NO_ID))
    assert (event.source, event.usage_id) == ("/s", "e")
    assert accepted(cloudevent(NO_ID, id=7)).usage_id == "7"
    assert accepted(cloudevent({**NO_ID, "usage_id": "", "call_id": None})).usage_id == "e"


def test_a_cost_record_without_an_id_is_known_by_its_fields() -> None:
    event = accepted(cloudevent({**NO_ID, "operation_type": "chat", "total_tokens": 3}))
    assert (event.resource_type, event.quantity) == ("chat", 3_000_000_000)


@pytest.mark.parametrize(
    "own", [{"resource_type": "gpu", "quantity": 5}, {"resource_type": "gpu"}, {"quantity": 0.5}]
)
def test_a_usage_record_without_an_id_may_have_fields_of_a_cost_record(own: dict[str, Any]) -> None:
    more = {"operation_type": "chat", "total_tokens": 300}
    event = accepted(cloudevent({**NO_ID, **own, **more}))
    plain = accepted(cloudevent({**NO_ID, **own}))
    assert (event.resource_type, event.quantity) == (plain.resource_type, plain.quantity)
    assert json.loads(event.metadata or "") == more
    assert (event.identity, event.content) == (plain.identity, plain.content)


@pytest.mark.parametrize("own", [{"resource_type": "gpu", "quantity": 5}, {"quantity": 0}])
def test_a_call_id_makes_it_a_cost_record_whatever_else_there_is(own: dict[str, Any]) -> None:
    event = accepted({**CALL, **own})
    assert (event.usage_id, event.resource_type, event.quantity) == (
        "k", "embedding", 7_000_000_000,
    )  # fmt: skip


def test_fields_of_a_usage_record_that_are_empty_say_nothing() -> None:
    empty = {"resource_type": "", "quantity": None}
    event = accepted(cloudevent({**NO_ID, **empty, "operation_type": "chat", "total_tokens": 3}))
    assert (event.resource_type, event.quantity) == ("chat", 3_000_000_000)


def test_data_without_a_time_takes_that_of_its_envelope() -> None:
    timeless = {"usage_id": "a", "cost_usd": 1}
    expected = accepted({**timeless, "timestamp": TIME})
    assert accepted(cloudevent(timeless, time=TIME)) == expected
    assert accepted(cloudevent({**timeless, "timestamp": ""}, time=TIME)) == expected
    headers = (("ce_specversion", b"1.0"), ("ce_time", TIME.encode()))
    assert accepted(timeless, headers) == expected
    # The data's own time stands, whatever the envelope says.
    assert accepted(cloudevent({**timeless, "timestamp": TIME}, time="soon")) == expected


def test_structured_and_binary_mode_are_the_same_event() -> None:
    headers = (
        ("ce_specversion", b"1.0"), ("ce_id", b"e"), ("ce_source", b"/s"), ("ce_type", b"t"),
        ("content-type", b"application/json; charset=utf-8"),
    )  # fmt: skip
    for data in (NO_ID, CALL, RECORD):
        encoded = base64.b64encode(json.dumps(data).encode()).decode()
        expected = accepted(cloudevent(data))
        assert accepted(data, headers) == expected
        assert accepted(cloudevent(None, data_base64=encoded)) == expected


def test_a_structured_value_is_one_whatever_its_headers_say() -> None:
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"other"), ("ce_source", b"/bridge"))
    assert accepted(cloudevent(NO_ID), headers) == accepted(cloudevent(NO_ID))
    structured = (("content-type", b"application/cloudevents+json"),)
    assert accepted(cloudevent(NO_ID), structured) == accepted(cloudevent(NO_ID))


def test_headers_of_other_standards_are_left_aside() -> None:
    headers = (("traceparent", b"\xff\x00"), ("ce_id", b"e"), ("schema", None))
    assert accepted(RECORD, headers) == accepted(RECORD)
