"""From an invoice line down to the usage ids."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Method, Pool
from chargeback_worker.allocation.rule import Driver, Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.money import NANO, nano_from_text
from chargeback_worker.period import Period
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import close
from chargeback_worker.reports.explain.invoice import LineUnknown, explain_invoice
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.store import Store, invoices
from chargeback_worker.store.invoices import InvoiceUnknown
from chargeback_worker.usage.event import Grain
from tests.support import made_months
from tests.support.explained import check_all_pages, check_line, every_page, records_of, reopen
from tests.support.feed import Feed, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, OCTOBER, TERMS, act
from tests.support.made_months import FAR_US, Used, nano, new_year, of_year, send, write

A, B = Receiver("A", Pair("A")), Receiver("B", Pair("B"))
NOBODYS: dict[str, Any] = {"team": None, "user_id": None}


def _usd(text: str) -> Amount:
    return Amount(nano_from_text(text, limit=10**30))


def _close(store: Store, period: Period, terms: Snapshot = TERMS) -> None:
    close(store, period, terms, act(AFTER_NOVEMBER_US), owner="closer")


def _issued(store: Store, period: Period) -> list[Invoice]:
    with store.read() as transaction:
        return invoices.of_period(transaction, period)


def _explained(store: Store, number: str, **asked: Any) -> Document:
    document: Document = explain_invoice(store, number, TERMS, **asked)["explanation"]
    return document


def _line(store: Store, receiver: str, resource_type: str, *, period: Period = OCTOBER) -> Document:
    """The line of a resource type on a receiver's invoice, in full."""
    for invoice in _issued(store, period):
        for line in invoice.lines:
            if (invoice.receiver.key, line.key.resource_type) == (receiver, resource_type):
                found = _explained(store, invoice.invoice_number, line=line.line)
                check_line(found)
                return found
    raise AssertionError((receiver, resource_type))


def _check_invoices(store: Store, period: Period, limit: int) -> None:
    """Every line of every invoice of a month, page by page."""
    for invoice in _issued(store, period):
        _check_lines(store, invoice)
        for line in invoice.lines:
            check_all_pages(
                lambda cursor, invoice=invoice, line=line: explain_invoice(  # type: ignore[misc]
                    store,
                    invoice.invoice_number,
                    TERMS,
                    line=line.line,
                    limit=limit,
                    cursor=cursor,
                )
            )


def _check_lines(store: Store, invoice: Invoice) -> None:
    cursor, lines = None, []
    while True:
        page = explain_invoice(store, invoice.invoice_id, TERMS, limit=2, cursor=cursor)
        found, cursor = page["explanation"], page["next_cursor"]
        sums, rest = found["sums"], found["not_shown"]
        assert sums["lines"] == len(found["lines"]) + rest["lines"] == len(invoice.lines)
        for field in ("exact_usd", "rounding_usd", "total_price"):
            shown = sum(nano(line[field]) for line in found["lines"])
            assert nano(sums[field]) == shown + nano(rest[field])
        assert sums["total_price"] == sums["subtotal_usd"] == Amount(invoice.subtotal)
        lines += found["lines"]
        if cursor is None:
            break
    assert [line["line"] for line in lines] == [line.line for line in invoice.lines]
    assert all(line["in_words"].startswith(line["rule"]) for line in lines)


@law_on_a_store(12)
@given(
    rules=made_months.some_rules(),
    used=made_months.events(),
    late=made_months.events(max_size=4, month=1),
)
def test_each_step_adds_up_to_the_one_above_for_every_line(
    store: Store, rules: list[Rule], used: list[Used], late: list[Used]
) -> None:
    year = new_year()
    january, february = made_months.months_of(year)
    write(store, *of_year(rules, year))
    send(store, year, used)
    close(store, january, TERMS, act(FAR_US), owner="closer")
    send(store, year, late, word="late")
    close(store, february, TERMS, act(FAR_US), owner="closer")
    for limit in (2, 20):
        _check_invoices(store, january, limit)
        _check_invoices(store, february, limit)
    for invoice in [*_issued(store, january), *_issued(store, february)]:
        for line in invoice.lines:
            found = _explained(store, invoice.invoice_number, line=line.line)
            assert found["settlement"]["difference"] is None


@pytest.fixture
def shared_then_late(store: Store) -> Store:
    """Example 4 of the billing rules: what A and B bear moves when B's usage comes late."""
    write(store, Rule("shared", 1, "by_usage"))
    feed = Feed(store)
    feed.send(
        usage("a", "90", team="A", user_id=None),
        usage("b", "10", team="B", user_id=None),
        usage("rent-1", "100", resource_type="compute", **NOBODYS),
        usage("rent-2", "200", day="2026-10-20", resource_type="compute", **NOBODYS),
    )
    _close(store, OCTOBER)
    feed.send(usage("late", "90", team="B", user_id=None))
    _close(store, NOVEMBER)
    return store


