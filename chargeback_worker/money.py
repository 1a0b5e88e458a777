"""Exact amounts: whole numbers of nano-dollars (1 USD = 10**9), and the two ways to divide one.

Quantities use the same scale: a whole number of 10**-9 of their unit. No float takes part.
Only `split` and `round_to_cents` make parts of a whole, and each asserts that the parts sum to it.
"""

import re
from collections.abc import Hashable, Iterable, Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Protocol, Self, TypeVar

NANO = 10**9
NANO_PER_CENT = 10**7
EXA = 10**18
"""Units that are counted apart where a sum of quantities would pass 64 bits after ten of them."""
COST_LIMIT_NANO = 10**9 * NANO
"""|cost_usd| of one usage event may reach USD 10**9; a record then fits one 64-bit integer."""
QUANTITY_LIMIT_NANO = 10**18 * NANO

_PLAIN_DECIMAL = re.compile(
    r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE](?P<sign>[+-]?)0*(?P<exponent>[0-9]+))?", re.ASCII
)
# Enough digits for any text that passes the bound on the exponent and on the length.
_EXACT = Context(prec=400)
NUMBER_TEXT_MAX = 256
_EXPONENT_MAX = 28
# Decimal refuses an exponent of 19 digits; one of 10 is already beyond any text of that length.
_EXPONENT_DIGITS_MAX = 9
_DIGITS_AT_ONCE = 40
_POWERS_OF_TEN: tuple[int, ...] = tuple(10**exponent for exponent in range(_DIGITS_AT_ONCE + 1))


class Ordered(Hashable, Protocol):
    """A key of a part: ties are broken by its order."""

    def __lt__(self, other: Self, /) -> bool: ...


K = TypeVar("K", bound=Ordered)


class NotADecimal(ValueError):
    """A text that is no plain decimal number as JSON writes it."""


class OutOfRange(ValueError):
    """A number beyond the limit that was given."""


class TooManyDecimals(ValueError):
    """A number that nano-units cannot hold as it is."""


def nano_from_text(text: str, *, limit: int) -> int:
    """Nano-units of a decimal text, rounded half-even once.

    `limit` is the largest magnitude allowed, in nano-units, compared before rounding. The exponent
    is bounded before any integer is made: `int(Decimal("1e3000000"))` takes minutes.
    Raises NotADecimal or OutOfRange.
    """
    whole, point, decimals = text.partition(".")
    digits = whole + decimals
    # Most amounts are of this shape, and Decimal takes three times as long for them.
    if (
        len(digits) <= _DIGITS_AT_ONCE
        and digits.isascii()
        and digits.isdigit()
        and (whole == "0" or whole[:1] > "0")
        and (decimals or not point)
    ):
        return _nano_from_digits(int(digits), len(decimals), text, limit)
    return _nano_from_decimal(text, limit)


def _nano_from_digits(digits: int, places: int, text: str, limit: int) -> int:
    """Nano-units of `digits` with the point `places` from the right."""
    if places <= 9:
        amount = digits * _POWERS_OF_TEN[9 - places]
        if amount > limit:
            raise OutOfRange(text)
        return amount
    scale = _POWERS_OF_TEN[places - 9]
    if digits > limit * scale:
        raise OutOfRange(text)
    return divide_half_even(digits, scale)


def _nano_from_decimal(text: str, limit: int) -> int:
    if len(text) > NUMBER_TEXT_MAX:
        raise OutOfRange(f"a number of {len(text)} characters")
    match = _PLAIN_DECIMAL.fullmatch(text)
    if not match:
        raise NotADecimal(text)
    if len(match["exponent"] or "") > _EXPONENT_DIGITS_MAX:
        if match["sign"] != "-" and text.lower().partition("e")[0].strip("-0."):
            raise OutOfRange(text)
        return 0
    number = Decimal(text)
    if number and number.adjusted() > _EXPONENT_MAX:
        raise OutOfRange(text)
    if number and number.adjusted() < -_EXPONENT_MAX:
        return 0
    scaled = number.scaleb(9, _EXACT)
    if abs(scaled) > limit:
        raise OutOfRange(text)
    return int(scaled.to_integral_value(ROUND_HALF_EVEN, _EXACT))


