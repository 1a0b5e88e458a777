import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.usage.event import (
    Grain,
    RawEvent,
    Reader,
    Reason,
    RefusedEvent,
    UsageEvent,
)
from tests.support.poison import CORPUS, GOOD, NOW_US, Poison, changed

READER = Reader(Grain("UTC"))
headers = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_time", "traceparent"]),
        st.none()
        | st.sampled_from([b"1.0", b"2026-10-31T12:00:00Z", b"x"])
        | st.binary(max_size=8),
    ),
    max_size=5,
).map(tuple)
fragments = st.sampled_from(
    [b'"', b"\\", b"\\u0000", b"\\ud800", b":", b",", b"{", b"}", b"[", b"]", b"0", b"-",
     b".", b"e", b"NaN", b"null", b'"usage_id":1,', b'"specversion":"1.0",', b" ", b"\x00",
     b"\xff", b"\xc3\xa9"]
)  # fmt: skip


@pytest.mark.parametrize("poison", CORPUS, ids=lambda poison: poison.name)
def test_poison_is_refused_with_its_reason_and_a_sentence(poison: Poison) -> None:
    refused = READER.read(poison.raw, NOW_US)
    assert isinstance(refused, RefusedEvent)
    assert refused.reason == poison.reason
    assert refused.detail.endswith(".")
    assert len(refused.detail) < 400
    refused.detail.encode()
    assert refused.detail.isprintable()


def test_every_reason_but_one_is_in_the_corpus() -> None:
    # Age is limited only where it is configured.
    assert {poison.reason for poison in CORPUS} == set(Reason) - {Reason.TOO_OLD}
    assert len({poison.name for poison in CORPUS}) == len(CORPUS)


def test_the_event_behind_the_corpus_is_good() -> None:
    assert isinstance(READER.read(RawEvent(GOOD), NOW_US), UsageEvent)
    assert isinstance(READER.read(RawEvent(changed()), NOW_US), UsageEvent)


@given(st.binary(max_size=300), headers)
def test_any_bytes_are_an_event_or_refused(
    value: bytes, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    assert isinstance(READER.read(RawEvent(value, headers), NOW_US), UsageEvent | RefusedEvent)


@given(st.data(), headers)
def test_a_damaged_event_is_an_event_or_refused(
    data: st.DataObject, headers: tuple[tuple[str, bytes | None], ...]
) -> None:
    value = GOOD
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(value)))
        end = data.draw(st.integers(start, min(start + 4, len(value))))
        value = value[:start] + data.draw(fragments) + value[end:]
    event = READER.read(RawEvent(value, headers), NOW_US)
    if isinstance(event, UsageEvent):
        for text in (event.usage_id, event.team, event.user, event.agent, event.resource_type):
            assert text is None or "\0" not in text
            (text or "").encode()
        assert len(event.metadata or "") <= len(value)


def test_the_details_name_the_field_and_show_the_value_shortened() -> None:
    shown = {poison.name: READER.read(poison.raw, NOW_US) for poison in CORPUS}

    def detail(name: str) -> str:
        refused = shown[name]
        assert isinstance(refused, RefusedEvent)
        return refused.detail

    assert re.search(r"cost_usd is 'many', neither a number", detail("a word for a cost"))
    assert "quantity is true" in detail("true for a quantity")
    assert "looks like milliseconds since 1970" in detail("milliseconds")
    assert "'cost_usd' comes twice" in detail("duplicate keys")
    assert "10240 characters" in detail("an id of 10 KB")
    assert "byte 70 is 0xfc" in detail("Latin-1")
    assert "no source" in detail("no source beside the id")
