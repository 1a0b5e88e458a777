"""What a document says: sums that add up, and words for what stands behind them."""

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.documents.facts import Closed, Facts, Look, People
from chargeback_worker.documents.view import View
from chargeback_worker.documents.viewing import view_of
from chargeback_worker.invoicing.invoice import InvoiceLine, LineKind, Status
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.money import NANO
from tests.support import documents
from tests.support.documents import SEPTEMBER, invoice, line
from tests.support.reading_documents import amounts

_LINES = st.builds(
    lambda exact, user, resource_type, kind, rate: line(
        exact,
        user,
        resource_type=resource_type,
        kind=kind,
        rate=rate,
        origin=SEPTEMBER if kind is LineKind.ADJUSTMENT else documents.OCTOBER,
        cause=Cause.LATE_USAGE if kind is LineKind.ADJUSTMENT else None,
    ),
    st.integers(-(10**14), 10**14),
    st.sampled_from(["u1", "u2", None]),
    st.sampled_from(["query", "compute"]),
    st.sampled_from(LineKind),
    st.sampled_from([0, 190_000_000, None]),
)


def cents(text: str) -> int:
    (found,) = amounts(text)
    return int(found.replace(".", ""))


def exact(text: str) -> int:
    return int(text.replace(",", "").replace(".", "").replace("−", "-"))


def entries(view: View) -> dict[str, str]:
    return {entry.label: entry.text for entry in view.entries}


# Locales are loaded when they are first asked for.
@given(st.lists(_LINES, max_size=12))
def test_what_is_shown_adds_up(lines: list[InvoiceLine]) -> None:
    view = view_of(documents.facts(invoice(lines)))
    for group in view.groups:
        assert sum(cents(row.amount) for row in group.rows) == cents(group.amount)
        assert sum(exact(row.exact) for row in group.rows) == exact(group.exact)
    assert Counter(row.number for group in view.groups for row in group.rows) == Counter(
        str(place + 1) for place in range(len(lines))
    )
    sums = {term.label: term.amount for term in view.sums}
    subtotal, (total,) = cents(sums["Subtotal"]), [t.amount for t in view.sums if t.strong]
    assert sum(cents(group.amount) for group in view.groups) == subtotal
    taxes = [cents(amount) for label, amount in sums.items() if label.startswith("Tax")]
    assert subtotal + sum(taxes) == cents(total)
    behind = exact(sums["Exact sum of the lines"]), exact(sums["Rounding to cents"])
    assert sum(behind) == subtotal * 10**7


def test_lines_are_grouped_by_kind_and_resource_type_with_rule_and_share() -> None:
    view = view_of(documents.regular())
    assert [group.heading for group in view.groups] == ["Usage: query", "Shared cost: compute"]
    usage, shared = view.groups
    assert [row.what for row in usage.rows] == ["User u1 (Ada Lovelace)", "User u2 (Grace Hopper)"]
    assert usage.rows[0].notes == ("by rule default@1",)
    assert shared.rows[0].notes == ("by rule rent@1", "share ≈ 33.3333%")
    assert (shared.rows[0].quantity, shared.rows[0].unit_price) == ("", "")
    assert [row.quantity for row in usage.rows] == ["1,234,567.0", "10,000.5"]


def test_adjustments_name_the_month_the_original_and_the_cause() -> None:
    view = view_of(documents.credit())
    august, september = view.groups[1:]
    assert august.heading == "Adjustments for August 2026"
    assert august.notes == ("There was no invoice for them in that month.",)
    assert september.notes == ("They change INV-202609-0003.",)
    assert september.rows[0].what == "compute: Team research (Research and Development)"
    assert "shared anew, because late usage changed who used how much" in september.rows[0].notes
    assert "usage that arrived after the month was closed" in september.rows[1].notes


def test_adjustments_of_several_invoices_name_theirs_each() -> None:
    more = {"kind": LineKind.ADJUSTMENT, "origin": SEPTEMBER, "cause": Cause.LATE_USAGE}
    lines = [line(NANO, **more, original="INV-202609-0001"), line(NANO, **more)]  # type: ignore[arg-type]
    (group,) = view_of(documents.facts(invoice(lines))).groups
    assert group.notes == ()
    assert "changes INV-202609-0001" in group.rows[0].notes
    assert "not invoiced then" in group.rows[1].notes


def test_the_equation_of_the_period_is_said_and_listed() -> None:
    equation = view_of(documents.regular()).equation
    assert equation is not None
    assert equation.sentence == (
        "Booked 2,157.778705510 → 2,157.78"
        " = this invoice 100.00 + other invoices 1,998.04 + unallocated 59.74"
    )
    assert [term.label for term in equation.terms][2:] == [
        "= this invoice",
        "+ other invoices",
        "+ unallocated",
    ]


