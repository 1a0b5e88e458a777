import pytest

from chargeback_worker.allocation.engine import allocate, pools
from chargeback_worker.allocation.match import Claim, Condition, Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.methods.by_usage import METHOD
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Driver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from tests.support.borne import borne, directory, receivers
from tests.support.pure_ledger import Ledger, usage

RENT = Rule("rent", 1, "by_usage")
A, B = Pair("A"), Pair("B")
X, Y = Pair(None, "x"), Pair(None, "y")


def of(driver: Driver, *resource_types: str) -> Rule:
    return Rule("rent", 1, "by_usage", driver=driver, driver_resource_types=resource_types)


def test_it_claims_what_matches() -> None:
    rule = Rule("r", 1, "by_usage", team_id="A", match=Match(users=(None,)))
    assert METHOD.claims(RENT).takes_all
    assert METHOD.claims(rule) == Claim(
        teams=Condition.one_of(["A"]), users=Condition.one_of([None])
    )


def test_shared_cost_follows_the_usage_of_its_receivers_and_so_does_late_usage() -> None:
    """Example 4 of the written rules."""
    ledger = Ledger()
    used = [usage(90 * NANO, team="A"), usage(10 * NANO, team="B")]
    ledger.ingest([*used, usage(300 * NANO, resource_type="compute")])
    ledger.close(Period(2025, 10), Snapshot((RENT,)))
    rows = [(row.pair, row.key.resource_type, row.cost) for row in ledger.owed]
    assert rows == [
        (A, "compute", 270 * NANO),
        (A, "query", 90 * NANO),
        (B, "compute", 30 * NANO),
        (B, "query", 10 * NANO),
    ]
    ledger.ingest([usage(90 * NANO, team="B")])
    ledger.close(Period(2025, 11), Snapshot((RENT,)))
    assert [(row.pair, row.cost, row.cause) for row in ledger.owed] == [
        (A, -127_894_736_842, Cause.DRIVER_CHANGED),
        (B, 127_894_736_842, Cause.DRIVER_CHANGED),
        (B, 90 * NANO, Cause.LATE_USAGE),
    ]


def test_owned_usage_stays_with_its_pair_and_keeps_its_quantity() -> None:
    (part,) = allocate([usage(7, team="A", user="x", quantity=3)], Snapshot((RENT,)))
    assert (part.key.pair, part.cost, part.quantity, part.shared) == (Pair("A", "x"), 7, 3, False)


def test_without_receivers_named_teams_bear_it_and_users_without_a_team() -> None:
    used = [usage(1, team="A", user="x"), usage(1, user="x"), usage(2, user="y")]
    assert borne([*used, usage(40)], RENT) == [
        ("team:A", 10),
        ("team:A/user:x", 1),
        ("user:x", 1 + 10),
        ("user:y", 2 + 20),
    ]


def test_nobody_to_bear_it_leaves_it_unallocated() -> None:
    assert borne([usage(300)], RENT) == [("unallocated", 300)]


def test_receivers_are_those_named_even_where_they_used_nothing() -> None:
    rule = Rule("rent", 1, "by_usage", receivers=receivers(Pair("Z"), Pair(None, "z")))
    assert borne([usage(5, team="A"), usage(9)], rule) == [
        ("team:A", 5),
        ("team:Z", 5),
        ("user:z", 4),
    ]


def test_a_receiver_below_zero_counts_as_nothing_and_none_above_it_divides_evenly() -> None:
    both = Rule("rent", 1, "by_usage", receivers=receivers(A, B), match=Match(teams=(None,)))
    refund = [usage(-50, team="A"), usage(1, team="B")]
    own = [("team:A", -50), ("team:B", 1)]
    assert borne([*refund, usage(10)], both) == [*own, ("team:B", 10)]
    assert borne([usage(-50, team="A"), usage(10)], both) == [own[0], ("team:A", 5), ("team:B", 5)]


def test_negative_sums_offset_each_other_before_they_count() -> None:
    used = [usage(30, team="A"), usage(-20, team="A"), usage(10, team="B")]
    assert borne([*used, usage(8, resource_type="rent")], RENT) == [
        ("team:A", 10),
        ("team:A", 4),
        ("team:B", 10),
        ("team:B", 4),
    ]


