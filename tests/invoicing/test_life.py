"""The life of an invoice as a value: what may follow, what is refused, and what then changes."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime

import pytest

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.invoice import (
    TRANSITIONS,
    Invoice,
    InvoiceLine,
    Kind,
    LineKind,
    Status,
    invoice_id,
)
from chargeback_worker.invoicing.life import (
    ChangeRefused,
    NotOverdue,
    changed,
    check_change,
    is_overdue,
    issued,
    replacing,
)
from chargeback_worker.money import NANO, NANO_PER_CENT
from chargeback_worker.period import Period

SEPTEMBER, OCTOBER = Period(2026, 9), Period(2026, 10)
MADE_AT, AT = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 20, 9, tzinfo=UTC)
ON = date(2026, 11, 20)
_OWN = InvoiceLine(
    line=1,
    kind=LineKind.USAGE,
    description="query, team A",
    key=PartKey("default", 1, Pair("A"), "query"),
    quantity=NANO,
    unit_price=10 * NANO,
    total_price=10 * NANO,
    exact=10 * NANO,
    allocation_id="one",
    origin=OCTOBER,
    tax_rate=190_000_000,
)
_ADJUSTMENT = replace(
    _OWN,
    line=2,
    kind=LineKind.ADJUSTMENT,
    allocation_id="two",
    origin=SEPTEMBER,
    total_price=5 * NANO,
    exact=5 * NANO,
    tax_rate=70_000_000,
)
DRAFT = Invoice(
    invoice_id=invoice_id(Pair("A"), OCTOBER, 1),
    invoice_number="DRAFT-202610-0",
    kind=Kind.REGULAR,
    receiver=Pair("A"),
    period=OCTOBER,
    revision=1,
    status=Status.DRAFT,
    lines=(_OWN, _ADJUSTMENT),
    subtotal=15 * NANO,
    tax=225 * NANO_PER_CENT,
    total=1725 * NANO_PER_CENT,
    due_date=None,
    created_at=MADE_AT,
    updated_at=MADE_AT,
    references=("INV-202610-0001",),
)
PENDING = issued(DRAFT, 7, at=AT, on=ON, days_to_pay=30)
_ALL = [(before, after) for before in Status for after in Status]


def _differing(one: Invoice, other: Invoice) -> set[str]:
    names = [each.name for each in fields(Invoice)]
    return {name for name in names if getattr(one, name) != getattr(other, name)}


@pytest.mark.parametrize(("before", "after"), _ALL)
def test_a_status_is_followed_by_what_it_allows_and_the_refusal_names_that(
    before: Status, after: Status
) -> None:
    invoice = replace(PENDING, status=before, due_date=date(2026, 11, 19))

    if after in TRANSITIONS[before]:
        check_change(invoice, after, on=ON)
        return
    with pytest.raises(ChangeRefused) as refusal:
        check_change(invoice, after, on=ON)
    assert f"{invoice.invoice_number} is {before}" in refusal.value.message
    allowed = [status for status in Status if status in TRANSITIONS[before]]
    if allowed:
        assert f"may become {' or '.join(allowed)}, not {after}" in refusal.value.message
    else:
        assert "stays what it is" in refusal.value.message


def test_the_transitions_are_those_of_the_specification() -> None:
    draft, pending, sent, paid, overdue, cancelled = Status
    expected: dict[Status, set[Status]] = {
        draft: {pending, sent, cancelled},
        pending: {sent, paid, cancelled},
        sent: {paid, overdue, cancelled},
        overdue: {paid, cancelled},
        paid: set(),
        cancelled: set(),
    }
    assert expected == TRANSITIONS


def test_issuing_gives_a_number_and_a_due_date_and_changes_nothing_else() -> None:
    assert PENDING.invoice_number == "INV-202610-0007"
    assert (PENDING.status, PENDING.due_date) == (Status.PENDING, date(2026, 12, 20))
    assert (PENDING.issued_at, PENDING.updated_at) == (AT, AT)
    changes = {"invoice_number", "status", "due_date", "issued_at", "updated_at"}
    assert _differing(DRAFT, PENDING) == changes


def test_a_credit_has_no_due_date_and_what_comes_to_nothing_has_one() -> None:
    credit = issued(replace(DRAFT, total=-1), 1, at=AT, on=ON, days_to_pay=30)
    nothing = issued(replace(DRAFT, total=0), 1, at=AT, on=ON, days_to_pay=0)
    assert (credit.due_date, nothing.due_date) == (None, ON)


def test_it_is_overdue_on_the_day_after_the_due_date_where_something_is_to_be_paid() -> None:
    assert not is_overdue(PENDING, date(2026, 12, 20))
    assert is_overdue(PENDING, date(2026, 12, 21))
    for never in (replace(PENDING, total=0), replace(PENDING, total=-1, due_date=None), DRAFT):
        assert not is_overdue(never, date(2050, 1, 1))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "it is due on 2026-12-20"),
        ({"total": 0}, "with 0.00 USD in total there is nothing due"),
        ({"total": -5 * NANO, "due_date": None}, "with -5.00 USD in total there is nothing due"),
    ],
)
def test_what_is_not_overdue_is_not_said_to_be(fields: dict[str, object], why: str) -> None:
    sent = replace(PENDING, status=Status.SENT, **fields)  # type: ignore[arg-type]
    with pytest.raises(NotOverdue, match=why):
        check_change(sent, Status.OVERDUE, on=ON)


def test_a_change_of_status_changes_the_status_and_being_paid_the_date_too() -> None:
    for status in TRANSITIONS[Status.SENT] - {Status.PAID}:
        assert _differing(PENDING, changed(PENDING, status, at=MADE_AT, on=ON)) == {
            "status",
            "updated_at",
        }
    paid = changed(PENDING, Status.PAID, at=MADE_AT, on=ON)
    assert paid.paid_date == ON
    assert _differing(PENDING, paid) == {"status", "updated_at", "paid_date"}


def test_a_replacement_bills_the_same_lines_as_a_draft_with_another_id() -> None:
    cancelled = changed(replace(PENDING, published_at=AT), Status.CANCELLED, at=AT, on=ON)

    draft = replacing(cancelled, at=AT, tax_rate=None)

    assert (draft.lines, draft.subtotal, draft.tax) == (DRAFT.lines, DRAFT.subtotal, DRAFT.tax)
    assert draft.replaces == "INV-202610-0007"
    assert (draft.status, draft.ordinal) == (Status.DRAFT, 1)
    assert draft.invoice_id == invoice_id(Pair("A"), OCTOBER, 1, 1) != cancelled.invoice_id
    assert draft.invoice_number.startswith("DRAFT-202610-")
    assert (draft.due_date, draft.issued_at, draft.published_at) == (None, None, None)
    assert draft.references == DRAFT.references


def test_a_replacement_of_a_draft_replaces_no_number() -> None:
    cancelled = changed(DRAFT, Status.CANCELLED, at=AT, on=ON)
    assert replacing(cancelled, at=AT, tax_rate=None).replaces is None


def test_another_rate_taxes_the_own_lines_and_adjustments_keep_that_of_their_origin() -> None:
    draft = replacing(PENDING, at=AT, tax_rate=0)

    assert [line.tax_rate for line in draft.lines] == [0, 70_000_000]
    assert (draft.tax, draft.total) == (35 * NANO_PER_CENT, 1535 * NANO_PER_CENT)


def test_another_rate_can_make_a_credit_of_what_was_none() -> None:
    lines = (
        replace(_OWN, total_price=-5 * NANO, tax_rate=0),
        replace(_ADJUSTMENT, total_price=5 * NANO),
    )
    billed = replace(PENDING, lines=lines, subtotal=0, tax=35 * NANO_PER_CENT)

    draft = replacing(billed, at=AT, tax_rate=190_000_000)

    assert (draft.kind, draft.total) == (Kind.CREDIT, -60 * NANO_PER_CENT)
