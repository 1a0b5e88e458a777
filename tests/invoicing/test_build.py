from dataclasses import replace
from datetime import date
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import UNALLOCATED, BillTo, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.build import Billed, Books, Closing, Originals, build
from chargeback_worker.invoicing.invoice import InvoiceLine, Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Cause, Owed
from chargeback_worker.money import NANO, NANO_PER_CENT, divide_half_even
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_usage
from tests.support.pure_ledger import ISSUED_AT, Ledger, usage

OCTOBER, NOVEMBER = Period(2025, 10), Period(2025, 11)
CENT = NANO_PER_CENT
NOVEMBERS = Closing(
    period=NOVEMBER,
    revision=1,
    snapshots={OCTOBER: Snapshot(), NOVEMBER: Snapshot()},
    originals=Originals(to={(OCTOBER, Pair("A")): Billed("INV-202510-0007", None)}),
    first_number=1,
    at=ISSUED_AT,
    on=date(2025, 12, 3),
)


def owed(cost: int, pair: Pair, *, origin: Period = NOVEMBER, **others: object) -> Owed:
    rule_id, version = str(others.pop("rule_id", "default")), int(str(others.pop("version", 1)))
    key = PartKey(rule_id, version, pair, str(others.pop("resource_type", "query")))
    cause = Cause.LATE_USAGE if origin != NOVEMBER else None
    row = Owed(origin, key, cost, quantity=0, records=1, shared=False, cause=cause)
    return replace(row, **others)  # type: ignore[arg-type]


def only_line(row: Owed) -> InvoiceLine:
    ((line,),) = (invoice.lines for invoice in build([row], NOVEMBERS).invoices)
    return line


@given(made_usage.totals(), st.sampled_from(BillTo), st.sampled_from([0, 190_000_000]))
def test_cents_add_up_from_lines_to_the_rounded_sum(
    totals: list[UsageTotal], bill_to: BillTo, tax_rate: int
) -> None:
    ledger = Ledger()
    ledger.ingest(totals)
    books = ledger.close(OCTOBER, Snapshot(bill_to=bill_to, tax_rate_nano=tax_rate))
    used = sum(total.cost for total in totals)
    assert books.booked == used
    assert books.subtotal == sum(invoice.subtotal for invoice in books.invoices)
    assert books.subtotal + books.unallocated == divide_half_even(used, CENT) * CENT
    for invoice in books.invoices:
        assert sum(line.total_price for line in invoice.lines) == invoice.subtotal
        assert any(line.total_price for line in invoice.lines)
        assert invoice.total == invoice.subtotal + invoice.tax
    _assert_numbered(books)


def _assert_numbered(books: Books) -> None:
    """In receiver order without a gap, and each receiver once."""
    numbers = [invoice.invoice_number for invoice in books.invoices]
    assert numbers == [f"INV-202510-{n:04d}" for n in range(1, len(numbers) + 1)]
    receivers = [invoice.receiver for invoice in books.invoices]
    assert receivers == sorted(set(receivers))


@given(st.lists(st.tuples(made_usage.COSTS, st.sampled_from("AB")), max_size=6), st.randoms())
def test_the_order_of_what_is_owed_changes_nothing(
    rows: list[tuple[int, str]], random: Random
) -> None:
    all_owed = [owed(cost, Pair(team, str(n))) for n, (cost, team) in enumerate(rows)]
    mixed = list(all_owed)
    random.shuffle(mixed)
    assert build(mixed, NOVEMBERS) == build(all_owed, NOVEMBERS)


def test_nothing_owed_makes_no_invoice() -> None:
    assert build([], NOVEMBERS) == Books((), booked=0, subtotal=0, unallocated=0)


def test_an_invoice_is_pending_and_due_after_the_days_of_its_snapshot() -> None:
    snapshot = Snapshot(due_days=10)
    (invoice,) = build(
        [owed(CENT, Pair("A"))], replace(NOVEMBERS, snapshots={NOVEMBER: snapshot}, first_number=12)
    ).invoices
    assert invoice.status is Status.PENDING
    assert invoice.kind is Kind.REGULAR
    assert invoice.due_date == date(2025, 12, 13)
    assert invoice.invoice_number == "INV-202511-0012"
    assert invoice.created_at == invoice.updated_at == ISSUED_AT


@pytest.mark.parametrize("revision", [1, 2])
def test_a_negative_total_is_a_credit_without_due_date(revision: int) -> None:
    closing = replace(NOVEMBERS, revision=revision)
    (invoice,) = build([owed(-CENT, Pair("A"))], closing).invoices
    assert invoice.kind is Kind.CREDIT
    assert invoice.due_date is None


def test_a_later_revision_makes_corrections() -> None:
    (invoice,) = build([owed(CENT, Pair("A"))], replace(NOVEMBERS, revision=2)).invoices
    assert invoice.kind is Kind.CORRECTION


def test_lines_that_cancel_out_are_invoiced_and_lines_of_nothing_are_not() -> None:
    rows = [
        owed(CENT, Pair("A", "x")),
        owed(-CENT, Pair("A", "y")),
        owed(1, Pair("B")),
    ]
    (invoice,) = build(rows, NOVEMBERS).invoices
    assert invoice.receiver == Pair("A")
    assert (invoice.total, len(invoice.lines)) == (0, 2)


