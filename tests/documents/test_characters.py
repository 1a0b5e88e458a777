"""No text from outside is unseen, and none turns what stands beside it."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.documents.characters import shown
from chargeback_worker.documents.spreadsheet import as_text

ISOLATE, END = "\u2068", "\u2069"
JOINERS = "\u200c\u200d"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_controls_and_directions_are_seen_and_isolates_are_balanced(text: str) -> None:
    told = shown(text)
    inside = told.removeprefix(ISOLATE).removesuffix(END)
    assert (told == inside) == told.isascii()
    for char in inside:
        assert unicodedata.category(char) not in ("Cc", "Zl", "Zp"), repr(char)
        assert unicodedata.bidirectional(char) not in (
            "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
        ), repr(char)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain (text)", "plain (text)"),
        ("a\u202eb", "a[U+202E]b"),
        ("a\x00\tb", "a[U+0000][U+0009]b"),
        ("two\nlines", "two[U+000A]lines"),
        ("\ud800", "[U+D800]"),
        ("tag\U000e0041", "tag[U+E0041]"),
        ("עולם", f"{ISOLATE}עולם{END}"),
        (f"{ISOLATE}open", "[U+2068]open"),
        ("नमस्\u200dते", f"{ISOLATE}नमस्\u200dते{END}"),
        ("a" + "\u0301" * 6, f"{ISOLATE}a" + "\u0301" * 4 + "[U+0301]" * 2 + END),
    ],
)
def test_what_is_unseen_is_its_code_point(text: str, expected: str) -> None:
    assert shown(text) == expected


@given(st.sampled_from("=+-@\t\r\n＝＋－＠"), st.text())
def test_a_formula_is_a_text(sign: str, rest: str) -> None:
    assert as_text(sign + rest) == f"'{sign}{rest}"


@given(st.text())
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert as_text(text) in (text, f"'{text}")
    assert as_text(f"a{text}") == f"a{text}"