def test_a_shared_line_shows_its_share_of_the_pool_and_what_that_follows(
    shared_then_late: Store,
) -> None:
    found = _line(shared_then_late, "team:A", "compute")
    assert found["rule"]["in_words"].startswith("shared@1 takes all usage: it leaves usage with")
    (pool,) = found["settlement"]["pools"]
    assert pool["cost_usd"] == _usd("270")
    assert pool["share"] == {
        "numerator": Amount(9 * NANO),
        "denominator": Amount(10 * NANO),
        "decimal": _usd("0.9"),
    }
    assert pool["driver"] == {
        "driver": "cost",
        "resource_types": [],
        "own": _usd("90"),
        "whole": _usd("100"),
        "evenly": False,
    }
    assert pool["whole"]["cost_usd"] == _usd("300")
    days = sorted(total["day"] for total in pool["behind"]["usage_totals"])
    assert days == [date(2026, 10, 3), date(2026, 10, 20)]
    ids = {record["usage_id"] for _, _, record in records_of([{"explanation": found}])}
    assert ids == {"rent-1", "rent-2"}
    assert found["settlement"]["without_late_usage"] is None


def test_the_line_of_a_closed_month_stays_explained_after_late_usage_came(
    shared_then_late: Store,
) -> None:
    steps = _line(shared_then_late, "team:A", "compute")["settlement"]
    assert steps["counted_periods"] == ["2026-10"]
    assert steps["difference"] is None
    assert steps["booked_before"] == []


def test_an_adjustment_shows_both_settlements_and_both_weights(shared_then_late: Store) -> None:
    found = _line(shared_then_late, "team:A", "compute", period=NOVEMBER)
    steps = found["settlement"]
    assert found["line"]["metadata"]["cause"] == "driver_changed"
    assert (steps["origin_period"], steps["billing_period"]) == ("2026-10", "2026-11")
    assert steps["decided_by"] == {"period": "2026-10", "revision": 1}
    assert steps["counted_periods"] == ["2026-10", "2026-11"]
    assert steps["allocated_usd"] == _usd("142.105263158")
    assert steps["booked_before"] == [
        {
            "period": "2026-10",
            "revision": 1,
            "invoice_number": "INV-202610-0001",
            "cost_usd": _usd("270"),
        }
    ]
    assert steps["exact_usd"] == _usd("-127.894736842")
    (pool,) = steps["pools"]
    assert (pool["driver"]["own"], pool["driver"]["whole"]) == (_usd("90"), _usd("190"))
    before = pool["driver_without_late_usage"]
    assert (before["own"], before["whole"]) == (_usd("90"), _usd("100"))
    without = steps["without_late_usage"]
    assert without["allocated_usd"] == _usd("270")
    assert "behind" not in without["pools"][0]


def test_late_usage_itself_is_told_as_late(shared_then_late: Store) -> None:
    found = _line(shared_then_late, "team:B", "query", period=NOVEMBER)
    (pool,) = found["settlement"]["pools"]
    assert not pool["divided"]
    assert pool["driver_without_late_usage"] is None
    told = {
        total["billing_period"]: (total["late"], total["cost_usd"])
        for total in pool["behind"]["usage_totals"]
    }
    assert told == {"2026-10": (False, _usd("10")), "2026-11": (True, _usd("90"))}
    assert found["settlement"]["exact_usd"] == _usd("90")


def test_the_members_of_the_directory_bear_their_teams_usage(store: Store) -> None:
    members = [{"user_id": "u1"}, {"user_id": "u2", "from": "2026-10-04"}]
    apply_directory(store, {"teams": [{"team_id": "T", "members": members}]}, act())
    write(store, Rule("teams", 1, "by_team"))
    Feed(store).send(
        usage("third", "10", day="2026-10-03", team=None, user_id="u1"),
        usage("fourth", "20", day="2026-10-04", team="T", user_id="u9"),
    )
    _close(store, OCTOBER, Snapshot())
    found = _explained(store, "INV-202610-0001", line=1)
    check_line(found)
    pools = found["settlement"]["pools"]
    assert [(pool["cost_usd"], pool["whole"]["cost_usd"]) for pool in pools] == [
        (_usd("10"), _usd("10")),
        (_usd("10"), _usd("20")),
    ]
    assert {pool["driver"]["driver"] for pool in pools} == {"equal"}
    (resolved,) = pools[0]["behind"]["usage_totals"]
    assert (resolved["team_id"], resolved["user_id"]) == (None, "u1")
    assert resolved["owner"] == "team:T/user:u1"


