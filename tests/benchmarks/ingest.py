"""Ingest at the limit of its database: how fast it is beside the bare tools, and what it costs."""

from collections.abc import Iterator

from tests.benchmarks import child, ingest_database
from tests.benchmarks.databases import Databases, PostgresDatabases
from tests.benchmarks.figures import Figure
from tests.benchmarks.ingest_database import FULL, QUICK, SIZE, Run
from tests.benchmarks.preload import check_room


def measure(
    databases: Databases, *, runs: int, quick: bool, full: bool = False, run: Run = child.run
) -> Iterator[Figure]:
    """The figures of one kind of store; `full` stores 20 million events first, too."""
    size = QUICK if quick else FULL if full else SIZE
    if not isinstance(databases, PostgresDatabases):
        yield from ingest_database.on_sqlite(databases, runs=runs, size=size, run=run)
        return
    with databases.new() as url:
        check_room(url, sum(size.stored.values()))
    yield from ingest_database.on_postgresql(databases, runs=runs, size=size, run=run)
