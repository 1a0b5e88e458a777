"""Receiver keys: `team:ID`, `user:ID`, or a bare id that is resolved when the rule is written."""

from collections.abc import Iterable
from dataclasses import dataclass

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.rule import Receiver
from chargeback_worker.allocation.writing.faults import FaultKind
from chargeback_worker.allocation.writing.place import Place
from chargeback_worker.allocation.writing.values import one_line

TEAM, USER = "team", "user"
ENTITY_TYPES = (TEAM, USER)


@dataclass(frozen=True, slots=True)
class Known:
    """The teams and people of the directory, whatever the day."""

    teams: frozenset[str]
    users: frozenset[str]

    @classmethod
    def of(cls, directory: Directory) -> "Known":
        return cls(directory.team_ids, directory.user_ids)


def receiver(place: Place, key: str, known: Known, entity_type: str | None) -> Receiver | None:
    """Who is meant by a key, or None and a fault.

    A written prefix holds. A bare id is what `entity_type` says, else what the directory knows it
    as, else a team if it begins so, else a user.
    """
    head, colon, rest = key.partition(":")
    if colon and head in ENTITY_TYPES:
        kind, identity = head, rest
    else:
        identity = key
        found = entity_type or _known_as(place, key, known)
        if found is None:
            return None
        kind = found
    if not identity:
        place.refuse(FaultKind.MISSING, "must name a receiver: team:ID or user:ID", show=False)
        return None
    if one_line(place, identity) is None:
        return None
    return Receiver(key, Pair(team=identity) if kind == TEAM else Pair(user=identity))


def _known_as(place: Place, key: str, known: Known) -> str | None:
    if key in known.teams and key in known.users:
        place.refuse(
            FaultKind.AMBIGUOUS_RECEIVER,
            f"is both a team and a user of the directory; write team:{key} or user:{key}",
            show=False,
        )
        return None
    if key in known.teams:
        return TEAM
    if key in known.users:
        return USER
    return TEAM if key.startswith(TEAM) else USER


def refuse_twice(named: Iterable[tuple[Place, Pair]]) -> None:
    """Note every receiver that comes a second time among all that a rule names."""
    seen: set[Pair] = set()
    for place, pair in named:
        if pair in seen:
            place.refuse(
                FaultKind.RECEIVER_TWICE,
                f"names {pair.key} a second time; keep one of them",
            )
        seen.add(pair)
