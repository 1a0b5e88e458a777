"""What a check finds: the rows it looked at, and where they are not what they should be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from chargeback_worker.invoicing.document import Document
from chargeback_worker.money import plain
from chargeback_worker.period import Period
from chargeback_worker.store import Transaction

NAMED_MAX = 100
"""Mismatches that are named of one check; the others are counted."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One thing that is not as it should be. `check` is the check's name, `subject` the row."""

    check: str
    subject: str
    expected: str
    found: str
    hint: str

    def to_document(self) -> Document:
        return {
            "check": self.check,
            "subject": self.subject,
            "expected": self.expected,
            "found": self.found,
            "hint": self.hint,
        }


@dataclass(slots=True)
class Comparison:
    """One check on its run. `period` limits it to what one billing period holds."""

    check: str
    transaction: Transaction
    period: Period | None
    rows: int = 0
    mismatches: list[Mismatch] = field(default_factory=list)
    unnamed: int = 0

    def differ(self, subject: str, expected: object, found: object, hint: str = "") -> None:
        """Name a mismatch."""
        if len(self.mismatches) >= NAMED_MAX:
            self.unnamed += 1
            return
        self.mismatches.append(Mismatch(self.check, subject, str(expected), str(found), hint))

    def equal(self, subject: str, expected: object, found: object, hint: str = "") -> None:
        """Name a mismatch where the two are not the same."""
        if expected != found:
            self.differ(subject, expected, found, hint)

    def amounts(self, subject: str, expected: int, found: int, hint: str = "") -> None:
        """The same of nano-units, written as decimals."""
        if expected != found:
            self.differ(subject, plain(expected), plain(found), hint)

    @contextmanager
    def reading(self, subject: str) -> Iterator[None]:
        """Rows that make no sense any more are a mismatch too; what the database says is not."""
        try:
            yield
        except (ValueError, LookupError, TypeError, AssertionError, msgspec.MsgspecError) as error:
            self.differ(subject, "rows that can be read", f"{type(error).__name__}: {error}", _ODD)


_ODD = "Rows were altered by hand; restore them from a backup."
Check = Callable[[Comparison], None]
