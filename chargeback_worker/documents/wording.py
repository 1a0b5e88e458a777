"""Numbers and dates as a locale writes them, from exact integers.

Only the signs and the order come from the locale's tables: babel itself formats through a decimal
context that has fewer digits than a sum of quantities may have.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING

from chargeback_worker.money import NANO, divide_half_even, fixed, plain
from chargeback_worker.period import Period

if TYPE_CHECKING:
    # Loaded with the first document: commands that make none start faster without it.
    from babel import Locale

MINUS = "\u2212"
_LATIN = "latn"
_SHARE_PLACES = 4


def places(nano: int) -> int:
    """How many decimals say something."""
    return len(plain(nano).partition(".")[2])


@dataclass(frozen=True, slots=True)
class Wording:
    """How one locale writes. `groups` are the digits of the last group and of those before it."""

    locale: "Locale"
    point: str
    comma: str
    groups: tuple[int, int]
    percent: tuple[str, str]

    def cents(self, nano: int) -> str:
        """Whole cents: `1,234.50`."""
        return self._number(fixed(nano, 2))

    def exact(self, nano: int) -> str:
        """With all nine decimals, so that a column of them lines up."""
        return self._number(fixed(nano))

    def number(self, nano: int | None, places: int) -> str:
        """A quantity or a unit price with that many decimals; nothing of None."""
        if nano is None:
            return ""
        return self._number(fixed(nano, places) if places else plain(nano))

    def rate(self, nano: int) -> str:
        """A rate in 10**-9 in per cent, whole."""
        return self._in_percent(plain(nano * 100))

    def share(self, share: Fraction) -> str:
        """In per cent to four decimals, `≈` before it where there are more."""
        scaled = share * 100 * 10**_SHARE_PLACES
        nearest = divide_half_even(scaled.numerator, scaled.denominator)
        text = self._in_percent(plain(nearest * (NANO // 10**_SHARE_PLACES)))
        return text if nearest == scaled else f"≈ {text}"

    def day(self, day: date) -> str:
        from babel.dates import format_date

        return format_date(day, "long", self.locale)

    def month(self, period: Period) -> str:
        from babel.dates import format_skeleton

        first = date(period.year, period.month, 1)
        return format_skeleton("yMMMM", first, locale=self.locale)

    def _in_percent(self, digits: str) -> str:
        before, after = self.percent
        return f"{before}{self._number(digits)}{after}"

    def _number(self, digits: str) -> str:
        """Plain ASCII digits with the signs of the locale."""
        sign = MINUS if digits.startswith("-") else ""
        whole, point, decimals = digits.removeprefix("-").partition(".")
        last, before = self.groups
        parts = [whole[-last:]]
        whole = whole[:-last]
        while whole:
            parts.insert(0, whole[-before:])
            whole = whole[:-before]
        decimals = f"{self.point}{decimals}" if point else ""
        return f"{sign}{self.comma.join(parts)}{decimals}"


@cache
def wording_of(identifier: str) -> Wording:
    """How a locale writes, by its name."""
    from babel import Locale
    from babel.numbers import get_decimal_symbol, get_group_symbol

    locale = Locale.parse(identifier)
    signs = locale.number_symbols.get(_LATIN, {})
    percent = locale.percent_formats[None]
    before, after = percent.prefix[0], percent.suffix[0]
    sign = signs.get("percentSign", "%")
    return Wording(
        locale,
        get_decimal_symbol(locale, numbering_system=_LATIN),
        get_group_symbol(locale, numbering_system=_LATIN),
        locale.decimal_formats[None].grouping,
        (before.replace("%", sign), after.replace("%", sign)),
    )
