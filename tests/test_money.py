from contextlib import suppress
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chargeback_worker.money import (
    COST_LIMIT_NANO,
    EXA,
    NANO,
    NANO_PER_CENT,
    QUANTITY_LIMIT_NANO,
    NotADecimal,
    OutOfRange,
    TooManyDecimals,
    divide_half_even,
    exa_whole_and_nano,
    exact_nano_from_text,
    fixed,
    nano_from_text,
    plain,
    round_to_cents,
    split,
    whole_and_nano,
)

LIMIT = QUANTITY_LIMIT_NANO
amounts = st.integers(-(10**30), 10**30)
keys = st.text("abcé", max_size=3)
weights = st.dictionaries(keys, st.integers(0, 10**20), min_size=1, max_size=8)
parts_in_nano = st.dictionaries(keys, st.integers(-(10**19), 10**19), min_size=1, max_size=8)
signs = st.sampled_from(["", "-"])
whole_numbers = st.one_of(st.integers(0, 10**21), st.integers(0, 10**60)).map(str)
decimals = st.one_of(st.just(""), st.from_regex(r"\.[0-9]{1,45}", fullmatch=True))
exponents = st.one_of(st.just(""), st.from_regex(r"[eE][+-]?[0-9]{1,3}", fullmatch=True))
json_numbers = st.tuples(signs, whole_numbers, decimals, exponents).map("".join)


def rounded(text: str) -> int | None:
    """What `decimal` makes of a text, in a context wide enough for anything here; None: too big."""
    with localcontext(Context(prec=2500)):
        scaled = Decimal(text) * NANO
        if abs(scaled) > LIMIT:
            return None
        return int(scaled.to_integral_value(ROUND_HALF_EVEN))


@given(json_numbers)
@example("0.5e-9")
@example("1000000000000000000.0000000000000000001")
@example("0.0000000005")
@example("0.0000000015")
@example("-0.0000000025")
@example("1e0000000000000000000000000000000000001")
def test_a_number_is_read_exactly_and_rounded_half_even_once(text: str) -> None:
    expected = rounded(text)
    if expected is None:
        with pytest.raises(OutOfRange):
            nano_from_text(text, limit=LIMIT)
    else:
        assert nano_from_text(text, limit=LIMIT) == expected


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0.14483999999999997", 144840000),
        ("5E-10", 0),
        ("1.5E-9", 2),
        ("2.5E-9", 2),
        ("-3.5E-9", -4),
        ("2.50000000000000000000000000001E-9", 3),
        ("1E-400", 0),
        ("1E+2", 100 * NANO),
        ("-0", 0),
        ("-0.0e5", 0),
        ("0e999999999999999999999999", 0),
        ("-0.00e99999999999999999999", 0),
        ("1e-999999999999999999999999", 0),
        ("1000000000", COST_LIMIT_NANO),
        ("-1000000000.000000000", -COST_LIMIT_NANO),
        ("999999999.9999999995", COST_LIMIT_NANO),
        ("1000000000.0000000000", COST_LIMIT_NANO),
        ("0." + "0" * 254, 0),
    ],
)
def test_known_numbers(text: str, nano: int) -> None:
    assert nano_from_text(text, limit=COST_LIMIT_NANO) == nano


def test_the_limits_are_those_of_the_written_rules() -> None:
    assert (NANO, NANO_PER_CENT, EXA) == (10**9, 10**7, 10**18)
    assert (COST_LIMIT_NANO, QUANTITY_LIMIT_NANO) == (10**18, 10**27)
    assert nano_from_text("1e28", limit=10**37) == 10**37
    with pytest.raises(OutOfRange):
        nano_from_text("1e29", limit=10**40)


@pytest.mark.parametrize(
    "text",
    ["1000000000.0000000001", "1000000000.000000001", "1000000001", "-1000000001", "1e10", "1e400",
     "1e3000000", "1e99999999999999999999", "-1.0e+99999999999999999999", "1" * 257,
     "0." + "0" * 255, "0." + "0" * 300, "1e" + "0" * 300],
)  # fmt: skip
def test_a_number_beyond_the_limit_is_refused_before_it_is_made(text: str) -> None:
    with pytest.raises(OutOfRange):
        nano_from_text(text, limit=COST_LIMIT_NANO)


