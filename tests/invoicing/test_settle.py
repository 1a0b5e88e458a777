import json
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.engine import allocate
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import encode, invoice_document
from chargeback_worker.invoicing.settle import Booked, Cause, settle
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage, reference_allocation
from tests.support.laws import law
from tests.support.pure_ledger import Ledger, book, usage

OCTOBER, NOVEMBER = Period(2025, 10), Period(2025, 11)
SHARED = Snapshot(rules=(Rule("shared", 1, "by_usage"),))
TEAMS = Snapshot(rules=(Rule("teams", 1, "by_team"),))
usages = made_usage.totals(labels=made_usage.LABELS)
snapshots = made_rules.snapshots()


@law()
@given(usages, usages, snapshots)
def test_booked_and_owed_are_what_a_fresh_allocation_gives(
    punctual: list[UsageTotal], late: list[UsageTotal], snapshot: Snapshot
) -> None:
    ledger = Ledger()
    ledger.ingest(punctual)
    ledger.close(OCTOBER, snapshot)
    ledger.ingest(late)
    ledger.close(NOVEMBER, snapshot)

    booked = {key: row for key, row in ledger.booked.get(OCTOBER, {}).items() if row.cost}
    fresh = {part.key: part for part in allocate(ledger.totals, snapshot)}
    assert {key: row.cost for key, row in booked.items()} == {k: p.cost for k, p in fresh.items()}
    assert sum(row.cost for row in ledger.owed) == sum(total.cost for total in late)


@law()
@given(usages, usages, snapshots)
def test_what_is_settled_owes_nothing_more(
    punctual: list[UsageTotal], late: list[UsageTotal], snapshot: Snapshot
) -> None:
    ledger = Ledger()
    ledger.ingest(punctual)
    ledger.close(OCTOBER, snapshot)
    assert ledger.settle(OCTOBER, OCTOBER, snapshot) == []
    ledger.ingest(late)
    ledger.close(NOVEMBER, snapshot)
    assert ledger.settle(OCTOBER, NOVEMBER, snapshot) == []


@law()
@given(usages, snapshots, snapshots)
def test_closing_again_by_other_rules_books_the_difference_alone(
    totals: list[UsageTotal], first: Snapshot, second: Snapshot
) -> None:
    ledger = Ledger()
    ledger.ingest(totals)
    ledger.close(OCTOBER, first)
    owed = ledger.settle(OCTOBER, OCTOBER, second)
    assert sum(row.cost for row in owed) == 0
    assert all(row.cause is None for row in owed)
    booked = ledger.booked.get(OCTOBER, {})
    for row in owed:
        book(booked, row)
    fresh = {part.key: part.cost for part in allocate(totals, second)}
    assert {key: row.cost for key, row in booked.items() if row.cost} == fresh


@law(100)
@given(usages, usages, snapshots)
def test_a_row_is_told_that_the_driver_changed_where_usage_that_was_there_is_divided_otherwise(
    punctual: list[UsageTotal], late: list[UsageTotal], snapshot: Snapshot
) -> None:
    ledger = Ledger()
    ledger.ingest(punctual)
    ledger.close(OCTOBER, snapshot)
    ledger.ingest(late)
    owed = ledger.settle(OCTOBER, NOVEMBER, snapshot)
    causes = reference_allocation.causes(
        ledger.totals, lambda total: total.period == NOVEMBER, snapshot
    )
    assert [row.cause for row in owed] == [causes.get(row.key, Cause.LATE_USAGE) for row in owed]


@law(40)
@given(usages, usages, snapshots, snapshots, st.randoms(use_true_random=False))
def test_the_same_history_gives_the_same_bytes(
    punctual: list[UsageTotal],
    late: list[UsageTotal],
    first: Snapshot,
    second: Snapshot,
    random: Random,
) -> None:
    """From the stored snapshots, and in whatever order usage is read."""

    def history(mixed: bool) -> bytes:
        ledger = Ledger()
        for used, period, snapshot in ((punctual, OCTOBER, first), (late, NOVEMBER, second)):
            ledger.ingest(random.sample(used, len(used)) if mixed else used)
            stored = json.loads(json.dumps(snapshot.to_document()))
            ledger.close(period, Snapshot.from_document(stored) if mixed else snapshot)
        return encode([invoice_document(invoice) for invoice in ledger.invoices])

    assert history(mixed=True) == history(mixed=False)


def test_a_reversed_row_brings_back_its_quantity() -> None:
    totals = [usage(10, team="A", user="x", quantity=4)]
    (part,) = allocate(totals, Snapshot())
    booked = {part.key: Booked(part.cost, part.quantity, part.records)}
    reversal, instead = settle(totals, TEAMS, booked, origin=OCTOBER, closing=OCTOBER)
    assert (reversal.key, reversal.cost, reversal.quantity, reversal.records) == (
        part.key,
        -10,
        -4,
        -1,
    )
    assert not reversal.shared
    assert (instead.key.cited, instead.cost, instead.quantity) == ("teams@1", 10, 0)


def test_a_quantity_without_cost_waits_for_the_next_cost() -> None:
    free, paid = usage(0, team="A", quantity=5), usage(3, team="A", quantity=1)
    assert settle([free], Snapshot(), {}, origin=OCTOBER, closing=OCTOBER) == []
    (owed,) = settle([free, paid], Snapshot(), {}, origin=OCTOBER, closing=OCTOBER)
    assert (owed.cost, owed.quantity, owed.records) == (3, 6, 2)


def test_late_usage_in_the_same_proportion_changes_no_driver() -> None:
    """2 : 4 is 1 : 2, so the shared cost has not moved by it; the late shared cost is new."""
    ledger = Ledger()
    ledger.ingest([usage(1, team="A"), usage(2, team="B"), usage(9, resource_type="rent")])
    ledger.close(OCTOBER, SHARED)
    ledger.ingest([usage(1, team="A"), usage(2, team="B"), usage(3, resource_type="rent")])
    ledger.close(NOVEMBER, SHARED)
    assert [(row.pair, row.cost, row.cause) for row in ledger.owed] == [
        (Pair("A"), 1, Cause.LATE_USAGE),
        (Pair("A"), 1, Cause.LATE_USAGE),
        (Pair("B"), 2, Cause.LATE_USAGE),
        (Pair("B"), 2, Cause.LATE_USAGE),
    ]


def test_a_pair_that_loses_its_share_is_told_that_the_driver_changed() -> None:
    ledger = Ledger()
    ledger.ingest([usage(5, team="A"), usage(5, team="B"), usage(10, resource_type="rent")])
    ledger.close(OCTOBER, SHARED)
    ledger.ingest([usage(-5, team="A")])
    ledger.close(NOVEMBER, SHARED)
    rent = [row for row in ledger.owed if row.key.resource_type == "rent"]
    assert [(row.pair, row.cost, row.cause) for row in rent] == [
        (Pair("A"), -5, Cause.DRIVER_CHANGED),
        (Pair("B"), 5, Cause.DRIVER_CHANGED),
    ]


def test_totals_of_another_month_are_refused() -> None:
    wrong = replace(usage(1, team="A"), period=NOVEMBER)
    with pytest.raises(AssertionError):
        settle([wrong], Snapshot(), {}, origin=NOVEMBER, closing=NOVEMBER)
