"""What a bench found: one figure a line of the table, and an entry of build/bench.json."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich import box
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """Its value is the median of its runs; `ratio` is that to the figure `of` of the same run."""

    name: str
    unit: str
    runs: tuple[float, ...]
    of: str | None = None
    ratio: float | None = None

    @property
    def value(self) -> float:
        return median(self.runs)

    def beside(self, other: "Figure") -> "Figure":
        """The same with its ratio to another one."""
        return Figure(self.name, self.unit, self.runs, other.name, self.value / other.value)

    def document(self) -> dict[str, Any]:
        return {
            "value": _rounded(self.value),
            "unit": self.unit,
            "runs": [_rounded(run) for run in self.runs],
            "of": self.of,
            "ratio": None if self.ratio is None else _rounded(self.ratio),
        }


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A figure that could not be measured here."""

    name: str
    why: str


Finding = Figure | LeftOut


def write(path: Path, findings: Iterable[Finding]) -> None:
    """Put figures into the file, beside those of other benches that it holds.

    What was left out is taken away: an older figure would pass for one of this run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for finding in findings:
        if isinstance(finding, LeftOut):
            known.pop(finding.name, None)
        else:
            known[finding.name] = finding.document()
    path.write_text(json.dumps(known, indent=1) + "\n")


def table(findings: Iterable[Finding]) -> Table:
    shown = Table("name", "value", "unit", "runs", "ratio", "of", box=box.SIMPLE)
    for column in (1, 4):
        shown.columns[column].justify = "right"
    for figure in findings:
        if isinstance(figure, LeftOut):
            shown.add_row(figure.name, "", "", f"left out: {figure.why}")
            continue
        found: Mapping[str, Any] = figure.document()
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        runs = " ".join(map(str, found["runs"])) if len(figure.runs) > 1 else ""
        shown.add_row(figure.name, f"{found['value']:,}", figure.unit, runs, ratio, figure.of or "")
    return shown


def _rounded(value: float) -> float:
    """Three digits that count, and whole numbers whole."""
    return float(f"{value:.3g}") if abs(value) < 100 else round(value)