def test_lines_stand_own_first_then_by_origin_rule_version_pair_and_type() -> None:
    in_order = [
        owed(CENT, Pair("A"), rule_id="a", version=9),
        owed(CENT, Pair("A", "x"), rule_id="a", version=9, resource_type="compute"),
        owed(CENT, Pair("A", "x"), rule_id="a", version=9, resource_type="query"),
        owed(CENT, Pair("A"), rule_id="a", version=10),
        owed(CENT, Pair("A"), rule_id="b"),
        owed(CENT, Pair("A"), rule_id="a", origin=OCTOBER),
    ]
    (invoice,) = build(reversed(in_order), NOVEMBERS).invoices
    assert [line.key for line in invoice.lines] == [row.key for row in in_order]
    assert [line.line for line in invoice.lines] == [1, 2, 3, 4, 5, 6]


def test_own_usage_shows_quantity_and_the_price_of_one() -> None:
    line = only_line(owed(2 * CENT, Pair("A", "x"), quantity=3 * NANO))
    assert line.kind is LineKind.USAGE
    assert line.quantity == 3 * NANO
    assert line.unit_price == 6_666_667
    assert line.description == "query, user x in team A"


@pytest.mark.parametrize(("cost", "quantity"), [(CENT, 2 * NANO), (-CENT, -2 * NANO)])
def test_the_price_of_one_keeps_its_sign(cost: int, quantity: int) -> None:
    assert only_line(owed(cost, Pair("A"), quantity=quantity)).unit_price == CENT // 2


def test_without_quantity_there_is_no_price_of_one() -> None:
    line = only_line(owed(CENT, Pair("A")))
    assert (line.quantity, line.unit_price) == (0, None)


def test_a_shared_line_has_neither_quantity_nor_price_of_one() -> None:
    line = only_line(owed(CENT, Pair("A"), quantity=5, shared=True, rule_id="rent"))
    assert line.kind is LineKind.SHARED
    assert (line.quantity, line.unit_price) == (None, None)
    assert line.description == "share of query by rule rent@1, team A"


def test_an_adjustment_names_its_origin_its_cause_and_the_original() -> None:
    line = only_line(owed(-CENT, Pair("A", "x"), origin=OCTOBER))
    assert line.kind is LineKind.ADJUSTMENT
    assert (line.origin, line.cause) == (OCTOBER, Cause.LATE_USAGE)
    assert line.original_invoice == "INV-202510-0007"
    assert line.description == "query, user x in team A, adjustment for 2025-10: late usage"
    assert only_line(owed(CENT, Pair("B"), origin=OCTOBER)).original_invoice is None


def test_the_original_is_found_by_who_was_billed_in_its_month() -> None:
    closing = replace(
        NOVEMBERS, snapshots={OCTOBER: Snapshot(), NOVEMBER: Snapshot(bill_to=BillTo.USER)}
    )
    (invoice,) = build([owed(CENT, Pair("A", "x"), origin=OCTOBER)], closing).invoices
    assert invoice.receiver == Pair(None, "x")
    assert invoice.lines[0].original_invoice == "INV-202510-0007"


def test_what_billed_the_pair_itself_comes_before_what_billed_its_receiver() -> None:
    pair = Pair("A", "x")
    apart = Billed("INV-202510-0009", 190_000_000)
    closing = replace(
        NOVEMBERS, originals=Originals({(OCTOBER, pair): apart}, NOVEMBERS.originals.to)
    )
    rows = [owed(CENT, pair, origin=OCTOBER), owed(CENT, Pair("A", "y"), origin=OCTOBER)]
    (invoice,) = build(rows, closing).invoices
    assert [(line.original_invoice, line.tax_rate) for line in invoice.lines] == [
        ("INV-202510-0009", 190_000_000),
        ("INV-202510-0007", 0),
    ]


def test_nobody_is_billed_for_what_is_unallocated() -> None:
    books = build(
        [owed(CENT, UNALLOCATED), owed(-3 * CENT, UNALLOCATED, origin=OCTOBER)], NOVEMBERS
    )
    assert books == Books((), booked=-2 * CENT, subtotal=0, unallocated=-2 * CENT)


@pytest.mark.parametrize(
    ("subtotal", "tax"),
    [(5 * CENT, CENT), (-5 * CENT, -CENT), (4 * CENT, 0), (24 * CENT, 2 * CENT)],
)
def test_tax_is_rounded_once_away_from_zero(subtotal: int, tax: int) -> None:
    """Ten per cent of five cents is half a cent."""
    closing = replace(NOVEMBERS, snapshots={NOVEMBER: Snapshot(tax_rate_nano=100_000_000)})
    rows = [owed(CENT, Pair("A", "x")), owed(subtotal - CENT, Pair("A", "y"))]
    (invoice,) = build(rows, closing).invoices
    assert (invoice.tax, invoice.total) == (tax, subtotal + tax)


def test_adjustments_keep_the_rate_of_their_origin() -> None:
    """The figures of case 20: 0.25 at 20 % and 0.15 at 10 %, each rounded once."""
    closing = replace(
        NOVEMBERS,
        snapshots={
            OCTOBER: Snapshot(tax_rate_nano=100_000_000),
            NOVEMBER: Snapshot(tax_rate_nano=200_000_000),
        },
    )
    rows = [owed(25 * CENT, Pair("A")), owed(15 * CENT, Pair("A"), origin=OCTOBER)]
    (invoice,) = build(rows, closing).invoices
    assert (invoice.subtotal, invoice.tax) == (40 * CENT, 7 * CENT)


def test_usage_of_a_closed_month_leaves_its_invoice_as_it_was() -> None:
    ledger = Ledger()
    ledger.ingest([usage(5 * CENT, team="A")])
    before = ledger.close(OCTOBER, Snapshot()).invoices
    ledger.ingest([usage(3 * CENT, team="A")])
    (adjusted,) = ledger.close(NOVEMBER, Snapshot()).invoices
    assert ledger.invoices == [*before, adjusted]
    assert adjusted.lines[0].original_invoice == before[0].invoice_number
