"""What is wrong with written rules or a directory: each fault with its place and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chargeback_worker.errors import Invalid

Path = tuple[str | int, ...]
"""A place in a document: `("rules", 2, "allocation_metadata", "match")`."""

_LISTED_MAX = 50


class FaultKind(StrEnum):
    """Stable words for programs; a method may object with a kind of its own."""

    NO_RECEIVER = "no_receiver"
    RECEIVER_TWICE = "receiver_twice"
    AMBIGUOUS_RECEIVER = "ambiguous_receiver"
    PERCENTAGES = "percentages"
    QUANTITY_DRIVER = "quantity_driver"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_LABEL = "unknown_label"
    RESERVED_ID = "reserved_id"
    RULE_TWICE = "rule_twice"
    TEAM_TWICE = "team_twice"
    MEMBER_TWICE = "member_twice"
    PRIMARY_TWICE = "primary_twice"
    TWO_NAMES = "two_names"
    NO_DAYS = "no_days"
    MISSING = "missing"
    WRONG_TYPE = "wrong_type"
    NOT_ONE_OF = "not_one_of"
    EMPTY_LIST = "empty_list"
    BAD_TEXT = "bad_text"
    TOO_LONG = "too_long"
    BAD_DATE = "bad_date"
    OUT_OF_RANGE = "out_of_range"


_BY_STATE = frozenset(
    {
        FaultKind.NO_RECEIVER,
        FaultKind.RECEIVER_TWICE,
        FaultKind.AMBIGUOUS_RECEIVER,
        FaultKind.UNKNOWN_LABEL,
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a rule or team.

    `of` is the id of the rule or team, None where it has none that can be read; `subject` names it
    in words. `field` is the part of `path` within it, as people write it. `shown` is the value,
    shortened and escaped; None where there is none to show.
    """

    kind: str
    path: Path
    of: str | None
    subject: str
    field: str
    shown: str | None
    sentence: str

    @property
    def by_state(self) -> bool:
        """Whether settings or what is stored show it, rather than the document alone."""
        return self.kind in _BY_STATE

    def __str__(self) -> str:
        field = f", {self.field}" if self.field else ""
        value = "" if self.shown is None else f" = {self.shown}"
        return f"{self.subject}{field}{value}: {self.sentence}"


class Refused(Invalid):
    """A document that is not taken, with all its faults."""

    WHAT = "document"

    def __init__(self, faults: Sequence[Fault]) -> None:
        assert faults
        self.faults = tuple(faults)
        count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(
            "\n  ".join([f"{count.capitalize()} in the {self.WHAT}:", *listed(faults)]),
            "Nothing was stored. Correct what is named and write it again.",
        )


class RulesRefused(Refused):
    """Written rules with faults; none of them is stored."""

    WHAT = "rules"


class DirectoryRefused(Refused):
    """A written directory with faults; the one in force stays."""

    WHAT = "directory"


def listed(lines: Sequence[object]) -> list[str]:
    """The first of many lines, and how many there are besides."""
    told = [str(line) for line in lines[:_LISTED_MAX]]
    more = len(lines) - len(told)
    return [*told, f"and {more} more"] if more else told


def dotted(path: Path) -> str:
    """A path as people write it: `allocation_metadata.match.teams[0]`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return "".join(parts).removeprefix(".")
