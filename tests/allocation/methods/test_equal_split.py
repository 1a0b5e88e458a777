from datetime import date

from chargeback_worker.allocation.engine import allocate, pools
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.methods.equal_split import METHOD
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Receiver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from tests.support.borne import borne, receivers
from tests.support.pure_ledger import usage

A = Pair("A")


def of(
    users: tuple[str, ...] = (),
    named: tuple[Receiver, ...] = (),
    team_id: str | None = None,
) -> Rule:
    return Rule("seats", 1, "equal_split", user_ids=users, receivers=named, team_id=team_id)


def test_it_claims_what_matches_of_its_team() -> None:
    rule = Rule("r", 1, "equal_split", match=Match(users=("x",)), team_id="A")
    assert METHOD.claims(rule) == rule.match.claim("A")
    assert METHOD.claims(of(("x",))).takes_all


def test_users_and_receivers_bear_it_equally() -> None:
    rule = of(("y", "x"), receivers(A, Pair(None, "z")))
    assert borne([usage(6, team="B"), usage(4)], rule) == [
        ("team:A", 3),
        ("user:x", 3),
        ("user:y", 2),
        ("user:z", 2),
    ]


def test_with_nobody_named_its_team_bears_it_whoever_used_it() -> None:
    (part,) = allocate([usage(7, team="A", user="x", quantity=3)], Snapshot((of(team_id="A"),)))
    assert (part.key.pair, part.cost, part.quantity) == (A, 7, 0)
    assert part.shared
    assert part.share == 1


def test_its_team_bears_nothing_where_others_are_named() -> None:
    assert borne([usage(5, team="A")], of(("x",), team_id="A")) == [("user:x", 5)]
    assert borne([usage(5, team="A")], of((), receivers(Pair("B")), "A")) == [("team:B", 5)]


def test_all_that_it_claims_is_one_pool() -> None:
    used = [usage(1), usage(2, team="A", user="x", day=date(2025, 10, 20))]
    ((_, pool),) = pools(used, Snapshot((of(("x",), receivers(A)),)))
    assert (pool.key, pool.weights, len(pool.usage)) == (("split",), {Pair(user="x"): 1, A: 1}, 2)
    assert not pool.own


def test_it_says_who_bears_what() -> None:
    assert METHOD.says(of(("y",), receivers(A))) == "divides it equally among team:A, user:y"
    assert METHOD.says(of(team_id="A")) == "gives it to team:A"
    assert METHOD.says(of(("x",))) == "gives it to user:x"


def test_it_needs_somebody_to_bear_it() -> None:
    (fault,) = METHOD.check(of())
    assert fault == (
        "no_receiver",
        "user_ids",
        "an equal_split needs user_ids, allocation_metadata.receivers or a team_id",
    )
    for rule in (of(("x",)), of((), receivers(A)), of(team_id="A")):
        assert list(METHOD.check(rule)) == []


def test_it_looks_at_users_and_receivers() -> None:
    assert METHOD.uses == {"user_ids", "receivers"}
    assert METHOD.looks_at == frozenset()
