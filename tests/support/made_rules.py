"""Hypothesis strategies for rules, directories and snapshots: all that a close decides by.

Alphabets are small, so that rules collide with each other, with the directory and with the usage
of `made_usage`. What is made here is what may be written: no receiver twice, percentages that sum
to 100, at most one primary team of a user on a day.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import TypeVar

from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory, Member, Team
from chargeback_worker.allocation.match import EVERYTHING, Match
from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.rule import Driver, Receiver, Rule, Share
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.period import BillingRange
from tests.support.made_usage import AGENTS, LABELS, RESOURCE_TYPES, TEAMS, USERS, VALUES

T = TypeVar("T")
ALL_PERCENT_NANO = 100 * NANO
TYPES = ("by_usage", "by_team", "by_user", "fixed_split", "equal_split")
# One more of each than uses anything, and for each side a receiver that nothing else names.
_TEAMS, _USERS = (*TEAMS, "D"), (*USERS, "z")
_PAIRS = [Pair("A"), Pair("B"), Pair("D"), Pair(None, "x"), Pair(None, "y"), Pair(None, "z")]
_EDGES = [date(2025, 9, 20), *(date(2025, 10, day) for day in (1, 5, 10, 20)), date(2025, 11, 8)]

days = st.none() | st.none() | st.sampled_from(_EDGES)
team_ids = st.none() | st.sampled_from(_TEAMS)
ranges = st.lists(st.sampled_from(_EDGES), min_size=2, max_size=2, unique=True).map(
    lambda edges: BillingRange(min(edges), max(edges))
)


def mostly(value: bool) -> st.SearchStrategy[bool]:
    return st.sampled_from([value] * 5 + [not value])


def _some(values: Sequence[T], *, least: int = 0) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=3, unique=True).map(tuple)


def _receivers(*, least: int = 0) -> st.SearchStrategy[tuple[Receiver, ...]]:
    return _some(_PAIRS, least=least).map(
        lambda pairs: tuple(Receiver(pair.key, pair) for pair in pairs)
    )


@st.composite
def matches(draw: st.DrawFn, labels: Sequence[str] = ()) -> Match:
    """One that takes everything as often as not: few totals pass several conditions at once."""
    if draw(st.booleans()):
        return EVERYTHING

    def field(values: Sequence[str], *missing: None) -> tuple[str | None, ...] | None:
        return draw(st.none() | st.none() | _some([*missing, *values], least=1))

    return Match(
        teams=field(_TEAMS, None),
        users=field(_USERS, None),
        agents=field(AGENTS[:2], None),
        resource_types=field(RESOURCE_TYPES),
        labels=tuple(
            (name, values) for name in labels if (values := field(VALUES[:2], None)) is not None
        ),
    )


def narrow_matches(labels: Sequence[str] = ()) -> st.SearchStrategy[Match]:
    """One that takes only some of what is used in a team, by one value of one field."""

    def one(*values: str | None) -> st.SearchStrategy[tuple[str | None]]:
        return st.tuples(st.sampled_from(values))

    return st.one_of(
        st.builds(Match, users=one(None, *_USERS)),
        st.builds(Match, agents=one(None, *AGENTS[:2])),
        st.builds(Match, resource_types=one(*RESOURCE_TYPES)),
        *(
            st.builds(Match, labels=st.tuples(st.tuples(st.just(name), one(None, *VALUES[:2]))))
            for name in labels
        ),
    )


@st.composite
def _splits(draw: st.DrawFn) -> tuple[Share, ...]:
    receivers = draw(_receivers(least=1))
    inner = st.integers(1, ALL_PERCENT_NANO - 1) | st.sampled_from([50 * NANO, 25 * NANO])
    size = len(receivers) - 1
    cuts = sorted(draw(st.lists(inner, min_size=size, max_size=size, unique=True)))
    edges = pairwise([0, *cuts, ALL_PERCENT_NANO])
    return tuple(
        Share(receiver, after - before)
        for receiver, (before, after) in zip(receivers, edges, strict=True)
    )


@st.composite
def _of_type(draw: st.DrawFn, rule_type: str) -> Rule:
    """A rule with the fields that its type uses, as they may be written."""
    rule = Rule("r", 1, rule_type)
    match rule_type:
        case "by_usage":
            driver = draw(st.sampled_from(Driver))
            measured = _some(RESOURCE_TYPES)
            if driver is Driver.QUANTITY:
                measured = st.tuples(st.sampled_from(RESOURCE_TYPES))
            return replace(
                rule,
                receivers=draw(_receivers()),
                driver=driver,
                driver_resource_types=draw(measured),
            )
        case "by_user":
            return replace(rule, user_ids=draw(_some(_USERS)), team_id=draw(team_ids))
        case "fixed_split":
            return replace(rule, split=draw(_splits()))
        case "equal_split":
            users = draw(_some(_USERS))
            receivers = tuple(r for r in draw(_receivers()) if r.pair.user not in users)
            only = None if users or receivers else draw(st.sampled_from(_TEAMS))
            return replace(rule, user_ids=users, receivers=receivers, team_id=only)
    return rule


@st.composite
def versions(draw: st.DrawFn, labels: Sequence[str] = (), types: Sequence[str] = TYPES) -> Rule:
    """A version of a rule; its id and number are for the caller to give.

    As often as not it is a plain one that applies to everything on all days, so that what methods
    do is seen often, and is not lost behind what rules ask for.
    """
    rule = draw(st.sampled_from(types).flatmap(_of_type))
    if draw(st.booleans()):
        return rule
    return replace(
        rule,
        enabled=draw(mostly(True)),
        priority=draw(st.sampled_from([1, 100, 1000])),
        effective_from=draw(days),
        effective_to=draw(days),
        closed=draw(st.just(()) | st.lists(ranges, max_size=2).map(tuple)),
        ended=draw(mostly(False)),
        team_id=rule.team_id or draw(st.none() | team_ids),
        match=draw(matches(labels)),
    )


def rules(
    labels: Sequence[str] = (), *, types: Sequence[str] = TYPES
) -> st.SearchStrategy[tuple[Rule, ...]]:
    """Some rules in some versions each, in any order."""

    def numbered(of_each: list[list[Rule]]) -> list[Rule]:
        return [
            replace(rule, rule_id=f"r{place}", version=version)
            for place, changes in enumerate(of_each)
            for version, rule in enumerate(changes, start=1)
        ]

    one = st.lists(versions(labels, types), min_size=1, max_size=3)
    made = st.lists(one, max_size=4).map(numbered)
    return made.flatmap(st.permutations).map(tuple)


def narrow_snapshots(rule_type: str) -> st.SearchStrategy[Snapshot]:
    """Few rules of one type that leave much of the same teams' usage to others, on all days.

    So what they divide by, where it is more than they claim, is seen often. As often as not
    there is nobody in the directory.
    """
    one = st.builds(replace, _of_type(rule_type), match=narrow_matches(LABELS))
    made = st.lists(one, min_size=1, max_size=2).map(
        lambda rules: tuple(replace(rule, rule_id=f"r{at}") for at, rule in enumerate(rules))
    )
    return st.builds(
        Snapshot,
        rules=made,
        directory=st.just(Directory()) | directories(),
        labels=st.just(LABELS),
    )


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    members = st.builds(
        Member,
        st.sampled_from(_USERS),
        first=days,
        until=days,
        primary=st.booleans(),
    )
    ids = draw(st.lists(st.sampled_from(_TEAMS), unique=True, max_size=3))
    return primary_once(
        Directory(
            draw(st.integers(0, 3)),
            tuple(
                Team(
                    name,
                    tuple(draw(st.lists(members, max_size=4))),
                    draw(st.none() | st.integers(0, NANO)),
                )
                for name in ids
            ),
        )
    )


def primary_once(directory: Directory) -> Directory:
    """The same with the flags taken away that would be refused when it is written."""
    seen: list[Member] = []

    def allowed(member: Member) -> Member:
        if member.primary and any(_meet(member, other) for other in seen):
            return replace(member, primary=False)
        seen.extend([member] * member.primary)
        return member

    return replace(
        directory,
        teams=tuple(
            replace(team, members=tuple(map(allowed, team.members))) for team in directory.teams
        ),
    )


def _meet(one: Member, other: Member) -> bool:
    first = max(one.first or date.min, other.first or date.min)
    until = min(one.until or date.max, other.until or date.max)
    return one.user_id == other.user_id and first < until


def snapshots(
    labels: Sequence[str] = LABELS, *, types: Sequence[str] = TYPES
) -> st.SearchStrategy[Snapshot]:
    return st.builds(
        Snapshot,
        rules=rules(labels, types=types),
        directory=directories(),
        labels=st.just(tuple(labels)),
        bill_to=st.sampled_from(BillTo),
        tax_rate_nano=st.sampled_from([0, 190_000_000]),
    )
