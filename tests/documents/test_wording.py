"""Numbers as locales write them: the same digits, whatever the signs."""

from datetime import date
from fractions import Fraction

import pytest
from babel import localedata
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.documents.characters import shown
from chargeback_worker.documents.fonts import showable
from chargeback_worker.documents.wording import MINUS, places, wording_of
from chargeback_worker.money import NANO, fixed, plain
from chargeback_worker.period import Period

LOCALES = sorted(localedata.locale_identifiers())


def read(text: str, locale: str) -> str:
    wording = wording_of(locale)
    return text.replace(wording.comma, "").replace(wording.point, ".").replace(MINUS, "-")


# Locales are loaded when they are first asked for.
@given(st.integers(-(10**40), 10**40), st.sampled_from(LOCALES))
def test_a_number_has_all_its_digits_in_every_locale(nano: int, locale: str) -> None:
    wording = wording_of(locale)
    assert read(wording.exact(nano), locale) == fixed(nano)
    assert read(wording.number(nano, places(nano)), locale) == plain(nano)
    cents = nano // 10**7 * 10**7
    assert read(wording.cents(cents), locale) == fixed(cents, 2)


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ("en", "−1,234,567.50"),
        ("de", "−1.234.567,50"),
        ("de_CH", "−1’234’567.50"),
        ("en_IN", "−12,34,567.50"),
        ("fr", "−1\u202f234\u202f567,50"),
        ("ar", "−1,234,567.50"),
    ],
)
def test_groups_and_signs_are_those_of_the_locale(locale: str, expected: str) -> None:
    assert wording_of(locale).cents(-1_234_567_500_000_000) == expected


def test_every_locale_writes_numbers_and_rates_that_pdf_can_show() -> None:
    for locale in LOCALES:
        wording = wording_of(locale)
        texts = (wording.cents(-(10**16)), wording.exact(1), wording.rate(190_000_000))
        assert tuple(map(showable, texts)) == texts, locale
        assert wording.day(date(2026, 10, 3))
        assert wording.month(Period(2026, 10))


@given(st.fractions(0, 1, max_denominator=10**9))
def test_a_share_that_is_rounded_says_so(share: Fraction) -> None:
    text = wording_of("en").share(share)
    digits = Fraction(text.removeprefix("≈ ").removesuffix("%")) / 100
    assert (digits == share) == (not text.startswith("≈"))
    assert abs(digits - share) <= Fraction(1, 2 * 10**6)


def test_a_rate_is_whole() -> None:
    assert wording_of("en").rate(190_000_000) == "19%"
    assert wording_of("en").rate(76_250_000) == "7.625%"
    assert wording_of("en").rate(NANO) == "100%"


def test_what_a_locale_writes_needs_no_escape() -> None:
    """Months in foreign letters are only isolated."""
    assert shown(wording_of("he").month(Period(2026, 10))).strip("\u2068\u2069") == "אוקטובר 2026"