@pytest.mark.parametrize(
    ("rule", "parts"),
    [
        (of(Driver.COST), [("team:A", 90), ("team:B", 10)]),
        (of(Driver.COST, "query"), [("team:A", 50), ("team:B", 50)]),
        (of(Driver.COST, "query", "storage"), [("team:A", 90), ("team:B", 10)]),
        (of(Driver.QUANTITY, "query"), [("team:A", 20), ("team:B", 80)]),
        (of(Driver.RECORDS), [("team:A", 40), ("team:B", 60)]),
        (of(Driver.RECORDS, "query"), [("team:A", 25), ("team:B", 75)]),
        (of(Driver.COST, "unused"), [("team:A", 50), ("team:B", 50)]),
    ],
)
def test_the_driver_may_be_cost_quantity_or_records_of_some_resource_types(
    rule: Rule, parts: list[tuple[str, int]]
) -> None:
    used = [
        usage(1, team="A", quantity=2, records=1),
        usage(8, team="A", quantity=100, records=1, resource_type="storage"),
        usage(1, team="B", quantity=8, records=3),
    ]
    rule = Rule(
        "rent",
        1,
        "by_usage",
        match=Match(teams=(None,)),
        driver=rule.driver,
        driver_resource_types=rule.driver_resource_types,
    )
    found = borne([*used, usage(100, resource_type="rent")], rule)
    assert found[-2:] == parts


def test_usage_counts_for_the_team_where_that_is_named_and_else_for_the_user() -> None:
    rule = Rule("rent", 1, "by_usage", receivers=receivers(A, X), match=Match(teams=(None,)))
    used = [
        usage(30, team="A", user="x"),
        usage(10, team="A", user="y"),
        usage(20, team="B", user="x"),
        usage(40, team="B", user="y"),
    ]
    assert borne([*used, usage(90)], rule)[-2:] == [("team:A", 60), ("user:x", 30)]


def test_usage_of_a_user_counts_where_the_directory_puts_it() -> None:
    used = [usage(10, user="x"), usage(30, user="y")]
    found = borne([*used, usage(8, resource_type="rent")], RENT, directory=directory(A=["x"]))
    assert found == [("team:A", 2), ("team:A/user:x", 10), ("user:y", 30), ("user:y", 6)]


def test_the_driver_is_all_usage_whatever_rule_claims_it_and_whatever_the_day() -> None:
    first = Rule("first", 1, "equal_split", priority=1, match=Match(teams=("A",)), user_ids=("z",))
    last = usage(0).day.replace(day=31)
    used = [usage(1, team="A"), usage(3, team="B", day=last), usage(8)]
    assert borne(used, first, RENT) == [
        ("user:z", 1),
        ("team:A", 2),
        ("team:B", 3 + 6),
    ]


def test_shared_cost_is_one_pool_with_what_receivers_used_as_weights() -> None:
    used = [usage(7, team="A"), usage(0, team="B"), usage(1), usage(2, resource_type="rent")]
    made = [pool for _, pool in pools(used, Snapshot((RENT,))) if not pool.own]
    assert [(pool.key, pool.weights, len(pool.usage)) for pool in made] == [
        (("shared",), {A: 7, B: 0}, 2)
    ]


def test_it_says_who_bears_what() -> None:
    rule = Rule(
        "rent",
        1,
        "by_usage",
        receivers=receivers(A, X),
        driver=Driver.RECORDS,
        driver_resource_types=("query", "storage"),
    )
    assert METHOD.says(rule) == (
        "leaves usage with its owner and divides shared cost among team:A, user:x by the number of"
        " records of query and storage they used in the period"
    )
    assert "the quantity of query they used" in METHOD.says(of(Driver.QUANTITY, "query"))
    assert METHOD.says(RENT) == (
        "leaves usage with its owner and divides shared cost among all teams, and users without a"
        " team, that used anything by the cost of everything they used in the period"
    )


def test_a_quantity_needs_one_resource_type_to_be_of() -> None:
    for types in ((), ("query", "storage")):
        (fault,) = METHODS["by_usage"].check(of(Driver.QUANTITY, *types))
        assert fault == (
            "quantity_driver",
            "allocation_metadata.driver_match",
            "the driver quantity needs a driver_match that names exactly one resource type, as"
            " quantities of unlike units are never added",
        )
    assert list(METHOD.check(of(Driver.QUANTITY, "query"))) == []
    assert list(METHOD.check(of(Driver.RECORDS))) == []


def test_it_looks_at_receivers_and_driver() -> None:
    assert METHOD.uses == {"receivers", "driver", "driver_match"}
    assert METHOD.looks_at == frozenset()
