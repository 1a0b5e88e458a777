"""Tax: once per invoice and rate, in whole cents, ties away from zero."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import InvoiceLine, LineKind
from chargeback_worker.invoicing.tax import tax_by_rate, tax_on
from chargeback_worker.money import NANO, NANO_PER_CENT
from chargeback_worker.period import Period
from tests.support.laws import law

_LINE = InvoiceLine(
    line=1,
    kind=LineKind.USAGE,
    description="query",
    key=PartKey("default", 1, Pair("A"), "query"),
    quantity=None,
    unit_price=None,
    total_price=0,
    exact=0,
    allocation_id="a",
    origin=Period(2026, 10),
)
_HALF = NANO // 2


def _line(cents: int, rate: int | None) -> InvoiceLine:
    return replace(_LINE, total_price=cents * NANO_PER_CENT, tax_rate=rate)


@pytest.mark.parametrize(
    ("cents", "rate", "tax"),
    [
        (1, _HALF, 1),
        (-1, _HALF, -1),
        (3, _HALF, 2),
        (-3, _HALF, -2),
        (1, _HALF - 1, 0),
        (-1, _HALF - 1, 0),
        (0, NANO, 0),
        (250, 10_000_000, 3),
        (-250, 10_000_000, -3),
        (10_000, 190_000_000, 1_900),
        (10**30, NANO, 10**30),
    ],
)
def test_half_a_cent_goes_away_from_zero(cents: int, rate: int, tax: int) -> None:
    assert tax_on([_line(cents, rate)]) == tax * NANO_PER_CENT


def test_lines_of_one_rate_are_taxed_together_and_of_two_apart() -> None:
    # Each alone would be rounded up to a cent.
    assert tax_on([_line(1, _HALF), _line(1, _HALF)]) == NANO_PER_CENT
    assert tax_on([_line(1, _HALF), _line(1, _HALF + 1)]) == 2 * NANO_PER_CENT


def test_rates_come_lowest_first_each_with_its_sum_and_lines_without_one_are_left_out() -> None:
    lines = [_line(700, _HALF), _line(5, 0), _line(9, None), _line(-100, _HALF)]
    assert [(row.rate, row.amount // NANO_PER_CENT) for row in tax_by_rate(lines)] == [
        (0, 5),
        (_HALF, 600),
    ]
    assert tax_by_rate([]) == []


_cents = st.lists(st.integers(-(10**6), 10**6), max_size=6)


@law()
@given(cents=_cents, rate=st.integers(0, NANO))
def test_a_credit_of_an_invoice_gives_its_tax_back(cents: list[int], rate: int) -> None:
    billed, credited = [_line(n, rate) for n in cents], [_line(-n, rate) for n in cents]
    assert tax_on(billed) == -tax_on(credited)


@law()
@given(cents=_cents, rate=st.integers(0, NANO))
def test_tax_is_whole_cents_and_at_most_half_a_cent_off(cents: list[int], rate: int) -> None:
    tax = tax_on([_line(n, rate) for n in cents])
    assert tax % NANO_PER_CENT == 0
    assert 2 * abs(tax * NANO - sum(cents) * NANO_PER_CENT * rate) <= NANO_PER_CENT * NANO