def test_percentages_and_equal_parts_are_named(store: Store) -> None:
    rent = Rule(
        "rent",
        1,
        "fixed_split",
        split=(Share(A, 60 * NANO), Share(B, 40 * NANO)),
        match=Match(resource_types=("rent",)),
    )
    power = Rule(
        "power", 1, "equal_split", receivers=(A, B), match=Match(resource_types=("power",))
    )
    write(store, rent, power)
    Feed(store).send(
        usage("r", "10", resource_type="rent", **NOBODYS),
        usage("p", "0.000000003", resource_type="power", **NOBODYS),
    )
    _close(store, OCTOBER)
    (percent,) = _line(store, "team:B", "rent")["settlement"]["pools"]
    assert percent["driver"]["driver"] == "percent"
    assert (percent["driver"]["own"], percent["driver"]["whole"]) == (_usd("40"), _usd("100"))
    (equal,) = _line(store, "team:B", "power")["settlement"]["pools"]
    assert (equal["driver"]["driver"], equal["cost_usd"]) == ("equal", _usd("0.000000001"))
    assert equal["share"]["decimal"] == _usd("0.5")


def test_listed_users_bear_their_own_and_an_equal_part_of_the_rest(store: Store) -> None:
    rule = Rule("people", 1, "by_user", user_ids=("u1", "u2"), match=Match(teams=("A",)))
    write(store, rule)
    Feed(store).send(
        usage("own", "10", team="A", user_id="u1"),
        usage("other", "20", team="A", user_id="u3"),
        usage("nobody", "6", team="A", user_id=None),
        usage("b", "5", team="B", user_id="u2"),
    )
    _close(store, OCTOBER)
    found = _line(store, "team:A", "query")
    told = {
        tuple(pool["pool"]): (pool["cost_usd"], pool["driver"]["driver"])
        for pool in found["settlement"]["pools"]
    }
    assert told == {
        ("others", "A"): (_usd("13"), "equal"),
        ("own", "A", "u1"): (_usd("10"), "own"),
    }
    default = _line(store, "team:B", "query")
    assert default["rule"]["rule"] == "default@1"
    assert default["rule"]["in_words"].startswith("default@1 takes what no rule claims: ")


def test_agents_and_labels_that_rules_name_are_found_again(store: Store) -> None:
    terms = Snapshot(labels=("project",))
    one = Match(agents=("g", None), labels=(("project", ("p", "")),))
    write(
        store,
        Rule("some", 1, "equal_split", receivers=(A,), match=one),
        Rule("rest", 1, "equal_split", receivers=(B,), priority=200),
    )
    feed = Feed(store, grain=Grain("UTC", ("project",)))
    agents, projects = ("g", "h", "(other)", None), ("p", "q", "", None)
    feed.send(
        *(
            usage(
                f"{agent}-{project}",
                "0.01",
                agent_id=agent,
                metadata={} if project is None else {"project": project},
            )
            for agent in agents
            for project in projects
        )
    )
    _close(store, OCTOBER, terms)
    for receiver, expected in {
        "team:A": {"g-p", "g-", "None-p", "None-"},
        "team:B": {"g-q", "g-None", "None-q", "None-None"}
        | {f"{agent}-{project}" for agent in ("h", "(other)") for project in projects},
    }.items():
        found = _line(store, receiver, "query")
        ids = {record["usage_id"] for _, _, record in records_of([{"explanation": found}])}
        assert ids == expected


def test_a_driver_of_some_types_is_told_with_them(store: Store) -> None:
    rule = Rule("r", 1, "by_usage", driver=Driver.QUANTITY, driver_resource_types=("query",))
    write(store, rule)
    Feed(store).send(
        usage("a", "1", team="A", quantity="30"),
        usage("b", "1", team="B", quantity="10"),
        usage("c", "1", team="B", quantity="99", resource_type="storage"),
        usage("shared", "8", resource_type="compute", **NOBODYS),
    )
    _close(store, OCTOBER)
    (pool,) = _line(store, "team:A", "compute")["settlement"]["pools"]
    assert pool["driver"] == {
        "driver": "quantity",
        "resource_types": ["query"],
        "own": _usd("30"),
        "whole": _usd("40"),
        "evenly": False,
    }


