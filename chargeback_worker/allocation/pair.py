"""The pair (team, user) that a cost is allocated to, and the order that breaks every tie."""

import re
from dataclasses import dataclass
from enum import StrEnum

_LIKE_A_USER = re.compile(r"(?:/|%(?:25)*2F)user:")
"""Within an id, what in a key parts the team from the user, and what stands for that there."""


class BillTo(StrEnum):
    """Who is billed for a pair that has both a team and a user (`billing.bill_to`)."""

    TEAM = "team"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Pair:
    """A team and a user, either may be missing; with neither it is `UNALLOCATED`.

    A receiver of invoices is such a pair too, of one side.
    """

    team: str | None = None
    user: str | None = None

    @property
    def key(self) -> str:
        """`team:T`, `user:U` or `team:T/user:U`; a receiver's key names it everywhere.

        No two pairs have one key: `/user:` within an id is written `%2Fuser:`, and what is
        written so already gets a `25` more, `%252Fuser:`.
        """
        return "/".join(_sides(_in_key(self.team), _in_key(self.user))) or "unallocated"

    @property
    def sort_key(self) -> tuple[bool, tuple[str, ...]]:
        """Its sides by code point: (A) < (A, x) < (x); nobody comes last."""
        sides = _sides(self.team, self.user)
        return (not sides, sides)

    def __lt__(self, other: "Pair") -> bool:
        return self.sort_key < other.sort_key

    def billed(self, bill_to: BillTo) -> "Pair":
        """The receiver who is billed for this pair; `UNALLOCATED` when nobody can be."""
        if self.team is None or self.user is None:
            return self
        return Pair(team=self.team) if bill_to is BillTo.TEAM else Pair(user=self.user)


def _sides(team: str | None, user: str | None) -> tuple[str, ...]:
    of_team = () if team is None else (f"team:{team}",)
    of_user = () if user is None else (f"user:{user}",)
    return of_team + of_user


def _in_key(identity: str | None) -> str | None:
    # Nearly no id holds it, and there are many.
    if identity is None or "user:" not in identity:
        return identity
    return _LIKE_A_USER.sub(_one_deeper, identity)


def _one_deeper(found: re.Match[str]) -> str:
    first, rest = found[0][0], found[0][1:]
    return f"%2F{rest}" if first == "/" else f"%25{rest}"


UNALLOCATED = Pair()
