"""What the catalogue of metrics is made of."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Label:
    """`values` are all that there are, where that is known: each has a series from the start."""

    name: str
    help: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric. `help` is what it is, `todo` what to do about it, both for people.

    `stored`: read from the store, the same whichever process is asked; `asked`: found out when a
    scrape asks. All others are counted by this process.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    todo: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    stored: bool = False
    asked: bool = False

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which it is exposed, and so may be asked for."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "sum", "count"))
        return (self.name,)


@dataclass(frozen=True, slots=True)
class Group:
    """Metrics of one subject, as the page shows them."""

    title: str
    measures: tuple[Measure, ...]
