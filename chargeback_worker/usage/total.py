"""Usage totals: all that allocation, and so every invoice, ever sees of usage."""

from dataclasses import dataclass
from datetime import date

import msgspec

from chargeback_worker.period import Period, day_number
from chargeback_worker.usage.digests import total_key

__all__ = ["UsageSum", "UsageTotal", "total_key"]


class UsageSum(msgspec.Struct, gc=False):
    """What records add to the total of `key`; `period` and `day` are numbers. It grows."""

    key: bytes
    period: int
    day: int
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    labels: tuple[str | None, ...]
    cost: int
    quantity: int
    records: int


@dataclass(frozen=True, slots=True)
class UsageTotal:
    """The sum of the records of one billing period, day, team, user, agent, resource type, labels.

    `period` is the billing period: for late usage it is later than the month of `day`.
    """

    period: Period
    day: date
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    labels: tuple[str | None, ...]
    cost: int
    quantity: int
    records: int

    @property
    def key(self) -> bytes:
        """The digest it is stored and found by."""
        return total_key(
            period=self.period.number,
            day=day_number(self.day),
            team=self.team,
            user=self.user,
            agent=self.agent,
            resource_type=self.resource_type,
            labels=self.labels,
        )

    def sum(self) -> UsageSum:
        """What adding all of it adds."""
        return UsageSum(
            self.key,
            self.period.number,
            day_number(self.day),
            self.team,
            self.user,
            self.agent,
            self.resource_type,
            self.labels,
            self.cost,
            self.quantity,
            self.records,
        )

    @property
    def origin_period(self) -> Period:
        """The month its usage happened in."""
        return Period.of(self.day)
