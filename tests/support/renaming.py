"""Other names for everything in usage, directory and rules, in the same order as the old ones."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import overload

from hypothesis import strategies as st

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.match import Match
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import RESERVED_ID, Receiver, Rule
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.usage.total import UsageTotal

OLD = ("", "A", "B", "C", "D", "a1", "a2", "a3", "compute", "p", "q", "query", "r0", "r1", "r2",
       "r3", "x", "y", "z")  # fmt: skip


def _renaming(names: list[str]) -> "Renaming":
    return Renaming(dict(zip(OLD, sorted(names), strict=True)))


@dataclass(frozen=True)
class Renaming:
    names: Mapping[str, str]

    @overload
    def name(self, old: str) -> str: ...
    @overload
    def name(self, old: None) -> None: ...
    @overload
    def name(self, old: str | None) -> str | None: ...
    def name(self, old: str | None) -> str | None:
        return None if old is None else self.names[old]

    def total(self, total: UsageTotal) -> UsageTotal:
        return replace(
            total,
            team=self.name(total.team),
            user=self.name(total.user),
            agent=self.name(total.agent),
            resource_type=self.name(total.resource_type),
            labels=tuple(map(self.name, total.labels)),
        )

    def snapshot(self, snapshot: Snapshot) -> Snapshot:
        return replace(
            snapshot,
            rules=tuple(map(self._rule, snapshot.rules)),
            directory=self._directory(snapshot.directory),
        )

    def key(self, key: PartKey) -> PartKey:
        rule_id = key.rule_id if key.rule_id == RESERVED_ID else self.name(key.rule_id)
        resource_type = self.name(key.resource_type)
        return key._replace(rule_id=rule_id, pair=self._pair(key.pair), resource_type=resource_type)

    def _pair(self, pair: Pair) -> Pair:
        return Pair(self.name(pair.team), self.name(pair.user))

    def _directory(self, directory: Directory) -> Directory:
        return replace(
            directory,
            teams=tuple(
                replace(
                    team,
                    team_id=self.name(team.team_id),
                    members=tuple(
                        replace(member, user_id=self.name(member.user_id))
                        for member in team.members
                    ),
                )
                for team in directory.teams
            ),
        )

    def _rule(self, rule: Rule) -> Rule:
        return replace(
            rule,
            rule_id=self.name(rule.rule_id),
            team_id=self.name(rule.team_id),
            user_ids=tuple(map(self.name, rule.user_ids)),
            split=tuple(
                replace(share, receiver=self._receiver(share.receiver)) for share in rule.split
            ),
            match=self._match(rule.match),
            receivers=tuple(map(self._receiver, rule.receivers)),
            driver_resource_types=tuple(map(self.name, rule.driver_resource_types)),
        )

    def _receiver(self, receiver: Receiver) -> Receiver:
        return replace(receiver, pair=self._pair(receiver.pair))

    def _match(self, match: Match) -> Match:
        return Match(
            self._values(match.teams),
            self._values(match.users),
            self._values(match.agents),
            self._values(match.resource_types),
            tuple((label, tuple(map(self.name, values))) for label, values in match.labels),
        )

    def _values(self, values: Iterable[str | None] | None) -> tuple[str | None, ...] | None:
        return None if values is None else tuple(map(self.name, values))


renamings = st.lists(st.text(max_size=6), min_size=len(OLD), max_size=len(OLD), unique=True).map(
    _renaming
)
