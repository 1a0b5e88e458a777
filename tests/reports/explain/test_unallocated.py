"""What nobody bears, and which rule nearly claimed it."""

from typing import Any

import pytest
from hypothesis import given

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.rule import Receiver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.money import nano_from_text
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import close, dry_run
from chargeback_worker.reports.explain.invoice import LineUnknown
from chargeback_worker.reports.explain.settled import OriginNotClosed
from chargeback_worker.reports.explain.unallocated import explain_unallocated
from chargeback_worker.reports.pages import UnknownPlace
from chargeback_worker.store import Store, bookings, closes, origins
from chargeback_worker.usage.event import Grain
from tests.support import made_months
from tests.support.explained import check_all_pages, check_line, reopen
from tests.support.feed import Feed, set_state, usage
from tests.support.laws import law_on_a_store
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, OCTOBER, TERMS, act
from tests.support.made_months import FAR_US, Used, nano, new_year, of_year, send, write

A = Receiver("A", Pair("A"))
NOBODYS: dict[str, Any] = {"team": None, "user_id": None}
RENT = Rule("rent", 1, "equal_split", receivers=(A,), match=Match(resource_types=("rent",)))


def _usd(text: str) -> Amount:
    return Amount(nano_from_text(text, limit=10**30))


def _close(store: Store, period: Period = OCTOBER) -> None:
    close(store, period, TERMS, act(AFTER_NOVEMBER_US), owner="closer")


def _explained(store: Store, period: Period = OCTOBER, **asked: Any) -> Document:
    document: Document = explain_unallocated(store, period, TERMS, **asked)["explanation"]
    return document


def _check(store: Store, period: Period) -> Document:
    """Everything that nobody bears of a month, line by line and page by page."""
    found = _explained(store, period)
    facts = found["unallocated"]
    assert facts["lines"] == len(found["lines"]) + found["not_shown"]["lines"]
    shown = sum(nano(line["exact_usd"]) for line in found["lines"])
    assert nano(facts["exact_usd"]) == shown + nano(found["not_shown"]["exact_usd"])
    for line in range(1, facts["lines"] + 1):
        check_all_pages(
            lambda cursor, line=line: explain_unallocated(  # type: ignore[misc]
                store, period, TERMS, line=line, limit=2, cursor=cursor
            )
        )
    return found


@law_on_a_store(8)
@given(
    rules=made_months.some_rules(),
    used=made_months.events(),
    late=made_months.events(max_size=4, month=1),
)
def test_it_is_what_a_close_would_book_to_nobody_and_then_what_it_booked(
    store: Store, rules: list[Rule], used: list[Used], late: list[Used]
) -> None:
    year = new_year()
    write(store, *of_year(rules, year))
    send(store, year, used)
    for month in made_months.months_of(year):
        before = _check(store, month)
        would = sum(
            row.cost for row in dry_run(store, month, TERMS, FAR_US).owed if row.pair == UNALLOCATED
        )
        assert nano(before["unallocated"]["exact_usd"]) == would
        close(store, month, TERMS, act(FAR_US), owner="closer")
        after = _check(store, month)
        assert [line | {"booked": True} for line in before["lines"]] == after["lines"]
        with store.read() as transaction:
            done = closes.last(transaction, month)
        assert done is not None
        assert after["unallocated"]["total_usd"] == Amount(done.unallocated)
        send(store, year, late, word="late")


def test_each_line_says_which_usage_no_rule_claimed_and_which_rule_nearly_did(
    store: Store,
) -> None:
    write(store, RENT, Rule("teams", 1, "by_team", priority=500))
    Feed(store).send(
        usage("a", "3", resource_type="power", **NOBODYS),
        usage("b", "4", resource_type="power", day="2026-10-05", **NOBODYS),
        usage("c", "5", resource_type="rent", **NOBODYS),
    )
    _close(store)
    found = _check(store, OCTOBER)
    (line,) = found["lines"]
    assert (line["rule"], line["resource_type"], line["exact_usd"]) == (
        "default@1",
        "power",
        _usd("7"),
    )
    assert line["why"] == {
        "sentence": "No rule claimed it.",
        "nearly": [
            {
                "rule": "rent@1",
                "failing": ["resource_types"],
                "sentence": "rent@1 would have claimed it, but takes only usage of type rent, and"
                " this is of type power.",
                "cost_usd": _usd("7"),
                "record_count": 2,
            }
        ],
        "nearly_not_shown": 0,
    }
    (pool,) = _explained(store, line=1)["settlement"]["pools"]
    for total in pool["behind"]["usage_totals"]:
        assert total["nearly"]["rule"] == "rent@1"
        assert total["owner"] == "unallocated"


