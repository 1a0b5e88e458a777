"""Progress of long work, on stderr and only where a person looks at it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from chargeback_worker.cli.output import escaped


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar to `total`; yields what tells it how far the work is."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        task = bar.add_task(escaped(what), total=total or None)
        yield lambda done: bar.update(task, completed=done)
