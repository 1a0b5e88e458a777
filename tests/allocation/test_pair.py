import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import UNALLOCATED, BillTo, Pair

names = st.none() | st.text(max_size=3)
pairs = st.builds(Pair, names, names)


IN_ORDER = [
    Pair("A"),
    Pair("A", "x"),
    Pair("A", "y"),
    Pair("A!"),
    Pair("B"),
    Pair(None, "a"),
    Pair(None, "ä"),
    UNALLOCATED,
]


@given(st.permutations(IN_ORDER))
def test_a_team_comes_before_its_users_and_nobody_comes_last(mixed: list[Pair]) -> None:
    assert sorted(mixed) == IN_ORDER


@given(pairs, pairs)
def test_the_order_is_total(one: Pair, other: Pair) -> None:
    assert (one < other) + (other < one) + (one == other) == 1


@pytest.mark.parametrize(
    ("pair", "bill_to", "key"),
    [
        (Pair("T", "u"), BillTo.TEAM, "team:T"),
        (Pair("T", "u"), BillTo.USER, "user:u"),
        (Pair("T"), BillTo.USER, "team:T"),
        (Pair(None, "u"), BillTo.TEAM, "user:u"),
        (UNALLOCATED, BillTo.TEAM, "unallocated"),
    ],
)
def test_a_pair_has_one_receiver(pair: Pair, bill_to: BillTo, key: str) -> None:
    assert pair.billed(bill_to).key == key


def test_an_empty_name_is_not_a_missing_one() -> None:
    assert Pair("").key == "team:"
    assert Pair("").billed(BillTo.TEAM) != UNALLOCATED