def test_what_a_disabled_rule_would_take_is_told_apart_by_what_it_looks_at(store: Store) -> None:
    disabled = Rule(
        "g", 1, "equal_split", receivers=(A,), enabled=False, match=Match(agents=("g",))
    )
    write(store, disabled)
    Feed(store).send(
        usage("a", "3", agent_id="g", **NOBODYS),
        usage("b", "4", agent_id="h", **NOBODYS),
        usage("c", "5", agent_id="i", **NOBODYS),
    )
    _close(store)
    (line,) = _check(store, OCTOBER)["lines"]
    told = [(near["sentence"], near["cost_usd"]) for near in line["why"]["nearly"]]
    assert told == [
        (
            "g@1 would have claimed it, but is disabled and takes only usage by agent g, and this"
            " is by another agent.",
            _usd("9"),
        ),
        ("g@1 would have claimed it, but is disabled.", _usd("3")),
    ]
    page = _explained(store, limit=1)["lines"][0]["why"]
    assert (len(page["nearly"]), page["nearly_not_shown"]) == (1, 1)


def test_a_rule_that_claimed_it_and_found_nobody_is_named(store: Store) -> None:
    write(store, Rule("shared", 1, "by_usage"))
    feed = Feed(store)
    feed.send(usage("a", "3", resource_type="compute", **NOBODYS))
    _close(store)
    (line,) = _check(store, OCTOBER)["lines"]
    assert line["why"]["sentence"].startswith("shared@1 claimed it, but there is nobody")
    found = _explained(store, line=1)
    (pool,) = found["settlement"]["pools"]
    assert pool["driver"]["driver"] == "nobody"
    assert "nearly" not in pool["behind"]["usage_totals"][0]
    feed.send(usage("late", "1", team="A"))
    _close(store, NOVEMBER)
    (adjusted,) = _check(store, NOVEMBER)["lines"]
    assert (adjusted["origin_period"], adjusted["exact_usd"]) == ("2026-10", _usd("-3"))
    assert adjusted["why"]["sentence"].startswith("Since late usage came, somebody bears")
    steps = _explained(store, NOVEMBER, line=1)["settlement"]
    assert steps["pools"] == []
    assert steps["without_late_usage"]["allocated_usd"] == _usd("3")


def test_labels_of_the_grain_are_told_by_their_names(store: Store) -> None:
    terms = Snapshot(labels=("project",))
    feed = Feed(store, grain=Grain("UTC", ("project",)))
    feed.send(usage("a", "3", metadata={"project": "p"}, **NOBODYS))
    close(store, OCTOBER, terms, act(), owner="closer")
    (pool,) = _explained(store, line=1)["settlement"]["pools"]
    (total,) = pool["behind"]["usage_totals"]
    assert (total["labels"], total["nearly"]) == ({"project": "p"}, None)


def test_an_open_month_is_explained_by_the_rules_of_now(store: Store) -> None:
    Feed(store).send(usage("a", "3", **NOBODYS))
    before = _explained(store)
    assert (before["unallocated"]["state"], before["unallocated"]["total_usd"]) == ("open", None)
    assert _explained(store, line=1)["settlement"]["decided_by"] is None
    write(store, Rule("all", 1, "equal_split", receivers=(A,)))
    assert _explained(store)["lines"] == []


def test_a_reopened_month_shows_what_is_booked_and_what_would_be(store: Store) -> None:
    feed = Feed(store)
    feed.send(usage("a", "3", **NOBODYS))
    _close(store)
    reopen(store, OCTOBER)
    feed.send(usage("b", "4", **NOBODYS))
    found = _explained(store)
    told = [(line["booked"], line["revision"], line["exact_usd"]) for line in found["lines"]]
    assert told == [(True, 1, _usd("3")), (False, 2, _usd("4"))]
    check_line(_explained(store, line=2))
    _close(store)
    with store.read() as transaction:
        assert bookings.cost_in(transaction, OCTOBER) == origins.cost_in(transaction, OCTOBER)
    assert _explained(store)["unallocated"]["total_usd"] == _usd("7")


def test_a_month_without_usage_has_nothing_unallocated(store: Store) -> None:
    Feed(store)
    found = _explained(store, Period(2027, 3))
    assert found["unallocated"]["lines"] == 0
    with pytest.raises(LineUnknown, match="has no lines, so there is no line 1"):
        _explained(store, Period(2027, 3), line=1)


def test_pages_of_lines_go_on_by_line(store: Store) -> None:
    feed = Feed(store)
    feed.send(*(usage(name, "1", resource_type=name, **NOBODYS) for name in "abcde"))
    _close(store)
    cursor, seen = None, []
    while True:
        page = explain_unallocated(store, OCTOBER, TERMS, limit=2, cursor=cursor)
        seen += [line["resource_type"] for line in page["explanation"]["lines"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list("abcde")
    with pytest.raises(UnknownPlace):
        _explained(store, cursor="a")


def test_late_usage_of_a_month_that_is_not_closed_is_refused_by_its_name(store: Store) -> None:
    feed = Feed(store)
    set_state(store, OCTOBER, "closed")
    feed.send(usage("late", "1"))
    with pytest.raises(OriginNotClosed, match="2026-10 is not closed"):
        _explained(store, NOVEMBER)
