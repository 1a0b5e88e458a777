"""The pair (team, user) that a cost is allocated to, and the order that breaks every tie."""

from dataclasses import dataclass
from enum import StrEnum


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
        """`team:T`, `user:U` or `team:T/user:U`; a receiver's key names it everywhere."""
        return "/".join(self._keys()) or "unallocated"

    @property
    def sort_key(self) -> tuple[bool, tuple[str, ...]]:
        """Its receiver keys by code point: (A) < (A, x) < (x); nobody comes last."""
        keys = self._keys()
        return (not keys, keys)

    def __lt__(self, other: "Pair") -> bool:
        return self.sort_key < other.sort_key

    def billed(self, bill_to: BillTo) -> "Pair":
        """The receiver who is billed for this pair; `UNALLOCATED` when nobody can be."""
        if self.team is None or self.user is None:
            return self
        return Pair(team=self.team) if bill_to is BillTo.TEAM else Pair(user=self.user)

    def _keys(self) -> tuple[str, ...]:
        team = () if self.team is None else (f"team:{self.team}",)
        user = () if self.user is None else (f"user:{self.user}",)
        return team + user


UNALLOCATED = Pair()
