import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargeback_worker.usage.json_object import NESTING_MAX, decode_object
from chargeback_worker.usage.refusal import Reason, Refusal

hard_texts = st.text(
    st.sampled_from('a:"\\{}[], u0') | st.characters(exclude_categories=["Cs"]), max_size=8
).filter(lambda text: "\0" not in text)
scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | hard_texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hard_texts, inner, max_size=3),
    max_leaves=12,
)
objects = st.dictionaries(hard_texts, values, max_size=5)


@st.composite
def object_texts(draw: st.DrawFn) -> tuple[str, bool]:
    """JSON text of an object, oddly written, and whether an object in it has a key twice."""
    twice = False
    space = st.sampled_from(["", "", " ", "\n\t "])

    def text(value: str) -> str:
        return json.dumps(value, ensure_ascii=draw(st.booleans()))

    def members(level: int) -> str:
        nonlocal twice
        keys = draw(st.lists(st.sampled_from(["a", ":", '"', "\\", "é", 'a":']), max_size=4))
        twice = twice or len(set(keys)) < len(keys)
        return ",".join(
            f"{draw(space)}{text(key)}{draw(space)}:{draw(space)}{any_value(level)}" for key in keys
        )

    def any_value(level: int) -> str:
        kind = draw(st.integers(0, 3 if level else 1))
        if kind == 0:
            return text(draw(hard_texts))
        if kind == 1:
            return draw(st.sampled_from(["1", "-0.50", "1e400", "null", "true"]))
        if kind == 2:
            return (
                "[" + ",".join(any_value(level - 1) for _ in range(draw(st.integers(0, 3)))) + "]"
            )
        return "{" + members(level - 1) + "}"

    return "{" + members(3) + draw(space) + "}", twice


@given(objects, st.booleans(), st.sampled_from([None, 1]))
def test_an_object_is_read_as_it_was_written(
    written: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(written, ensure_ascii=ascii_only, indent=indent)
    assert decode_object(text.encode()) == written


@given(object_texts())
@example(('{"a" :1,"a" :2,"b":":"}', True))
@example((r'{"a\\":1,"a\"":2,"a":"\\\""}', False))
def test_a_key_that_comes_twice_is_found_at_any_depth(made: tuple[str, bool]) -> None:
    text, twice = made
    if twice:
        with pytest.raises(Refusal) as refused:
            decode_object(text.encode())
        assert refused.value.reason == Reason.DUPLICATE_KEYS
    else:
        decode_object(text.encode())


@given(
    st.from_regex(r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,8})?", fullmatch=True)
)
def test_a_number_is_written_again_digit_by_digit(number: str) -> None:
    again = msgspec.json.encode(decode_object(f'{{"n": {number}}}'.encode()))
    assert again == f'{{"n":{0 if number == "-0" else number}}}'.encode()


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(text: bytes) -> None:
    with suppress(Refusal):
        assert isinstance(decode_object(text), dict)


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert decode_object(rb'{"a": "\\u0000"}') == {"a": "\\u0000"}
    assert decode_object(rb'{"a": "\\\\u0000"}') == {"a": r"\\u0000"}
    for nul in (rb'{"a": "\u0000"}', rb'{"a": "\\\u0000"}', rb'{"\u0000": "\\u0000"}'):
        with pytest.raises(Refusal) as refused:
            decode_object(nul)
        assert refused.value.reason == Reason.BAD_TEXT


@pytest.mark.parametrize(
    ("opening", "closing", "repeated"),
    [(b"[", b"]", NESTING_MAX - 1), (b'{"a":', b"}", NESTING_MAX - 1), (b'[{"":', b"}]", 31)],
)
def test_nesting_is_limited_by_the_text_alone(
    opening: bytes, closing: bytes, repeated: int
) -> None:
    assert decode_object(b'{"a":' + opening * repeated + b"1" + closing * repeated + b"}")
    repeated += 1
    with pytest.raises(Refusal) as refused:
        decode_object(b'{"a":' + opening * repeated + b"1" + closing * repeated + b"}")
    assert refused.value.reason == Reason.TOO_DEEP


def test_a_deep_caller_reads_the_same() -> None:
    deep = b'{"a":' + b"[" * (NESTING_MAX - 1) + b"]" * (NESTING_MAX - 1) + b"}"

    def call(depth: int) -> dict[str, object]:
        return call(depth - 1) if depth else decode_object(deep)

    assert call(500) == decode_object(deep)
