"""A month of an organisation of 200 teams: its usage totals, its rules and its directory.

Everything follows from numbers, so every run measures the same month. A pair has at most 100
totals: 25 days, two of its team's agents, two resource types. Every pair uses the same share of
that whatever the size, so that a smaller month is thinner, not of fewer people.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Driver, Receiver, Rule, Share
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal

PERIOD = Period(2026, 10)
LABELS = ("project", "environment")
TEAMS = 200
USERS_OF_TEAM = 50
AGENTS_OF_TEAM = 8
PROJECTS = 300
RESOURCE_TYPES = ("tokens_in", "tokens_out", "tool_call", "search", "storage", "embedding")
DAYS = 25
TOTALS_OF_PAIR_MAX = DAYS * 2 * 2
_STRIDE = 37  # Coprime to 100: the first n of a pair's totals are of n different kinds.


@dataclass(frozen=True, slots=True)
class Month:
    """How large: `of_pair` totals of each of `pairs`, each total the sum of `records` records."""

    pairs: int
    of_pair: int
    records: int = 1

    def __post_init__(self) -> None:
        assert self.pairs <= TEAMS * USERS_OF_TEAM, self.pairs
        assert self.of_pair <= TOTALS_OF_PAIR_MAX, self.of_pair

    @property
    def size(self) -> int:
        return self.pairs * self.of_pair

    def totals(self) -> Iterator[UsageTotal]:
        """By day, as ingest makes them."""
        kinds = (
            (pair, (place * _STRIDE + pair) % TOTALS_OF_PAIR_MAX)
            for pair in range(self.pairs)
            for place in range(self.of_pair)
        )
        return (_total(*kind, self.records) for kind in sorted(kinds, key=lambda kind: _day(*kind)))


def _day(pair: int, kind: int) -> int:
    return 1 + kind % DAYS + pair % 6


def _total(pair: int, kind: int, records: int) -> UsageTotal:
    """One of the 100 kinds of a pair: 2 % is nobody's, and 5 % of users record no team."""
    team, agent = pair % TEAMS, (pair // TEAMS + kind // DAYS % 2) % AGENTS_OF_TEAM
    nobodys = kind in (3, 53)
    amount = (pair * 7919 + kind * 104_729) % 1_000_003 * 1_009
    return UsageTotal(
        period=PERIOD,
        day=date(2026, 10, _day(pair, kind)),
        team=None if nobodys or pair % 20 == 7 else team_id(team),
        user=None if nobodys else user_id(pair),
        agent=f"platform-{pair}" if nobodys else agent_id(team, agent),
        resource_type=RESOURCE_TYPES[(pair + kind // (2 * DAYS)) % len(RESOURCE_TYPES)],
        labels=(
            project_id((team * AGENTS_OF_TEAM + agent) % PROJECTS),
            ("production", "test")[agent % 2],
        ),
        cost=amount * records,
        quantity=amount % 977 * NANO * records,
        records=records,
    )


def team_id(number: int) -> str:
    return f"team-{number:03}"


def user_id(number: int) -> str:
    return f"user-{number:05}"


def agent_id(team: int, number: int) -> str:
    return f"agent-{team:03}-{number}"


def project_id(number: int) -> str:
    return f"project-{number:03}"


def directory_document(pairs: int) -> dict[str, Any]:
    """Everybody in the team that they use, one of each team only since a day in the month."""
    return {
        "teams": [
            {
                "team_id": team_id(team),
                "members": [
                    {"user_id": user_id(pair)} | _joined(pair) for pair in range(team, pairs, TEAMS)
                ],
            }
            for team in range(TEAMS)
        ]
    }


def _joined(pair: int) -> dict[str, str]:
    return {"from": date(2026, 10, 2 + pair % 27).isoformat()} if pair < TEAMS else {}


def rules() -> tuple[Rule, ...]:
    """50 rules, ten of each type."""
    return (*_by_usage(), *_by_team(), *_by_user(), *_fixed_split(), *_equal_split())


def _rule(rule_id: str, rule_type: str, number: int, match: Match, **fields: Any) -> Rule:
    """Every third one holds from a day in the month on."""
    first = date(2026, 10, (8, 15, 22)[number // 3 % 3]) if number % 3 == 0 else None
    return Rule(f"{rule_id}-{number}", 1, rule_type, effective_from=first, match=match, **fields)


def _by_usage() -> Iterator[Rule]:
    """The platform's cost of a resource type or environment, by what teams used."""
    for number in range(10):
        resource_type = RESOURCE_TYPES[number % len(RESOURCE_TYPES)]
        yield _rule(
            "platform",
            "by_usage",
            number,
            Match(
                teams=(None,),
                users=(None,),
                resource_types=(resource_type,),
                labels=(("environment", ("production",)),) if number < 6 else (),
            ),
            driver=tuple(Driver)[number % 3],
            driver_resource_types=(resource_type,),
            receivers=tuple(_team(team) for team in range(20)) if number % 2 else (),
        )


def _by_team() -> Iterator[Rule]:
    """The first one is of all teams."""
    for number in range(10):
        yield _rule(
            "people-of",
            "by_team",
            number,
            Match(resource_types=RESOURCE_TYPES[number % 4 : number % 4 + 2]),
            team_id=team_id(number * 7) if number else None,
        )


def _by_user() -> Iterator[Rule]:
    for number in range(10):
        team = 3 + number * 11
        yield _rule(
            "named",
            "by_user",
            number,
            Match(agents=tuple(agent_id(team, agent) for agent in range(2))),
            user_ids=tuple(user_id(team + TEAMS * user) for user in range(5)),
        )


def _fixed_split() -> Iterator[Rule]:
    for number in range(10):
        yield _rule(
            "agreed",
            "fixed_split",
            number,
            Match(labels=(("project", (project_id(number * 13),)),)),
            split=tuple(
                Share(_team(number + place), percent * NANO)
                for place, percent in enumerate((50, 30, 20))
            ),
        )


def _equal_split() -> Iterator[Rule]:
    for number in range(10):
        yield _rule(
            "evenly",
            "equal_split",
            number,
            Match(agents=(agent_id(number * 17, 3), agent_id(number * 17 + 1, 5))),
            receivers=tuple(_team(number * 5 + place) for place in range(7)),
        )


def _team(number: int) -> Receiver:
    return Receiver(f"team:{team_id(number)}", Pair(team=team_id(number)))
