"""What reaches a team or user is enough to know what they bear, to the nano-dollar."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.engine import Part, RulePool, divide, pools
from chargeback_worker.allocation.grouping import measuring
from chargeback_worker.allocation.match import Claim, Match
from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer
from chargeback_worker.allocation.reach import Reach, bearer, reach
from chargeback_worker.allocation.rule import Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage, sixth_method
from tests.support.laws import law
from tests.support.pure_ledger import usage

OCTOBER = Period(2025, 10).days()
TENTH = date(2025, 10, 10)
A, X = Pair(team="A"), Pair(user="x")
usages = made_usage.totals(labels=made_usage.LABELS)
ones = st.lists(
    st.sampled_from([*(Pair(team=team) for team in "ABD"), *(Pair(user=user) for user in "xyz")]),
    min_size=1,
    max_size=2,
    unique=True,
)
crowded = made_usage.totals(labels=made_usage.LABELS, teams="A", users="xyz", min_size=8)
users = st.sampled_from([[Pair(user=user)] for user in "xyz"])


def bearers(snapshot: Snapshot, totals: Iterable[UsageTotal], asked: list[Pair]) -> list[Bearer]:
    recorded = {(total.user, total.team) for total in totals if total.team is not None}
    return [
        bearer(one, snapshot.directory, [team for user, team in recorded if user == one.user])
        for one in asked
    ]


def reached(
    totals: list[UsageTotal], snapshot: Snapshot, found: Reach
) -> tuple[list[UsageTotal], list[UsageTotal] | None]:
    """What a store would read: totals, and what everybody is measured by."""
    read = [total for total in totals if found.takes(total, snapshot.labels)]
    if found.measured is None:
        return read, None
    group = measuring(snapshot, OCTOBER, found.measured).group
    return read, [group(total) for total in totals]


def borne(parts: Iterable[Part], asked: Iterable[Bearer]) -> list[Part]:
    asked = list(asked)
    return [part for part in parts if any(one.bears(part.key.pair) for one in asked)]


@law(100)
@given(usages, made_rules.snapshots(), ones)
def test_what_somebody_bears_follows_from_what_reaches_them(
    totals: list[UsageTotal], snapshot: Snapshot, asked: list[Pair]
) -> None:
    assert_the_same(totals, snapshot, asked)


@pytest.mark.parametrize("rule_type", made_rules.TYPES)
@law(100)
@given(st.data())
def test_what_somebody_bears_of_a_narrow_rule_follows_from_what_reaches_them(
    rule_type: str, data: st.DataObject
) -> None:
    """Weights may derive from usage that no such rule claims."""
    snapshot = data.draw(made_rules.narrow_snapshots(rule_type))
    assert_the_same(data.draw(crowded), snapshot, data.draw(users | ones))


def assert_the_same(totals: list[UsageTotal], snapshot: Snapshot, asked: list[Pair]) -> None:
    """Cost, quantity, records and shares; and the usage behind each pool that they are part of."""
    them = bearers(snapshot, totals, asked)
    read, measured_by = reached(totals, snapshot, reach(snapshot, OCTOBER, them))
    all_pools, some_pools = pools(totals, snapshot), pools(read, snapshot, measured_by)
    assert borne(divide(some_pools), them) == borne(divide(all_pools), them)

    def behind(made: Iterable[RulePool]) -> dict[tuple[object, ...], list[UsageTotal]]:
        return {
            (rule.rule_id, rule.version, *pool.key): [used.total for used in pool.usage]
            for rule, pool in made
            if any(one.among(pool.effective_weights()) for one in them)
        }

    assert behind(some_pools) == behind(all_pools)


def taken(snapshot: Snapshot, *asked: Pair, seen: Iterable[str] = ()) -> str:
    """The letters of the usage that is read for somebody."""
    found = reach(snapshot, OCTOBER, [bearer(one, snapshot.directory, seen) for one in asked])
    return "".join(key for key, total in _USAGE.items() if found.takes(total, snapshot.labels))


_USAGE = {
    "a": usage(1, team="A", user="x"),
    "b": usage(1, team="A", user="y"),
    "c": usage(1, team="B", user="x"),
    "d": usage(1, team="B", user="y"),
    "e": usage(1, team=None, user="x"),
    "f": usage(1, team=None, user="y"),
    "g": usage(1, team=None, user=None),
    "h": usage(1, team=None, user=None, resource_type="storage"),
}
_SHARED = Match(teams=(None,), users=(None,))
_TO_A = (Receiver("team:A", A),)
_MEMBERS = Directory(1, (Team("A", (Member("x", until=TENTH),)), Team("B", (Member("y"),))))


_TO_BOTH = (*_TO_A, Receiver("team:B", Pair(team="B")))
_REACHING = {
    "by_usage": (Rule("r", 1, "by_usage", match=_SHARED, receivers=_TO_BOTH), A),
    "by_team": (Rule("r", 1, "by_team", team_id="B"), X),
    "by_user": (Rule("r", 1, "by_user", team_id="B", user_ids=("x", "z")), Pair(user="z")),
    "fixed_split": (Rule("r", 1, "fixed_split", split=(Share(_TO_A[0], 100 * NANO),)), A),
    "equal_split": (Rule("r", 1, "equal_split", receivers=_TO_BOTH), A),
}


@pytest.mark.parametrize("rule_type", _REACHING)
def test_what_is_borne_of_others_usage_is_lost_where_a_method_does_not_reach_for_it(
    rule_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule, one = _REACHING[rule_type]
    drawn = [*_USAGE.values()], Snapshot((rule,)), [one]
    assert_the_same(*drawn)
    blind = replace(METHODS[rule_type], reaches=lambda rule, bearer: None)
    monkeypatch.setitem(METHODS, rule_type, blind)
    with pytest.raises(AssertionError):
        assert_the_same(*drawn)


def test_a_part_is_too_large_where_the_others_are_not_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule, one = _REACHING["by_usage"]
    monkeypatch.setitem(METHODS, "by_usage", replace(METHODS["by_usage"], measures=False))
    with pytest.raises(AssertionError):
        assert_the_same([*_USAGE.values()], Snapshot((rule,)), [one])


def test_without_rules_only_their_own_usage_is_read() -> None:
    assert taken(Snapshot(), A) == "ab"
    assert taken(Snapshot(), X) == "ace"
    assert taken(Snapshot(), A, X) == "abce"


def test_who_was_ever_a_member_may_have_used_it_for_the_team() -> None:
    assert taken(Snapshot(directory=_MEMBERS), A) == "abe"


def test_shared_cost_is_read_only_for_who_may_be_given_a_part() -> None:
    rule = Rule("s", 1, "by_usage", match=_SHARED, receivers=_TO_A)
    assert taken(Snapshot((rule,)), A) == "abgh"
    assert taken(Snapshot((rule,)), Pair(team="B")) == "cd"
    assert taken(Snapshot((replace(rule, receivers=()),)), Pair(team="B")) == "cdgh"
    storage = replace(rule, match=replace(_SHARED, resource_types=("storage",)))
    assert taken(Snapshot((storage,)), A) == "abh"
    before = replace(rule, effective_to=OCTOBER.start)
    assert taken(Snapshot((before,)), A) == "ab"


def test_a_user_bears_what_others_used_in_a_team_that_is_divided() -> None:
    rule = Rule("t", 1, "by_team", team_id="B")
    assert taken(Snapshot((rule,)), X) == "ace"
    assert taken(Snapshot((rule,)), X, seen=["B"]) == "acde"
    assert taken(Snapshot((rule,), _MEMBERS), Pair(user="y")) == "bcdf"
    assert taken(Snapshot((rule,), _MEMBERS), Pair(team="B")) == "cdf"


def test_of_a_team_that_is_divided_all_is_read_to_see_who_used_anything() -> None:
    """Whatever rule claims it: who used anything in the team bears a part of what this one does."""
    rule = Rule("t", 1, "by_team", match=Match(resource_types=("storage",), users=("x",)))
    assert taken(Snapshot((rule,)), X, seen=["B"]) == "acde"
    assert taken(Snapshot((replace(rule, team_id="A"),)), X, seen=["B"]) == "ace"
    assert taken(Snapshot((rule,)), X) == "ace"


def test_a_split_is_read_whole_by_its_receivers() -> None:
    rule = Rule("e", 1, "equal_split", match=Match(users=("y",)), receivers=_TO_A)
    assert taken(Snapshot((rule,)), A) == "abdf"
    assert taken(Snapshot((rule,)), X) == "ace"


def test_everybody_is_measured_only_where_weights_derive_from_usage() -> None:
    receivers = (*_TO_A, Receiver("user:x", X))
    rule = Rule("s", 1, "by_usage", match=_SHARED, receivers=receivers)
    found = reach(Snapshot((rule,)), OCTOBER, [Bearer(A)])
    assert found.measured == frozenset({"x"})
    assert reach(Snapshot((rule,)), OCTOBER, [Bearer(Pair(team="B"))]).measured is None
    assert reach(Snapshot(), OCTOBER, [Bearer(A)]).measured is None


def test_a_method_that_does_not_say_what_it_reaches_reads_everything() -> None:
    with sixth_method.installed():
        found = reach(Snapshot((Rule("n", 1, "by_agent"),)), OCTOBER, [Bearer(A)])
    assert found == Reach((Claim(),))
    assert found.everything
