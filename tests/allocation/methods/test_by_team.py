from datetime import date
from fractions import Fraction

from chargeback_worker.allocation.directory import Member
from chargeback_worker.allocation.engine import allocate, pools
from chargeback_worker.allocation.match import PRESENT, Claim, Condition, Match
from chargeback_worker.allocation.methods.by_team import METHOD
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import Cause
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from tests.support.borne import borne, directory
from tests.support.pure_ledger import Ledger, usage

TEAMS = Rule("teams", 1, "by_team")
THIRD, FOURTH, TENTH = (date(2025, 10, day) for day in (3, 4, 10))


def test_it_claims_what_matches_and_has_a_team() -> None:
    none = Rule("r", 1, "by_team", match=Match(teams=(None,)))
    some = Rule("r", 1, "by_team", match=Match(teams=("A", None), users=("x",)))
    assert METHOD.claims(TEAMS) == Claim(teams=PRESENT)
    assert METHOD.claims(none).takes_nothing
    assert METHOD.claims(some) == Claim(
        teams=Condition.one_of(["A"]), users=Condition.one_of(["x"])
    )


def test_the_members_of_the_day_bear_it_equally() -> None:
    """Example 2 of the written rules."""
    people = directory(T1=["u3", "u1", "u2"])
    assert borne([usage(100 * NANO, team="T1")], TEAMS, directory=people) == [
        ("team:T1/user:u1", 33_333_333_334),
        ("team:T1/user:u2", 33_333_333_333),
        ("team:T1/user:u3", 33_333_333_333),
    ]


def test_without_a_directory_those_seen_in_the_team_bear_it() -> None:
    """Example 5 of the written rules, its first half."""
    used = [usage(10, team="T", user="u1", day=THIRD), usage(20, team="T", user="u2", day=FOURTH)]
    assert borne(used, TEAMS) == [("team:T/user:u1", 15), ("team:T/user:u2", 15)]


def test_a_member_bears_nothing_of_the_days_before_joining() -> None:
    """Example 5 of the written rules, its second half."""
    used = [usage(10, team="T", user="u1", day=THIRD), usage(20, team="T", user="u2", day=FOURTH)]
    people = directory(T=["u1", Member("u2", FOURTH)])
    assert borne(used, TEAMS, directory=people) == [("team:T/user:u1", 20), ("team:T/user:u2", 10)]


def test_members_bear_it_whoever_used_it() -> None:
    used = [usage(9, team="T", user="stranger"), usage(1, team="T")]
    people = directory(T=["x", "y"])
    assert borne(used, TEAMS, directory=people) == [("team:T/user:x", 5), ("team:T/user:y", 5)]


def test_a_team_without_people_bears_it_itself() -> None:
    assert borne([usage(7, team="T")], TEAMS) == [("team:T", 7)]
    (part,) = allocate([usage(7, team="T", quantity=3)], Snapshot((TEAMS,), directory(T=[])))
    assert (part.key.pair, part.quantity, part.share) == (Pair("T"), 0, Fraction(1))
    assert part.shared


def test_users_are_seen_anywhere_in_the_period_whatever_rule_claims_their_usage() -> None:
    first = Rule("first", 1, "by_user", priority=1, user_ids=("x",))
    used = [usage(5, team="T", user="x", day=TENTH), usage(8, team="T", user="y", day=THIRD)]
    assert borne(used, first, TEAMS) == [
        ("team:T/user:x", 5),
        ("team:T/user:x", 4),
        ("team:T/user:y", 4),
    ]


def test_users_are_seen_in_the_team_that_the_directory_gives_them() -> None:
    """z left T on the 4th, and is a member of no team on the days that z is seen for."""
    people = directory(T=[Member("z", until=FOURTH)])
    used = [usage(2, user="z", day=THIRD), usage(4, team="T", day=TENTH), usage(8, user="z")]
    assert borne(used, TEAMS, directory=people) == [("team:T/user:z", 14)]


def test_days_with_the_same_members_are_one_pool_and_other_days_another() -> None:
    people = directory(T=["x", Member("y", TENTH), Member("z", until=TENTH)])
    used = [usage(1, team="T", day=date(2025, 10, day)) for day in (3, 4, 10, 20)]
    made = [pool for _, pool in pools(used, Snapshot((TEAMS,), people))]
    assert [(pool.key, pool.weights, len(pool.usage), pool.own) for pool in made] == [
        (("team", "T", "x", "z"), {Pair("T", "x"): 1, Pair("T", "z"): 1}, 2, False),
        (("team", "T", "x", "y"), {Pair("T", "x"): 1, Pair("T", "y"): 1}, 2, False),
    ]
    ((_, pool),) = pools([usage(1, team="U")], Snapshot((TEAMS,), people))
    assert (pool.key, pool.weights) == (("team", "U"), {Pair("U"): 1})


def test_teams_are_pools_of_their_own() -> None:
    used = [usage(1, team="A"), usage(1, team="B")]
    people = directory(A=["x", "y"], B=["x", "y"])
    assert borne(used, TEAMS, directory=people) == [("team:A/user:x", 1), ("team:B/user:x", 1)]


def test_days_without_members_are_divided_with_those_whose_members_were_seen() -> None:
    """The same weights: one nano-dollar on each day is one to each, not two to the first."""
    people = directory(T=[Member("x", TENTH), Member("y", TENTH)])
    used = [
        usage(1, team="T", user="x", day=THIRD),
        usage(1, team="T", user="y", day=TENTH),
    ]
    assert borne(used, TEAMS, directory=people) == [("team:T/user:x", 1), ("team:T/user:y", 1)]


def test_a_user_seen_late_is_told_to_those_who_bore_days_without_members() -> None:
    """Members bear the days from the 10th, y's late usage changes who bears those before."""
    people = directory(T=[Member("x", TENTH), Member("y", TENTH)])
    snapshot = Snapshot((TEAMS,), people)
    ledger = Ledger()
    ledger.ingest([usage(20, team="T", user="x", day=THIRD)])
    ledger.ingest([usage(8, team="T", resource_type="rent", day=TENTH)])
    ledger.close(Period(2025, 10), snapshot)
    ledger.ingest([usage(10, team="T", user="z", day=THIRD)])
    ledger.ingest([usage(8, team="T", resource_type="rent", day=TENTH)])
    ledger.close(Period(2025, 11), snapshot)
    assert [(row.pair.user, row.cost, row.cause) for row in ledger.owed] == [
        ("x", -5, Cause.DRIVER_CHANGED),
        ("x", 4, Cause.LATE_USAGE),
        ("y", 4, Cause.LATE_USAGE),
        ("z", 15, Cause.DRIVER_CHANGED),
    ]


def test_it_says_who_bears_what() -> None:
    assert METHOD.says(Rule("r", 1, "by_team", team_id="A")) == (
        "divides what team A used equally among its members of the day, or, where the directory has"
        " none, among the users seen in it in the period"
    )
    assert METHOD.says(TEAMS).startswith("divides what each team used equally among its members")


def test_it_looks_at_no_other_field() -> None:
    assert METHOD.uses == METHOD.looks_at == frozenset()
    assert list(METHOD.check(TEAMS)) == []
