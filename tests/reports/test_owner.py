"""What a team, a user or a cost centre used, was allocated and was billed."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.invoicing.document import Document, encode
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.reports.owner import (
    CostCentreUnknown,
    cost_centre_report,
    team_report,
    user_report,
)
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.reports.usage_summary import usage_summary
from chargeback_worker.store import Store, reached, requests
from chargeback_worker.store.reached import Reached
from chargeback_worker.store.tables import invoice
from tests.support.feed import Feed, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    NOW_US,
    OCTOBER,
    TERMS,
    act,
    closed,
    issued,
)
from tests.support.made_months import (
    FAR_US,
    Used,
    events,
    months_of,
    nano,
    shared,
    some_rules,
    write,
    year_of,
)

_DAYS = OCTOBER.days()
_DIRECTORY = {
    "teams": [
        {"team_id": "A", "name": "Alpha", "cost_centre": "CC-1"},
        {"team_id": "B", "cost_centre": "CC-1"},
        {"team_id": "C", "cost_centre": "CC-2"},
        {"team_id": "D"},
    ]
}


@law_on_a_store(10)
@given(used=events(), rules=some_rules())
def test_a_total_is_the_sum_of_the_owner_s_allocations(
    store: Store, used: list[Used], rules: list[Rule]
) -> None:
    year = year_of(store, used, rules)
    one, two = months_of(year)
    closed(store, one, now_us=FAR_US)
    for days in (one.days(), two.days(), BillingRange(one.days().start, two.days().end)):
        asked: list[tuple[Callable[..., Document], str, dict[str, Any]]] = [
            (team_report, "A", {"team": "A"}),
            (user_report, "x", {"user": "x"}),
        ]
        for read, owner, filters in asked:
            found = read(store, days, TERMS, owner)["report"]
            listed = list_allocations(store, days, TERMS, limit=1_000, **filters)
            assert found["allocations"] == listed["allocations"]
            assert found["total_cost_usd"] == listed["total_cost_usd"]
            assert found["stored"] == listed["stored"]
            sums = found["by_resource_type"].values()
            assert sum(nano(row["allocated_usd"]) for row in sums) == nano(found["total_cost_usd"])
            assert sum(nano(row["billed_usd"]) for row in sums) == nano(found["billed_usd"])
            assert found["usage_summary"] == usage_summary(store, days, **filters)["summary"]


@pytest.fixture
def october(store: Store) -> Store:
    """Usage of two teams, and of nobody, which A and B share."""
    Feed(store).send(
        usage("a", "1.5", team="A", user_id="ada", quantity="2"),
        usage("b", "2", team="B", user_id="bob", resource_type="compute"),
        usage("c", "4.25", team=None, user_id="ada"),
        usage("d", "3", team=None, user_id=None),
    )
    ownerless = Match(teams=(None,), users=(None,))
    write(store, shared("even", Pair("A"), Pair("B"), priority=10, match=ownerless))
    return store


def test_a_report_reads_no_usage_that_does_not_bear_on_its_owner(
    october: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reached.read
    used: set[tuple[str | None, str | None]] = set()

    def seen(*asked: Any) -> Reached:
        found = whole(*asked)
        used.update((total.team, total.user) for total in found.totals)
        return found

    monkeypatch.setattr(reached, "read", seen)
    team_report(october, _DAYS, TERMS, "A")
    assert used == {("A", "ada"), (None, None)}
    used.clear()
    user_report(october, _DAYS, TERMS, "bob")
    assert used == {("B", "bob")}


def test_of_a_user_who_shares_with_whom_only_another_rule_saw_it_is_what_a_close_books(
    store: Store,
) -> None:
    Feed(store).send(
        usage("a", "10", team="T", user_id="ada", resource_type="compute"),
        usage("b", "4", team="T", user_id="bob"),
    )
    write(store, Rule("r", 1, "by_team", match=Match(resource_types=("compute",))))
    open_ = [_plain(user_report(store, _DAYS, TERMS, user))["report"] for user in ("ada", "bob")]
    closed(store)
    books = [_plain(user_report(store, _DAYS, TERMS, user))["report"] for user in ("ada", "bob")]
    for found in (open_, books):
        assert [report["total_cost_usd"] for report in found] == [5, 9]


def _plain(document: Document) -> Any:
    return json.loads(encode(document), parse_float=Decimal)


def test_of_a_team_all_three_are_shown(october: Store) -> None:
    open_ = _plain(team_report(october, _DAYS, TERMS, "A"))["report"]
    assert list(open_) == [
        "team_id",
        "period_start",
        "period_end",
        "period",
        "usage_summary",
        "allocations",
        "invoices",
        "total_cost_usd",
        "billed_usd",
        "stored",
        "by_resource_type",
        "pruned",
    ]
    assert (open_["team_id"], open_["period"], open_["stored"]) == ("A", "2026-10", False)
    assert (open_["total_cost_usd"], open_["billed_usd"], open_["invoices"]) == (3, 0, [])

    closed(october)
    found = _plain(team_report(october, _DAYS, TERMS, "A"))["report"]
    assert found["by_resource_type"] == {
        "query": {"used_usd": Decimal("1.5"), "allocated_usd": 3, "billed_usd": 3}
    }
    assert [row["allocation_details"]["rule"] for row in found["allocations"]] == [
        "default@1",
        "even@1",
    ]
    assert [row["receiver"] for row in found["invoices"]] == ["team:A"]
    assert found["allocations"][0]["usage_records"] == ["a"]


def test_of_a_user_the_share_of_what_teams_are_billed_counts(october: Store) -> None:
    closed(october)
    found = _plain(user_report(october, _DAYS, TERMS, "ada"))["report"]
    assert [(row["team_id"], row["total_cost_usd"]) for row in found["allocations"]] == [
        ("A", Decimal("1.5")),
        (None, Decimal("4.25")),
    ]
    assert [row["receiver"] for row in found["invoices"]] == ["user:ada"]
    (share,) = found["billed_shares"]
    assert (share["receiver"], share["subtotal_usd"]) == ("team:A", Decimal("1.5"))
    assert [line["exact_usd"] for line in share["line_items"]] == [Decimal("1.5")]
    assert (found["total_cost_usd"], found["billed_usd"]) == (Decimal("5.75"), Decimal("5.75"))


def test_of_a_cost_centre_its_teams_are_summed(october: Store) -> None:
    apply_directory(october, _DIRECTORY, act())
    closed(october)
    found = _plain(cost_centre_report(october, _DAYS, TERMS, "CC-1"))["report"]
    assert list(found)[:3] == ["cost_centre", "period_start", "period_end"]
    assert found["teams"] == [
        {
            "team_id": "A",
            "name": "Alpha",
            "used_usd": Decimal("1.5"),
            "allocated_usd": 3,
            "billed_usd": 3,
        },
        {
            "team_id": "B",
            "name": None,
            "used_usd": 2,
            "allocated_usd": Decimal("3.5"),
            "billed_usd": Decimal("3.5"),
        },
    ]
    summary = found["usage_summary"]
    assert (summary["total_cost_usd"], summary["record_count"]) == (Decimal("3.5"), 2)
    assert (summary["total_quantity"], summary["mixed_units"]) == (3, True)
    assert summary["by_resource_type"]["compute"] == {"cost": 2, "quantity": 1}
    assert (summary["team_id"], summary["user_id"]) == (None, None)
    assert found["total_cost_usd"] == Decimal("6.5")
    assert sorted(row["receiver"] for row in found["invoices"]) == ["team:A", "team:B"]
    assert cost_centre_report(october, _DAYS, TERMS, "CC-2")["report"]["allocations"] == []


def test_an_unknown_cost_centre_names_those_that_are_near(october: Store) -> None:
    with pytest.raises(CostCentreUnknown, match="'CC-1'") as without:
        cost_centre_report(october, _DAYS, TERMS, "CC-1")
    assert "There are: none." in without.value.hint
    apply_directory(october, _DIRECTORY, act())
    with pytest.raises(CostCentreUnknown, match="Did you mean 'CC-2'") as unknown:
        cost_centre_report(october, _DAYS, TERMS, "CC2")
    assert "There are: CC-1, CC-2." in unknown.value.hint


def test_who_has_nothing_has_zeros(october: Store) -> None:
    found = _plain(team_report(october, _DAYS, TERMS, "nobody"))["report"]
    assert (found["total_cost_usd"], found["billed_usd"]) == (0, 0)
    assert (found["allocations"], found["invoices"], found["by_resource_type"]) == ([], [], {})
    user = _plain(user_report(october, _DAYS, TERMS, "nobody"))["report"]
    assert (user["total_cost_usd"], user["billed_shares"]) == (0, [])


def test_a_stored_run_is_what_an_open_month_shows(october: Store) -> None:
    allocate(october, OCTOBER, TERMS, act())
    Feed(october).send(usage("later", "5", team="A"))
    found = _plain(team_report(october, _DAYS, TERMS, "A"))["report"]
    assert (found["stored"], found["total_cost_usd"]) == (True, 3)
    assert found["usage_summary"]["total_cost_usd"] == Decimal("6.5")


def test_a_range_shows_the_invoices_of_its_months(october: Store) -> None:
    closed(october)
    Feed(october).send(usage("n", "2", day="2026-11-05", team="A"), usage("late", "1", team="A"))
    closed(october, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    days = BillingRange(_DAYS.start, NOVEMBER.days().end)
    found = _plain(team_report(october, days, TERMS, "A"))["report"]
    assert "period" not in found
    assert [row["period"] for row in found["invoices"]] == ["2026-11", "2026-10"]
    assert (found["total_cost_usd"], found["billed_usd"]) == (6, 6)
    assert found["usage_summary"]["total_cost_usd"] == Decimal("4.5")


def test_a_user_is_billed_all_shares_of_more_teams_than_a_page_lists(store: Store) -> None:
    many = PAGE_MAX + 1
    Feed(store).send(*(usage(f"{n}", "2", team=f"T{n}", user_id="ada") for n in range(many)))
    closed(store)
    found = user_report(store, _DAYS, TERMS, "ada", usage_ids_max=0)["report"]
    assert len(found["billed_shares"]) == many
    assert nano(found["billed_usd"]) == nano(found["total_cost_usd"]) == 2 * many * NANO


def test_a_team_is_billed_for_more_users_apart_than_a_page_lists(store: Store) -> None:
    many = PAGE_MAX + 1
    Feed(store).send(*(usage(f"{n}", "2", team="A", user_id=f"{n}") for n in range(many)))
    with store.begin() as transaction:
        for n in range(many):
            requests.put(transaction, OCTOBER, Requested(Pair("A", f"{n}")), NOW_US)
    closed(store)
    apply_directory(store, _DIRECTORY, act())

    team = team_report(store, _DAYS, TERMS, "A", usage_ids_max=0)["report"]
    assert len(team["invoices"]) == many
    centre = cost_centre_report(store, _DAYS, TERMS, "CC-1", usage_ids_max=0)["report"]
    for found in (team, centre, centre["teams"][0], centre["by_resource_type"]["query"]):
        assert nano(found["billed_usd"]) == 2 * many * NANO


def test_a_cancelled_invoice_is_shown_and_not_billed(october: Store) -> None:
    closed(october)
    (wanted,) = [row for row in issued(october) if row.receiver == Pair("A")]
    with october.begin() as transaction:
        transaction.execute(
            invoice.update()
            .where(invoice.c.invoice_id == wanted.invoice_id)
            .values(status="cancelled")
        )
    found = _plain(team_report(october, _DAYS, TERMS, "A"))["report"]
    assert [row["status"] for row in found["invoices"]] == ["cancelled"]
    assert found["billed_usd"] == 0
    user = _plain(user_report(october, _DAYS, TERMS, "ada"))["report"]
    assert [row["status"] for row in user["billed_shares"]] == ["cancelled"]
    assert user["billed_usd"] == Decimal("4.25")


def test_whole_nanos_are_shown(october: Store) -> None:
    Feed(october).send(usage("tiny", "0.000000001", team="A"))
    report = team_report(october, _DAYS, TERMS, "A")["report"]
    assert nano(report["total_cost_usd"]) == 3 * NANO + 1
