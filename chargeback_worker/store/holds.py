"""Whether closing and publishing are held, and how far the topics were read when they were let go.

Both are rows of the installation: every process sees them, in the very transaction in which it
would take a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from chargeback_worker.store import Transaction, facts

_HOLD = "hold"
_MARKS = "resumed"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hold:
    """Since when, and what was found: one sentence each."""

    since_us: int
    because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """What was read back when the last hold ended, by partition: the ends of the invoices topic of
    that id, and what the group had committed of the usage topic."""

    topic_id: str | None = None
    ends: Mapping[int, int] = field(default_factory=dict)
    committed: Mapping[int, int] = field(default_factory=dict)


def find(transaction: Transaction) -> Hold | None:
    """The hold that stands, or None."""
    return _read(transaction, _HOLD, Hold)


def put(transaction: Transaction, hold: Hold) -> None:
    """Hold closing and publishing; one that stands already stays as it is."""
    facts.put_first(transaction, _HOLD, msgspec.json.encode(hold).decode())


def release(transaction: Transaction) -> bool:
    """Let closing and publishing go on; whether they were held. Of two at once one does it."""
    return facts.remove(transaction, _HOLD)


def marks(transaction: Transaction) -> Marks:
    """Those of the last release; none before the first."""
    return _read(transaction, _MARKS, Marks) or Marks()


def mark(transaction: Transaction, marks: Marks) -> None:
    facts.put(transaction, _MARKS, msgspec.json.encode(marks).decode())


def _read(transaction: Transaction, name: str, kind: type[T]) -> T | None:
    value = facts.find(transaction, name)
    return None if value is None else msgspec.json.decode(value, type=kind)