@pytest.mark.parametrize(
    "text",
    ["", " ", "1 ", " 1", "+1", ".5", "5.", "01", "00", "-", "-.5", "1_0", "1,5", "0x10", "1e",
     "e1", "1.e5", "1.2.3", "NaN", "nan", "Infinity", "-Infinity", "sNaN", "١", "1²", "½",
     "1.٥", "1\n", "--1", "1-", "1e5.0", "１"],
)  # fmt: skip
def test_what_json_would_not_write_as_a_number_is_none(text: str) -> None:
    with pytest.raises(NotADecimal):
        nano_from_text(text, limit=COST_LIMIT_NANO)


@given(st.text(max_size=300))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    with suppress(NotADecimal, OutOfRange):
        assert abs(nano_from_text(text, limit=LIMIT)) <= LIMIT


@pytest.mark.parametrize("text", ["0.19", "1", "0", "1e-9", "0.1900000000000", "-0.123456789"])
def test_what_nano_units_hold_is_exact(text: str) -> None:
    assert exact_nano_from_text(text, limit=NANO) == nano_from_text(text, limit=NANO)


@pytest.mark.parametrize(
    "text", ["0.1234567891", "1e-10", "0.0000000000001", "-0.1234567895", "1e-99999999999999999999"]
)
def test_what_would_be_rounded_is_not_exact(text: str) -> None:
    nano_from_text(text, limit=NANO)
    with pytest.raises(TooManyDecimals):
        exact_nano_from_text(text, limit=NANO)


def test_the_limit_holds_for_exact_numbers_too() -> None:
    with pytest.raises(OutOfRange):
        exact_nano_from_text("1.0000000001", limit=NANO)
    with pytest.raises(NotADecimal):
        exact_nano_from_text("19%", limit=NANO)


@given(amounts)
def test_plain_and_fixed_digits_read_back_as_the_same_amount(amount: int) -> None:
    limit = 10**40
    assert nano_from_text(plain(amount), limit=limit) == amount
    assert nano_from_text(fixed(amount), limit=limit) == amount
    assert "e" not in plain(amount).lower()
    assert len(fixed(amount).partition(".")[2]) == 9


def test_digits_are_plain() -> None:
    assert [plain(n) for n in (0, 1, -1, 5_500_000_000, -250_000_000, 100 * NANO)] == [
        "0", "0.000000001", "-0.000000001", "5.5", "-0.25", "100",
    ]  # fmt: skip
    assert fixed(-333 * NANO_PER_CENT, 2) == "-3.33"
    assert fixed(-1) == "-0.000000001"
    with pytest.raises(AssertionError):
        fixed(1, 2)


@given(amounts)
def test_an_amount_is_stored_as_two_integers_that_sum_to_it(amount: int) -> None:
    whole, nano = whole_and_nano(amount)
    assert 0 <= nano < NANO
    assert whole * NANO + nano == amount


@given(amounts)
def test_a_large_sum_is_stored_as_three_integers_that_sum_to_it(amount: int) -> None:
    exa, whole, nano = exa_whole_and_nano(amount)
    assert 0 <= whole < EXA
    assert 0 <= nano < NANO
    assert (exa * EXA + whole) * NANO + nano == amount


