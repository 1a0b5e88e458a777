from fractions import Fraction

import pytest

from chargeback_worker.allocation.engine import allocate, pools
from chargeback_worker.allocation.match import PRESENT, Claim, Condition, Match
from chargeback_worker.allocation.methods.by_user import METHOD
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from tests.support.borne import borne, directory
from tests.support.pure_ledger import usage

EACH = Rule("people", 1, "by_user")
OF_A = Match(teams=("A",))
HALF = Fraction(1, 2)


def of(*users: str, match: Match | None = None, team_id: str | None = None) -> Rule:
    return Rule("people", 1, "by_user", user_ids=users, match=match or Match(), team_id=team_id)


def test_listed_users_share_what_a_team_used_besides() -> None:
    """Example 7 of the written rules."""
    used = [
        usage(10, team="A", user="u1"),
        usage(20, team="A", user="u3"),
        usage(6, team="A"),
        usage(5, team="B", user="u2"),
    ]
    parts = allocate(used, Snapshot((of("u1", "u2", match=OF_A),)))
    assert [(part.key.cited, part.key.pair, part.cost) for part in parts] == [
        ("default@1", Pair("B", "u2"), 5),
        ("people@1", Pair("A", "u1"), 10 + 13),
        ("people@1", Pair("A", "u2"), 13),
    ]


@pytest.mark.parametrize(
    ("rule", "claim"),
    [
        (EACH, Claim(users=PRESENT)),
        (of(match=OF_A), Claim(teams=Condition.one_of(["A"]), users=PRESENT)),
        (of(match=Match(users=("x", None))), Claim(users=Condition.one_of(["x"]))),
        (of("x", "y"), Claim(users=Condition.one_of(["x", "y"]))),
        (of("x", match=OF_A), Claim(teams=Condition.one_of(["A"]))),
        (of("x", team_id="A"), Claim(teams=Condition.one_of(["A"]))),
        (of("x", match=Match(users=("y",))), Claim(users=Condition.one_of(["y"]))),
    ],
)
def test_it_claims_by_match_or_team_and_else_what_its_users_used(rule: Rule, claim: Claim) -> None:
    assert METHOD.claims(rule) == claim


def test_without_a_list_each_user_bears_their_own_and_keeps_the_team() -> None:
    used = [usage(1, team="A", user="x"), usage(2, user="x"), usage(4, user="y"), usage(8)]
    people = directory(B=["y"])
    parts = allocate([*used, usage(16, team="A")], Snapshot((EACH,), people))
    assert [(part.key.rule_id, part.key.pair, part.cost) for part in parts] == [
        ("default", Pair("A"), 16),
        ("default", Pair(), 8),
        ("people", Pair("A", "x"), 1),
        ("people", Pair("B", "y"), 4),
        ("people", Pair(None, "x"), 2),
    ]
    assert not any(part.shared for part in parts)


def test_a_list_alone_takes_nothing_of_others() -> None:
    assert borne([usage(1, user="x"), usage(2, user="y"), usage(4)], of("x", "z")) == [
        ("user:y", 2),
        ("unallocated", 4),
        ("user:x", 1),
    ]


def test_what_others_used_keeps_its_team_and_what_has_none_goes_to_the_users_alone() -> None:
    rule = of("x", "y", match=Match(resource_types=("query",)))
    used = [usage(7, team="A"), usage(3, team="B", user="z"), usage(10, user="z"), usage(1)]
    assert borne(used, rule) == [
        ("team:A/user:x", 4),
        ("team:A/user:y", 3),
        ("team:B/user:x", 2),
        ("team:B/user:y", 1),
        ("user:x", 6),
        ("user:y", 5),
    ]


def test_what_others_used_is_one_pool_for_each_team() -> None:
    used = [usage(1, team="A"), usage(2, team="A", user="z"), usage(4), usage(8, user="x")]
    snapshot = Snapshot((of("x", "y", match=Match(agents=(None,))),))
    assert [(pool.key, pool.weights, len(pool.usage)) for _, pool in pools(used, snapshot)] == [
        (("own", None, "x"), {Pair(None, "x"): 1}, 1),
        (("others", "A"), {Pair("A", "x"): 1, Pair("A", "y"): 1}, 2),
        (("others", None), {Pair(None, "x"): 1, Pair(None, "y"): 1}, 1),
    ]


def test_own_usage_keeps_its_quantity_and_a_part_of_others_does_not() -> None:
    used = [usage(5, team="A", user="x", quantity=3), usage(4, team="A", quantity=9)]
    x, y = allocate(used, Snapshot((of("x", "y", team_id="A"),)))
    assert (x.cost, x.quantity, x.records, x.shared, x.share) == (7, 3, 2, True, HALF)
    assert (y.cost, y.quantity, y.records, y.shared, y.share) == (2, 0, 1, True, HALF)


def test_it_says_who_bears_what() -> None:
    assert METHOD.says(EACH) == "gives each user their own usage"
    assert METHOD.says(of("x", "y")) == (
        "gives x, y their own usage, and equally what it claims of others"
    )


def test_it_looks_at_its_users_alone() -> None:
    assert METHOD.uses == {"user_ids"}
    assert METHOD.looks_at == frozenset()
    assert list(METHOD.check(EACH)) == []
