"""Who belongs to which team: one document, versioned as a whole; version 0 is empty."""

from dataclasses import dataclass

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.usage.total import UsageTotal


@dataclass(frozen=True, slots=True)
class Directory:
    version: int = 0

    def owner(self, total: UsageTotal) -> Pair:
        """The pair that a total belongs to before any rule claims it.

        Records are never rewritten: usage reports show the recorded team, allocations this one.
        """
        return Pair(total.team, total.user)


EMPTY = Directory()
