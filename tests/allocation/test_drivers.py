from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.drivers import Attributed, Drivers
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Driver
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_usage
from tests.support.laws import law
from tests.support.pure_ledger import usage

A, B, X, Y = Pair("A"), Pair("B"), Pair(None, "x"), Pair(None, "y")


def drivers(*totals: UsageTotal) -> Drivers:
    return Drivers(tuple(Attributed(Pair(total.team, total.user), total) for total in totals))


USED = drivers(
    usage(1, team="A", user="x", quantity=10, records=100),
    usage(2, team="A", quantity=20, records=200, resource_type="compute"),
    usage(4, team="B", user="x", quantity=40, records=400),
    usage(8, user="x", quantity=80, records=800),
    usage(16, user="y", quantity=160, records=1600, resource_type="compute"),
    usage(32, quantity=320, records=3200),
)


def test_a_total_counts_once_for_its_team_or_else_for_its_user() -> None:
    assert USED.measured([A, X, B], Driver.COST) == {A: 3, B: 4, X: 8}
    assert USED.measured([A, X], Driver.COST) == {A: 3, X: 4 + 8}
    assert USED.measured([X, Y], Driver.COST) == {X: 1 + 4 + 8, Y: 16}
    assert USED.measured([], Driver.COST) == {}


def test_quantities_and_records_are_measured_too_and_of_some_types_only() -> None:
    assert USED.measured([A, X], Driver.QUANTITY, ["query"]) == {A: 10, X: 120}
    assert USED.measured([A, Y], Driver.RECORDS) == {A: 300, Y: 1600}
    assert USED.measured([A, Y], Driver.RECORDS, ["query", "compute"]) == {A: 300, Y: 1600}
    assert USED.measured([A, Y], Driver.RECORDS, ["rent"]) == {A: 0, Y: 0}


def test_usage_of_one_owner_and_type_is_summed() -> None:
    used = drivers(*[usage(1, team="A", user="x", quantity=10, records=100)] * 3)
    measured = {driver: used.measured([A], driver)[A] for driver in Driver}
    assert measured == {Driver.COST: 3, Driver.QUANTITY: 30, Driver.RECORDS: 300}


def test_what_has_no_owner_counts_for_nobody() -> None:
    nobody = Pair()
    assert drivers(usage(9)).measured([nobody, A], Driver.COST) == {nobody: 0, A: 0}
    assert drivers(usage(9)).owners == ()


def test_below_zero_is_nothing_and_only_the_sum_counts() -> None:
    used = drivers(usage(5, team="A"), usage(-6, team="A"), usage(-1, team="B"), usage(1, team="B"))
    assert used.measured([A, B], Driver.COST) == {A: 0, B: 0}
    types = drivers(usage(5, team="A"), usage(-2, team="A", resource_type="compute"))
    assert types.measured([A], Driver.COST) == {A: 3}


def test_owners_are_teams_with_usage_and_users_without_a_team_in_order() -> None:
    used = drivers(
        usage(0, user="y"), usage(0, user="x"), usage(0, team="B", user="z"), usage(0, team="A")
    )
    assert used.owners == (A, B, X, Y)


def test_users_of_a_team_are_those_with_usage_in_it() -> None:
    used = drivers(
        usage(0, team="A", user="y", day=date(2025, 10, 9)),
        usage(0, team="A", user="x"),
        usage(0, team="A", user="y"),
        usage(0, team="A"),
        usage(0, team="B", user="z"),
        usage(0, user="w"),
    )
    assert used.users_of("A") == ("x", "y")
    assert used.users_of("B") == ("z",)
    assert used.users_of("C") == ()


@law()
@given(made_usage.totals(), st.lists(st.sampled_from([A, B, Pair("C"), X, Y]), unique=True))
def test_no_usage_counts_twice(totals: list[UsageTotal], receivers: list[Pair]) -> None:
    measured = drivers(*totals).measured(receivers, Driver.RECORDS)
    assert measured.keys() == set(receivers)
    owned = [total for total in totals if (total.team, total.user) != (None, None)]
    assert sum(measured.values()) <= sum(total.records for total in owned)
    everybody = drivers(*totals).measured(drivers(*totals).owners, Driver.RECORDS)
    assert sum(everybody.values()) == sum(total.records for total in owned)
