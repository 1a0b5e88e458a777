"""Everything that a close decides by besides usage, in a form that is kept for ever.

Late usage of a month is settled by that month's snapshot, years later and by newer releases. So a
field may be added with a default that means what was meant before, and none may be taken away.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import msgspec

from chargeback_worker.allocation.directory import EMPTY, Directory
from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.rule import Rule


class Approval(StrEnum):
    """Whether a close issues its invoices, or leaves them as drafts to be approved by a person."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Requested:
    """An invoice that somebody asked for; `tax_rate_nano` and `due_days` are None where they did
    not ask for others than those that hold anyway.

    One to a user, or to a user in a team, bills that share apart.
    """

    receiver: Pair
    tax_rate_nano: int | None = None
    due_days: int | None = None


@dataclass(frozen=True)
class Snapshot:
    """Rules (the versions that speak for a day of the period), directory and settings."""

    rules: tuple[Rule, ...] = ()
    directory: Directory = EMPTY
    timezone: str = "UTC"
    labels: tuple[str, ...] = ()
    bill_to: BillTo = BillTo.TEAM
    tax_rate_nano: int = 0
    """`billing.tax_rate` in units of 10**-9: 19 % is 190,000,000."""
    due_days: int = 30
    approval: Approval = Approval.AUTO
    requested: tuple[Requested, ...] = ()

    def receiver(self, pair: Pair) -> Pair:
        """Who is billed for a pair; `UNALLOCATED` when nobody can be."""
        if pair.user is not None and self.requested:
            # The most specific one: a user in a team, then the user.
            for share in (pair, Pair(user=pair.user)):
                if share in self._asked:
                    return share
        return pair.billed(self.bill_to)

    def tax_rate(self, receiver: Pair) -> int:
        """The rate of a receiver in 10**-9: as asked for, else of the directory or the settings."""
        asked = self._asked.get(receiver)
        if asked is not None and asked.tax_rate_nano is not None:
            return asked.tax_rate_nano
        own = None if receiver.team is None else self.directory.tax_rate_nano(receiver.team)
        return self.tax_rate_nano if own is None else own

    def days_to_pay(self, receiver: Pair) -> int:
        """From issuing to the due date: as asked for, else of the settings."""
        asked = self._asked.get(receiver)
        return self.due_days if asked is None or asked.due_days is None else asked.due_days

    @cached_property
    def _asked(self) -> dict[Pair, Requested]:
        return {asked.receiver: asked for asked in self.requested}

    def to_document(self) -> dict[str, Any]:
        """Plain values that JSON can hold without loss; `from_document` reads them back."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Snapshot":
        return msgspec.convert(document, cls)
