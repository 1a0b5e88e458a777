"""A value of a document together with where it stands, so that every fault knows its place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from chargeback_worker.allocation.writing.faults import Fault, FaultKind, Path, dotted
from chargeback_worker.usage.refusal import shortened, shown

_INT_BITS_MAX = 8_192


class Number(str):
    """The digits of a number, as they were written."""

    __slots__ = ()


class Subject(NamedTuple):
    """The rule or team that a value belongs to; `root` is where it stands in the document."""

    words: str
    root: Path = ()
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A value of a document; its faults, and those of what is in it, go to one list."""

    value: object
    path: Path
    subject: Subject
    faults: list[Fault]

    def refuse(self, kind: str, sentence: str, *, show: bool = True) -> None:
        """Note a fault of this value."""
        subject = self.subject
        self.faults.append(
            Fault(
                kind,
                self.path,
                subject.of,
                subject.words,
                _escaped(dotted(self.path[len(subject.root) :])),
                _shown(self.value) if show else None,
                sentence,
            )
        )

    def wrong_type(self, wanted: str) -> None:
        self.refuse(FaultKind.WRONG_TYPE, f"must be {wanted}")

    def within(self, key: str | int, value: object) -> "Place":
        """What stands in this value under a key or at an index."""
        return Place(_plain(value), (*self.path, key), self.subject, self.faults)

    def missing(self, key: str, sentence: str) -> None:
        """Note that something that must be there is not."""
        self.within(key, None).refuse(FaultKind.MISSING, sentence, show=False)

    def about(self, words: str, of: object) -> "Place":
        """This value as the one that faults below belong to, with its id where it has one."""
        of = _plain(of)
        if isinstance(of, str) and of:
            return self._of(Subject(f"{words} {shown(str(of))}", self.path, str(of)))
        number = self.path[-1] if self.path and isinstance(self.path[-1], int) else None
        return self._of(Subject(words if number is None else f"{words} {number + 1}", self.path))

    def _of(self, subject: Subject) -> "Place":
        return Place(self.value, self.path, subject, self.faults)

    def items(self, wanted: str) -> list["Place"] | None:
        """The values of a list; None, and a fault, where it is none."""
        if not isinstance(self.value, list):
            self.wrong_type(wanted)
            return None
        return [self.within(index, value) for index, value in enumerate(self.value)]

    def entries(self, wanted: str) -> dict[str, "Place"] | None:
        """The values of a mapping by their keys; None, and a fault, where it is none."""
        if not isinstance(self.value, dict):
            self.wrong_type(wanted)
            return None
        found: dict[str, Place] = {}
        for written, value in self.value.items():
            key = _plain(written)
            if not isinstance(key, str):
                self.refuse(FaultKind.WRONG_TYPE, f"its key {shown(written)} must be a text")
            elif str(key) in found:
                self.within(str(key), value).refuse(FaultKind.WRONG_TYPE, "stands there twice")
            else:
                found[str(key)] = self.within(str(key), value)
        return found

    def fields(
        self,
        known: Sequence[str],
        wanted: str,
        *,
        ignored: Iterable[str] = (),
        elsewhere: Mapping[str, str] | None = None,
        null_is_absent: bool = True,
    ) -> dict[str, "Place"] | None:
        """The known fields that are given. Unknown ones are faults.

        `ignored` are known and not looked at; `elsewhere` says where other fields belong.
        """
        entries = self.entries(wanted)
        if entries is None:
            return None
        found: dict[str, Place] = {}
        for name, place in entries.items():
            if name in known:
                if place.value is not None or not null_is_absent:
                    found[name] = place
            elif name not in ignored:
                belongs = (elsewhere or {}).get(name)
                meant = f"belongs {belongs}" if belongs else f"is no field{choice(name, known)}"
                place.refuse(FaultKind.UNKNOWN_FIELD, meant, show=False)
        return found


def near(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, to go on a sentence with, or nothing."""
    found = get_close_matches(name[:100], list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""


def choice(name: str, known: Iterable[str]) -> str:
    """The near one of the names that there are, else all of them."""
    names = list(known)
    return near(name, names) or (f"; there are {', '.join(names)}" if names else "")


def _plain(value: object) -> object:
    """A value with its numbers as digits; what is no plain value stays and fits nowhere."""
    match value:
        case bool() | str():
            return value
        case int():
            # Python refuses to write out thousands of digits; nothing here may have as many.
            large = value.bit_length() > _INT_BITS_MAX
            return Number(hex(value)[:_INT_BITS_MAX] if large else str(value))
        case Decimal():
            return Number(value)
        case msgspec.Raw():
            return Number(str(value, "ascii"))
        case _:
            return value


def _shown(value: object) -> str:
    return shortened(str(value)) if isinstance(value, Number) else shown(value)


def _escaped(field: str) -> str:
    """A field's name without what could harm a terminal or a log."""
    return shortened(field) if field.isprintable() else shown(field)
