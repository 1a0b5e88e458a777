import base64
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.errors import Misconfigured
from chargeback_worker.money import NANO, plain
from chargeback_worker.period import from_us, to_us
from chargeback_worker.usage.event import (
    Grain,
    InvalidLabels,
    RawEvent,
    Reader,
    Reason,
    RefusedEvent,
    UnknownTimezone,
    UsageEvent,
    content_digest,
    identity_digest,
)

NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
TIME = "2026-10-31T12:00:00Z"
RECORD: dict[str, Any] = {"usage_id": "a", "timestamp": TIME, "cost_usd": 1}
CALL: dict[str, Any] = {"call_id": "a", "timestamp": TIME, "cost_usd": 1}
READER = Reader(Grain("UTC", labels=("model", "project")))

texts = st.text(
    st.sampled_from('ab"\\: é') | st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    max_size=6,
)
owners = st.none() | texts | st.integers(-(10**20), 10**20)
amounts = st.integers(-(10**18), 10**18).map(plain)
members = st.dictionaries(texts, st.none() | texts | st.booleans() | st.integers(), max_size=3)
records = st.fixed_dictionaries(
    {
        "usage_id": texts.filter(bool) | st.integers(),
        "timestamp": st.datetimes(datetime(2000, 1, 1), datetime(2026, 11, 22)).map(
            lambda moment: moment.isoformat() + "Z"
        ),
        "cost_usd": amounts,
    },
    optional={
        "team_id": owners,
        "user_id": owners,
        "agent_id": owners,
        "resource_type": st.none() | texts,
        "resource_id": owners,
        "quantity": st.none() | amounts,
        "metadata": st.none() | members,
        "model": texts,
        "project": st.none() | st.booleans() | st.integers(),
        "attempt": st.lists(st.integers(), max_size=2),
    },
)
envelopes = st.fixed_dictionaries(
    {"specversion": st.just("1.0"), "id": texts.filter(bool), "source": texts.filter(bool)},
    optional={"type": texts, "time": texts, "subject": texts, "model": texts},
)


def read(event: object, reader: Reader = READER, **raw: Any) -> UsageEvent:
    """The event in a JSON value or in bytes, which must not be refused."""
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    read = reader.read(RawEvent(value, **raw), NOW_US)
    assert isinstance(read, UsageEvent), read
    return read


def reason(event: object, reader: Reader = READER) -> Reason:
    refused = reader.read(RawEvent(json.dumps(event).encode()), NOW_US)
    assert isinstance(refused, RefusedEvent), refused
    return refused.reason


