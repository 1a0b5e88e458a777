"""Trying a bench: its jobs in this process, and the shape of what it writes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks import child
from tests.benchmarks.figures import Finding, LeftOut, write
from tests.benchmarks.jobs import JOBS


def here(job: str, url: str, *arguments: int | str) -> child.Found:
    """A job in this process, where it costs no start of another one."""
    return {**JOBS[job](url, *arguments), "peak_mb": child.peak_mb()}


def written(folder: Path, figures: Sequence[Finding]) -> dict[str, Any]:
    """The entries of the results file, each of the same shape."""
    results = folder / "build" / "bench.json"
    write(results, figures)
    found: dict[str, Any] = json.loads(results.read_text())
    measured = [figure.name for figure in figures if not isinstance(figure, LeftOut)]
    assert sorted(found) == sorted(measured)
    for entry in found.values():
        assert entry.keys() == {"value", "unit", "runs", "of", "ratio"}
        assert entry["value"] >= 0
        assert (entry["of"] is None) == (entry["ratio"] is None)
        assert entry["of"] is None or entry["of"] in found
    return found
