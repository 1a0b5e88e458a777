"""Everything that a close decides by besides usage, in a form that is kept for ever.

Late usage of a month is settled by that month's snapshot, years later and by newer releases. So a
field may be added with a default that means what was meant before, and none may be taken away.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from chargeback_worker.allocation.directory import EMPTY, Directory
from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.rule import Rule


@dataclass(frozen=True, slots=True)
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

    def receiver(self, pair: Pair) -> Pair:
        """Who is billed for a pair; `UNALLOCATED` when nobody can be."""
        return pair.billed(self.bill_to)

    def tax_rate(self, receiver: Pair) -> int:
        """The receiver's rate in units of 10**-9: of the directory, else of the settings."""
        own = None if receiver.team is None else self.directory.tax_rate_nano(receiver.team)
        return self.tax_rate_nano if own is None else own

    def to_document(self) -> dict[str, Any]:
        """Plain values that JSON can hold without loss; `from_document` reads them back."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Snapshot":
        return msgspec.convert(document, cls)