def shuffled(value: object, random: Random) -> object:
    """The same JSON value with the keys of its objects in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(inner, random)) for key, inner in value.items()]
        random.shuffle(items)
        return dict(items)
    return value


@given(records, st.randoms(use_true_random=False), st.sampled_from([None, 0, 3]), st.booleans())
def test_order_of_keys_and_white_space_change_nothing(
    record: dict[str, Any], random: Random, indent: int | None, ascii_only: bool
) -> None:
    again = json.dumps(shuffled(record, random), indent=indent, ensure_ascii=ascii_only)
    assert read(again.encode()) == read(record)


@given(records, envelopes)
def test_the_envelope_changes_nothing_where_the_data_has_an_id(
    record: dict[str, Any], envelope: dict[str, str]
) -> None:
    bare = read(record)
    value = json.dumps(record).encode()
    assert read({**envelope, "data": record}) == bare
    assert read({**envelope, "data_base64": base64.b64encode(value).decode()}) == bare
    headers = tuple((f"ce_{key}", text.encode()) for key, text in envelope.items())
    assert read(record, headers=headers) == bare
    assert read(record, headers=(("traceparent", b"\xff"), *headers, ("ce_x", None))) == bare


@given(records)
def test_digests_are_those_of_what_was_read(record: dict[str, Any]) -> None:
    event = read(record)
    assert event.identity == identity_digest(event.source, event.usage_id)
    assert event.content == content_digest(
        event.time_us, event.team, event.user, event.agent, event.resource_type,
        event.quantity, event.cost, event.labels,
    )  # fmt: skip


@given(records, members, owners)
def test_metadata_and_resource_take_no_part_in_identity_and_content(
    record: dict[str, Any], members: dict[str, Any], resource: object
) -> None:
    metadata = {"model": "m", "project": "p", "team_id": "t", "user_id": "u"}
    one = read({**record, "metadata": metadata})
    other = read({**record, "metadata": {**members, **metadata}, "resource_id": resource, "x": 1})
    assert (one.identity, one.content) == (other.identity, other.content)


@pytest.mark.parametrize(
    "change",
    [{"timestamp": "2026-10-31T12:00:00.000001Z"}, {"team_id": "T"}, {"user_id": "U"},
     {"agent_id": "g"}, {"resource_type": "storage"}, {"quantity": 1}, {"cost_usd": 1.000000001},
     {"metadata": {"model": "m"}}, {"metadata": {"project": ""}}, {"model": "m"}],
)  # fmt: skip
def test_each_part_of_the_content_makes_a_conflict(change: dict[str, Any]) -> None:
    one, other = read(RECORD), read({**RECORD, **change})
    assert one.identity == other.identity
    assert one.content != other.content


@pytest.mark.parametrize(
    "same",
    [{"quantity": 0}, {"quantity": None}, {"quantity": -0.0}, {"resource_type": "query"},
     {"resource_type": ""}, {"team_id": ""}, {"team_id": None}, {"user_id": ""}, {"agent_id": ""},
     {"metadata": {}}, {"metadata": None}, {"metadata": {"retry": True}}, {"received_at": "now"},
     {"timestamp": "2026-10-31T14:00:00.0000000+02:00"}, {"timestamp": "2026-10-31 12:00"},
     {"cost_usd": "1.00"}, {"cost_usd": 1.0000000002}, {"metadata": {"project": None}}],
)  # fmt: skip
def test_content_is_compared_after_defaults(same: dict[str, Any]) -> None:
    assert read({**RECORD, **same}).content == read(RECORD).content


@given(st.integers(-(10**20), 10**20))
def test_an_integer_id_is_read_as_its_text(number: int) -> None:
    for field in ("usage_id", "team_id", "user_id", "agent_id", "resource_id"):
        assert read({**RECORD, field: number}) == read({**RECORD, field: str(number)})


def test_an_id_of_zero_is_an_id() -> None:
    event = read({**RECORD, "usage_id": 0, "team_id": 0, "metadata": {"team_id": "T"}})
    assert (event.usage_id, event.team) == ("0", "0")


def test_ids_differ_where_their_characters_do() -> None:
    composed, decomposed = "\u00e9", "e\u0301"
    ids = ["A", "a", " a", "a ", composed, decomposed, "a\u200b", "\u202ea"]
    assert len({read({**RECORD, "usage_id": text}).identity for text in ids}) == len(ids)


def test_an_own_id_has_the_source_of_the_grain() -> None:
    reader = Reader(Grain("UTC", source="eu"))
    wrapped = {"specversion": "1.0", "id": "e", "source": "/s", "data": RECORD}
    assert read(RECORD, reader).source == read(wrapped, reader).source == "eu"
    assert read(RECORD).source == ""
    assert read(RECORD).identity != read(RECORD, reader).identity


def test_the_longest_allowed_text_is_accepted() -> None:
    text = "é" * 512
    event = read({**RECORD, "usage_id": text, "team_id": text, "metadata": {"project": text}})
    assert (event.usage_id, event.team, event.labels) == (text, text, (None, text))
    assert reason({**RECORD, "metadata": {"project": text + "x"}}) == Reason.ID_TOO_LONG


def test_labels_are_texts_of_metadata_in_the_order_of_their_names() -> None:
    def labels(**metadata: object) -> tuple[str | None, ...]:
        return read({**RECORD, "metadata": metadata}).labels

    assert labels(project="x", model="m", other="o") == ("m", "x")
    assert labels(project="") == (None, "")
    assert labels(project=None) == labels() == (None, None)
    assert labels(project=7, model=True) == ("true", "7")
    assert labels(model=False) == ("false", None)
    exact = read(b'{"usage_id":1,"timestamp":"2026-10-31T12:00Z","cost_usd":1,"model":1.50e+2}')
    assert exact.labels == ("1.50e+2", None)
    assert reason({**RECORD, "metadata": {"project": ["x"]}}) == Reason.WRONG_TYPE
    assert reason({**RECORD, "metadata": {"project": {}}}) == Reason.WRONG_TYPE


def test_a_label_beside_metadata_counts_as_one_in_it() -> None:
    inside = read({**CALL, "metadata": {"model": "m"}})
    beside = read({**CALL, "model": "m"})
    assert inside == beside
    assert read({**CALL, "model": "m", "metadata": {"model": "n"}}).labels == ("n", None)


def test_metadata_is_kept_exactly_and_compactly() -> None:
    event = read(
        b'{"usage_id":1,"timestamp":"2026-10-31T12:00Z","cost_usd":1, "z": 1.50, "b":"top",'
        b'"metadata": {"b": [1e400, {"y": null, "x": "\\u00e9\\n\\""}], "n": 12345678901234567890}}'
    )
    assert event.metadata == (
        '{"b":[1e400,{"x":"é\\n\\"","y":null}],"n":12345678901234567890,"z":1.50}'
    )
    assert read(RECORD).metadata is None


def test_amounts_are_read_from_their_digits() -> None:
    event = read(
        b'{"usage_id":1,"timestamp":"2026-10-31T12:00Z","cost_usd":0.123456789512345678901,'
        b'"quantity":"1e18"}'
    )
    assert (event.cost, event.quantity) == (123456790, 10**27)
    refund = read({**RECORD, "cost_usd": -5.5, "quantity": -3})
    assert (refund.cost, refund.quantity) == (-5_500_000_000, -3 * NANO)


def test_times_are_limited_by_the_clock_that_is_given() -> None:
    def at(us: int, reader: Reader = READER) -> UsageEvent | RefusedEvent:
        event = {**RECORD, "timestamp": from_us(us).isoformat()}
        return reader.read(RawEvent(json.dumps(event).encode()), NOW_US)

    day = timedelta(days=1) // timedelta(microseconds=1)
    assert isinstance(at(NOW_US + day), UsageEvent)
    assert at(NOW_US + day + 1).reason == Reason.TIME_OUT_OF_RANGE  # type: ignore[union-attr]
    aged = Reader(Grain("UTC"), max_age=timedelta(days=30))
    assert isinstance(at(NOW_US - 30 * day, aged), UsageEvent)
    assert at(NOW_US - 30 * day - 1, aged).reason == Reason.TOO_OLD  # type: ignore[union-attr]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "UTC"])
def test_no_limit_leads_beyond_the_years_of_periods(zone: str) -> None:
    reader = Reader(Grain(zone), max_future=timedelta(days=3_000_000))
    days = set()
    for timestamp in ("2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z", "9998-12-31T00:00:00Z",
                      "9998-12-31T00:00:01Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59",
                      "0001-01-01T00:00:00+23:59", "1999-12-31T23:59:59Z"):  # fmt: skip
        raw = RawEvent(json.dumps({**RECORD, "timestamp": timestamp}).encode())
        event = reader.read(raw, NOW_US)
        if isinstance(event, UsageEvent):
            days.add(event.day)
        else:
            assert event.reason == Reason.TIME_OUT_OF_RANGE
    assert 20000101 <= min(days) <= max(days) <= 99981231
    assert len(days) >= 2


def test_the_size_of_an_event_is_limited_where_configured() -> None:
    small = Reader(Grain("UTC"), event_bytes_max=len(json.dumps(RECORD)))
    assert read(RECORD, small)
    assert reason({**RECORD, "x": 1}, small) == Reason.TOO_LARGE


def test_a_first_fault_is_named_by_the_order_of_checks() -> None:
    faulty: dict[str, Any] = {"team_id": True, "metadata": 7, "quantity": "x"}
    order: list[tuple[dict[str, Any], Reason]] = [
        ({}, Reason.NO_ID),
        ({"usage_id": "a"}, Reason.MISSING_TIMESTAMP),
        ({"timestamp": "soon"}, Reason.BAD_TIMESTAMP),
        ({"timestamp": TIME}, Reason.MISSING_COST),
        ({"cost_usd": []}, Reason.NOT_A_NUMBER),
        ({"cost_usd": 1e10}, Reason.OUT_OF_RANGE),
        ({"cost_usd": 1}, Reason.NOT_A_NUMBER),
        ({"quantity": 1}, Reason.WRONG_TYPE),
    ]
    for fields, expected in order:
        faulty |= fields
        assert reason(faulty) == expected


def test_a_grain_sorts_its_labels_and_refuses_what_cannot_be_kept() -> None:
    assert Grain("UTC", ("b", "a")) == Grain("UTC", ("a", "b"))
    for labels in [("a", "a"), ("",), tuple("abcdefghi")]:
        with pytest.raises(InvalidLabels, match=r"grain\.labels"):
            Grain("UTC", labels)
    for timezone in ("Mars/Base", "", "../etc/passwd", "/etc/localtime", "UTC\0", "x" * 300):
        with pytest.raises(UnknownTimezone) as unknown:
            Reader(Grain(timezone))
        assert isinstance(unknown.value, Misconfigured)