def exact_nano_from_text(text: str, *, limit: int) -> int:
    """Nano-units of a decimal text, not rounded: what people write down means all its digits.

    Raises NotADecimal, OutOfRange or TooManyDecimals.
    """
    found = nano_from_text(text, limit=limit)
    try:
        exact = Decimal(text) == Decimal(plain(found))
    except InvalidOperation:
        # An exponent that Decimal cannot hold: the number is too small to be anything but lost.
        exact = False
    if not exact:
        raise TooManyDecimals(text)
    return found


def whole_and_nano(amount: int) -> tuple[int, int]:
    """`amount` as the two integers that are stored: floor of the units, and 0 <= nano < 10**9."""
    return divmod(amount, NANO)


def exa_whole_and_nano(amount: int) -> tuple[int, int, int]:
    """`amount` as three integers: the floor of its 10**18 units, 0 <= whole < 10**18, and nano."""
    whole, nano = divmod(amount, NANO)
    return *divmod(whole, EXA), nano


def plain(amount: int) -> str:
    """Exact decimal digits of nano-units, no exponent, no zeros at the end: `5.5`, `-0.25`."""
    sign = "-" if amount < 0 else ""
    whole, nano = divmod(abs(amount), NANO)
    return f"{sign}{whole}.{nano:09d}".rstrip("0").rstrip(".") if nano else f"{sign}{whole}"


def fixed(amount: int, places: int = 9) -> str:
    """Exact decimal digits of nano-units with `places` decimals; what is cut off must be zero."""
    sign = "-" if amount < 0 else ""
    step = 10 ** (9 - places)
    assert amount % step == 0, (amount, places)
    whole, rest = divmod(abs(amount) // step, 10**places)
    return f"{sign}{whole}.{rest:0{places}d}"


def divide_half_even(numerator: int, denominator: int) -> int:
    """The nearest integer to an exact quotient, ties to the even one; `denominator` > 0."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def split(total: int, weights: Mapping[K, int], *, otherwise: K) -> dict[K, int]:
    """Divide `total` in proportion to exact integer `weights` >= 0, by the largest remainder.

    Each part is within one unit of its exact share; ties go to the smallest key; a negative total
    is mirrored; all-zero weights divide evenly; with no weights at all `otherwise` bears it all.
    """
    if not weights:
        return {otherwise: total}
    assert min(weights.values()) >= 0, weights
    if len(weights) == 1:
        return dict.fromkeys(weights, total)
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1)
    size = abs(total)
    whole = sum(weights.values())
    floors = {key: divmod(size * weight, whole) for key, weight in weights.items()}
    missing = size - sum(quotient for quotient, _ in floors.values())
    receiving = set(_by_remainder(((rest, key) for key, (_, rest) in floors.items()), missing))
    sign = -1 if total < 0 else 1
    parts = {key: sign * (quotient + (key in receiving)) for key, (quotient, _) in floors.items()}
    assert sum(parts.values()) == total, (total, weights)
    return parts


def round_to_cents(amounts: Mapping[K, int], target_cents: int | None = None) -> dict[K, int]:
    """Whole cents for amounts in nano-dollars of any sign, summing to `target_cents`.

    The target is the sum rounded half-even where none is given. Every amount is floored toward
    minus infinity; the cents missing to the target go to the largest remainders, ties to the
    smallest key. A given target may be further off than one cent a key (an invoice whose own cents
    came from above): the rounds then repeat, in the same order.
    """
    if target_cents is None:
        target_cents = divide_half_even(sum(amounts.values()), NANO_PER_CENT)
    floors = {key: divmod(amount, NANO_PER_CENT) for key, amount in amounts.items()}
    missing = target_cents - sum(quotient for quotient, _ in floors.values())
    assert amounts or not missing, target_cents
    each, missing = divmod(missing, len(amounts)) if amounts else (0, 0)
    receiving = set(_by_remainder(((rest, key) for key, (_, rest) in floors.items()), missing))
    cents = {key: quotient + each + (key in receiving) for key, (quotient, _) in floors.items()}
    assert sum(cents.values()) == target_cents, (amounts, target_cents)
    return cents


def _by_remainder(remainders: Iterable[tuple[int, K]], count: int) -> list[K]:
    """The keys of the `count` largest remainders, ties by key."""
    if not count:
        return []
    by_key = sorted(remainders, key=lambda item: item[1])
    return [key for _, key in sorted(by_key, key=lambda item: -item[0])[:count]]