def test_a_line_is_explained_by_the_version_that_held_then(store: Store) -> None:
    first = Rule("r", 1, "equal_split", receivers=(A,))
    write(store, first)
    feed = Feed(store)
    feed.send(usage("october", "8", **NOBODYS))
    _close(store, OCTOBER)
    write(store, Rule("r", 2, "equal_split", receivers=(B,), closed=(OCTOBER.days(),)))
    feed.send(usage("november", "8", day="2026-11-03", **NOBODYS))
    feed.send(usage("late", "2", day="2026-10-04", **NOBODYS))
    _close(store, NOVEMBER)
    assert _line(store, "team:A", "query")["rule"]["rule"] == "r@1"
    assert _line(store, "team:A", "query", period=NOVEMBER)["rule"]["rule"] == "r@1"
    assert _line(store, "team:B", "query", period=NOVEMBER)["rule"]["rule"] == "r@2"


def test_usage_that_a_closed_month_did_not_count_is_said_as_a_difference(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("one", "10", team="A"))
    _close(store, OCTOBER)
    # What the close counted cannot be told from what came since the month takes usage again.
    reopen(store, OCTOBER)
    feed.send(usage("two", "5", team="A"))
    found = _explained(store, "INV-202610-0001", line=1)
    check_line(found)
    difference = found["settlement"]["difference"]
    assert difference["cost_usd"] == _usd("-5")
    assert "2026-10" in difference["sentence"]


def test_a_correction_is_what_is_owed_beyond_what_was_booked(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("one", "10", team="A"))
    _close(store, OCTOBER)
    feed.send(usage("late", "3", team="A"))
    _close(store, NOVEMBER)
    reopen(store, OCTOBER)
    feed.send(usage("two", "5", team="A"))
    _close(store, OCTOBER)
    steps = _explained(store, "INV-202610-0002", line=1)["settlement"]
    assert steps["exact_usd"] == _usd("5")
    assert steps["allocated_usd"] == _usd("18")
    assert steps["counted_periods"] == ["2026-10", "2026-11"]
    assert steps["difference"] is None
    booked = [(once["period"], once["cost_usd"]) for once in steps["booked_before"]]
    assert booked == [("2026-10", _usd("10")), ("2026-11", _usd("3"))]
    # November was closed before October was for the second time, and knew nothing of it.
    of_november = _explained(store, "INV-202611-0001", line=1)["settlement"]
    assert [once["revision"] for once in of_november["booked_before"]] == [1]
    assert of_november["decided_by"] == {"period": "2026-10", "revision": 1}


def test_a_method_of_its_own_is_explained_without_a_line_for_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sixth = Method(
        lambda rule: rule.narrowed,
        lambda claimed, *_: [Pool(("sixth",), {Pair("A"): 2, Pair("B"): 5}, claimed)],
        lambda rule: "divides it two to five",
    )
    monkeypatch.setitem(METHODS, "sixth", sixth)
    write(store, Rule("r", 1, "sixth"))
    Feed(store).send(usage("u", "7"))
    _close(store, OCTOBER)
    found = _line(store, "team:B", "query")
    assert found["rule"]["in_words"] == "r@1 takes all usage: it divides it two to five."
    (pool,) = found["settlement"]["pools"]
    assert (pool["driver"]["driver"], pool["driver"]["own"]) == ("weight", Amount(5 * NANO))


def test_pages_go_on_through_totals_and_their_records(store: Store) -> None:
    feed = Feed(store)
    feed.send(
        *(
            usage(f"u{number}", "0.5", day=f"2026-10-{number % 4 + 1:02d}", agent_id=agent)
            for number in range(20)
            for agent in [str(number % 2)]
        )
    )
    _close(store, OCTOBER)
    pages = list(
        every_page(
            lambda cursor: explain_invoice(
                store, "INV-202610-0001", TERMS, line=1, limit=3, cursor=cursor
            )
        )
    )
    for page in pages:
        check_line(page["explanation"])
    found = [record["usage_id"] for _, _, record in records_of(pages)]
    assert sorted(found) == sorted(f"u{number}" for number in range(20))


def test_what_does_not_exist_is_refused_with_what_there_is(store: Store) -> None:
    Feed(store).send(usage("u", "7"))
    _close(store, OCTOBER)
    with pytest.raises(InvoiceUnknown):
        _explained(store, "INV-202610-0009")
    for line in (0, 2, -1):
        with pytest.raises(LineUnknown, match="has 1 line, so there is no line"):
            _explained(store, "INV-202610-0001", line=line)
    with pytest.raises(UnknownPlace):
        _explained(store, "INV-202610-0001", cursor="x")
    zeros = "00" * 16
    for cursor in ("", "x", "0", "0.zz", "1.", f"0.{zeros}.1.{zeros}", f"0.{zeros}.x.{zeros}"):
        with pytest.raises(UnknownPlace):
            _explained(store, "INV-202610-0001", line=1, cursor=cursor)