def test_an_equation_that_does_not_hold_is_never_shown() -> None:
    facts = replace(documents.regular(), closed=Closed(10**9, 10**9, 10**7))
    with pytest.raises(AssertionError):
        view_of(facts)


def test_a_correction_says_what_it_refers_to() -> None:
    view = view_of(documents.correction())
    assert view.title == "Correction"
    assert entries(view)["Refers to"] == "INV-202610-0007"
    # One below the other, the label before the first.
    assert entries(view)[""] == "INV-202610-0009"
    assert entries(view)["Close"] == "number 2 of the period"
    assert view.equation is not None
    assert view.equation.heading == "How October 2026 adds up, close 2"


def test_a_credit_has_no_due_date_and_is_not_payable() -> None:
    view = view_of(documents.credit())
    assert view.title == "Credit note"
    assert "Due" not in entries(view)
    assert view.closing == ()
    assert view.sums[-1].label == "Total credit USD"


def test_a_replacement_names_what_it_replaces() -> None:
    made = invoice([line(NANO)], replaces="INV-202610-0003")
    assert entries(view_of(documents.facts(made)))["Replaces"] == "INV-202610-0003"


@pytest.mark.parametrize(
    ("facts", "stamp", "said"),
    [
        (documents.draft(), "DRAFT", "October 2026 is not closed, so its amounts may change"),
        (documents.draft(final=True), "DRAFT", "was not issued and has no number yet"),
        (documents.cancelled(), "CANCELLED", "nothing is to be paid or credited by it"),
        (documents.regular(), "", ""),
    ],
)
def test_what_is_no_invoice_is_visibly_none(facts: Facts, stamp: str, said: str) -> None:
    view = view_of(facts)
    assert view.stamp == stamp
    assert said in view.banner
    assert (view.equation is None) == (not facts.invoice.final)


def test_a_paid_invoice_says_when_and_a_credit_when_it_was_settled() -> None:
    for facts, label in ((documents.regular(), "Paid"), (documents.credit(), "Settled")):
        paid = replace(facts.invoice, status=Status.PAID, paid_date=facts.issued_on)
        assert entries(view_of(replace(facts, invoice=paid)))[label] == "November 3, 2026"


def test_the_receiver_is_shown_with_name_cost_centre_and_address() -> None:
    party = view_of(documents.regular()).receiver
    assert party.name == "Research and Development"
    assert party.lines[:2] == ("Team research", "Cost centre 4711")
    assert party.lines[-1] == "London"


def test_a_pair_that_is_billed_shows_the_user_and_the_team() -> None:
    made = invoice([line(NANO)], receiver=Pair("research", "u1"))
    party = view_of(documents.facts(made)).receiver
    assert party.name == "Ada Lovelace"
    assert party.lines[:2] == ("User u1", "Team research (Research and Development)")


def test_a_receiver_without_a_name_is_its_id() -> None:
    made = invoice([line(NANO, team=None)], receiver=Pair(user="u9"))
    party = view_of(documents.facts(made, people=People())).receiver
    assert (party.name, party.lines) == ("User u9", ())


def test_a_line_of_another_team_than_the_receivers_says_so() -> None:
    made = invoice([line(NANO, "u1", team="other")], receiver=Pair(user="u1"))
    (group,) = view_of(documents.facts(made)).groups
    assert group.rows[0].what == "User u1 (Ada Lovelace), Team other"


def test_lines_without_a_rate_keep_their_tax() -> None:
    made = invoice([line(NANO, rate=None)])
    old = replace(made, tax=190_000_000, total=made.total + 190_000_000)
    sums = {term.label: term.amount for term in view_of(documents.facts(old)).sums}
    assert (sums["Tax"], sums["Total USD"]) == ("0.19", "1.19")


def test_dates_and_numbers_are_those_of_the_locale() -> None:
    facts = replace(documents.regular(), look=Look(locale="de"))
    view = view_of(facts)
    assert entries(view)["Due"] == "3. Dezember 2026"
    assert view.equation is not None
    assert view.equation.terms[0].amount == "2.157,778705510"
    assert view.groups[1].rows[0].notes[1] == "share ≈ 33,3333\u00a0%"


def test_a_whole_share_has_no_sign_of_rounding() -> None:
    facts = documents.regular()
    shares = dict.fromkeys(facts.shares, Fraction(1, 8))
    assert "share 12.5%" in view_of(replace(facts, shares=shares)).groups[1].rows[0].notes
