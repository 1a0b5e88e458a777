import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.pair import UNALLOCATED, BillTo, Pair
from tests.support.laws import law

names = st.none() | st.text(max_size=3)
pairs = st.builds(Pair, names, names)


# What parts a team from a user in a key, what stands for that within an id, and pieces of both.
_PIECES = ["A", "%", "25", "/user:", "%2Fuser:", "%252Fuser:", "%25252Fuser:"]
colliding = st.none() | st.lists(st.sampled_from(_PIECES), max_size=3).map("".join)

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


@law(200)
@given(st.lists(st.builds(Pair, colliding, colliding), unique=True, min_size=20, max_size=30))
def test_no_two_pairs_have_one_key(some: list[Pair]) -> None:
    assert len({pair.key for pair in some}) == len(some)


@law(400)
@given(colliding, colliding.filter(lambda user: user is not None))
def test_a_key_says_where_a_team_ends_and_a_user_begins(team: str | None, user: str | None) -> None:
    """So who bears a share of whatever team is found by how the key ends."""
    key = Pair(team, user).key
    assert key.endswith(Pair(user=user).key)
    assert f"/{key}".count("/user:") == 1


@given(pairs)
def test_the_keys_of_usual_ids_hold_them_as_they_are(pair: Pair) -> None:
    sides = [f"team:{pair.team}"] * (pair.team is not None)
    sides += [f"user:{pair.user}"] * (pair.user is not None)
    assert pair.key == ("/".join(sides) or "unallocated")


@pytest.mark.parametrize(
    ("pair", "key"),
    [
        (Pair("A", "x"), "team:A/user:x"),
        (Pair("A/user:x"), "team:A%2Fuser:x"),
        (Pair("A%2Fuser:x"), "team:A%252Fuser:x"),
        (Pair("A%252Fuser:x"), "team:A%25252Fuser:x"),
        (Pair("/user:", "/user:/user:"), "team:%2Fuser:/user:%2Fuser:%2Fuser:"),
        (Pair("user:x", "user:y"), "team:user:x/user:user:y"),
        (Pair("100 %", "a/b"), "team:100 %/user:a/b"),
        (Pair("%2fuser:", "%2F"), "team:%2fuser:/user:%2F"),
        (Pair("A/team:B", "a@b.example"), "team:A/team:B/user:a@b.example"),
    ],
)
def test_only_what_would_part_a_team_from_a_user_is_written_otherwise(pair: Pair, key: str) -> None:
    assert pair.key == key


def test_the_order_looks_at_ids_as_they_are() -> None:
    assert Pair("A.user:x") < Pair("A/user:x") < Pair("A0")
    assert Pair("A/user:x").key < Pair("A.user:x").key
