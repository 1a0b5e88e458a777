"""The one data structure that every template reads: all of it text, ready to be shown.

What came from people has been through `characters.shown`; a template only escapes and places it.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from chargeback_worker.documents.facts import Facts


class Entry(NamedTuple):
    """A label and what it says."""

    label: str
    text: str


class Sum(NamedTuple):
    """A line below the lines. The total is `strong`; what is `behind` is shown with the exact
    amounts only, and has an exact amount instead of cents.
    """

    label: str
    amount: str
    strong: bool = False
    behind: bool = False


class Party(NamedTuple):
    """Issuer or receiver: a name, and lines below it."""

    heading: str
    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the invoice. `notes` say where its number comes from."""

    number: str
    what: str
    notes: tuple[str, ...]
    quantity: str
    unit_price: str
    exact: str
    amount: str


@dataclass(frozen=True, slots=True)
class Group:
    """Lines of one kind and resource type, or the adjustments of one month, and their sum."""

    heading: str
    notes: tuple[str, ...]
    rows: tuple[Row, ...]
    label: str
    exact: str
    amount: str
    nano: int
    """The sum that `amount` shows, for who computes on."""


@dataclass(frozen=True, slots=True)
class Equation:
    """How all that a close booked became cents of this invoice, of others and of nobody."""

    heading: str
    sentence: str
    terms: tuple[Sum, ...]


@dataclass(frozen=True, slots=True)
class View:
    """A document. `stamp` stands across one that is no invoice (yet, or any more); `banner` says
    why. `facts` are for formats that take raw values.
    """

    title: str
    number: str
    stamp: str
    banner: str
    entries: tuple[Entry, ...]
    issuer: Party
    receiver: Party
    currency: str
    groups: tuple[Group, ...]
    sums: tuple[Sum, ...]
    equation: Equation | None
    closing: tuple[str, ...]
    footer: tuple[str, ...]
    facts: Facts = field(repr=False)

    @property
    def name(self) -> str:
        """What it is called as a whole, in a window's title for instance."""
        return f"{self.title} {self.number}"