@given(amounts, st.integers(1, 10**20))
def test_division_is_half_even(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(amounts, weights)
def test_a_split_conserves_and_each_part_is_within_one_unit(
    total: int, shares: dict[str, int]
) -> None:
    parts = split(total, shares, otherwise="")
    assert sum(parts.values()) == total
    assert parts.keys() == shares.keys()
    whole = sum(shares.values())
    for key, part in parts.items():
        exact = Fraction(total * shares[key], whole) if whole else Fraction(total, len(shares))
        assert abs(part - exact) < 1
        assert part * total >= 0


@given(amounts, weights, st.randoms(use_true_random=False), st.integers(1, 10**9))
def test_a_split_knows_neither_order_nor_scale_nor_sign(
    total: int, shares: dict[str, int], random: Random, scale: int
) -> None:
    parts = split(total, shares, otherwise="")
    shuffled = list(shares.items())
    random.shuffle(shuffled)
    assert split(total, dict(shuffled), otherwise="") == parts
    assert split(total, {k: w * scale for k, w in shares.items()}, otherwise="") == parts
    assert split(-total, shares, otherwise="") == {key: -part for key, part in parts.items()}


@given(amounts, weights)
def test_a_weight_of_zero_gets_nothing_unless_all_are_zero(
    total: int, shares: dict[str, int]
) -> None:
    parts = split(total, shares, otherwise="")
    if any(shares.values()):
        assert all(parts[key] == 0 for key, weight in shares.items() if not weight)
    else:
        assert parts == split(total, dict.fromkeys(shares, 1), otherwise="")


@given(amounts, weights)
def test_a_larger_weight_never_gets_less(total: int, shares: dict[str, int]) -> None:
    parts = split(abs(total), shares, otherwise="")
    by_weight = sorted(shares, key=lambda key: (shares[key], parts[key]))
    assert [parts[key] for key in by_weight] == sorted(parts.values()) or not any(shares.values())


def test_ties_of_a_split_go_to_the_smallest_key() -> None:
    assert split(100 * NANO, {"c": 1, "a": 1, "b": 1}, otherwise="") == {
        "a": 33333333334, "b": 33333333333, "c": 33333333333,
    }  # fmt: skip
    assert split(10, {"a": 333, "b": 333, "c": 334}, otherwise="") == {"a": 3, "b": 3, "c": 4}
    assert split(-1, {"b": 1, "a": 1}, otherwise="") == {"a": -1, "b": 0}
    assert split(7, {}, otherwise="nobody") == {"nobody": 7}


def test_a_negative_weight_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(AssertionError):
        split(1, {"a": -1, "b": 2}, otherwise="")


@given(parts_in_nano)
def test_cents_sum_to_the_rounded_sum_and_are_within_one_cent(parts: dict[str, int]) -> None:
    cents = round_to_cents(parts)
    assert cents.keys() == parts.keys()
    assert sum(cents.values()) == round(Fraction(sum(parts.values()), NANO_PER_CENT))
    for key, part in parts.items():
        assert abs(cents[key] - Fraction(part, NANO_PER_CENT)) <= 1


@given(parts_in_nano, st.randoms(use_true_random=False))
def test_cents_know_no_order(parts: dict[str, int], random: Random) -> None:
    shuffled = list(parts.items())
    random.shuffle(shuffled)
    assert round_to_cents(dict(shuffled)) == round_to_cents(parts)


@given(parts_in_nano)
def test_whole_cents_stay_as_they_are(parts: dict[str, int]) -> None:
    whole = {key: part // NANO_PER_CENT for key, part in parts.items()}
    assert round_to_cents({key: part * NANO_PER_CENT for key, part in whole.items()}) == whole


@given(parts_in_nano, st.integers(-30, 30))
def test_cents_meet_any_target_given_from_above(parts: dict[str, int], off: int) -> None:
    target = sum(round_to_cents(parts).values()) + off
    cents = round_to_cents(parts, target)
    assert sum(cents.values()) == target
    drift = [cents[key] - part // NANO_PER_CENT for key, part in parts.items()]
    assert max(drift) - min(drift) <= 1


@given(parts_in_nano)
def test_cents_given_top_down_conserve_on_every_level(parts: dict[str, int]) -> None:
    invoices: dict[str, dict[str, int]] = {}
    for key, part in parts.items():
        invoices.setdefault(key[:1], {})[key] = part
    sums = {name: sum(lines.values()) for name, lines in invoices.items()}
    cents = round_to_cents(sums)
    lines = {name: round_to_cents(invoices[name], cents[name]) for name in invoices}
    assert sum(sum(line.values()) for line in lines.values()) == sum(cents.values())


def test_cents_of_three_thirds() -> None:
    thirds = {"a": 333333333, "b": 333333333, "c": 333333334}
    assert round_to_cents(thirds) == {"a": 33, "b": 33, "c": 34}
    assert round_to_cents({}) == {}
    with pytest.raises(AssertionError):
        round_to_cents({}, 1)
