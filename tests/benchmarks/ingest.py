"""Ingest at the limit of its database: how fast it is beside the bare tools, and what it costs."""

from collections.abc import Iterator
from contextlib import ExitStack

from tests.benchmarks import brokers, child, ingest_database, ingest_kafka
from tests.benchmarks.brokers import Servers
from tests.benchmarks.databases import Databases, Fill, PostgresDatabases
from tests.benchmarks.figures import Figure, Finding
from tests.benchmarks.ingest_database import FULL, QUICK, SIZE, Run
from tests.benchmarks.preload import check_room


def measure(
    databases: Databases,
    *,
    runs: int,
    quick: bool,
    full: bool = False,
    run: Run = child.run,
    kafka: Servers = brokers.kafka,
) -> Iterator[Finding]:
    """The figures of one kind of store; `full` stores 20 million events first, too."""
    size = QUICK if quick else FULL if full else SIZE
    if not isinstance(databases, PostgresDatabases):
        yield from ingest_database.on_sqlite(databases, runs=runs, size=size, run=run)
        return
    yield _metrics(run, size.events, size.batch)
    with ExitStack() as stack:
        with databases.new() as url:
            check_room(url, sum(size.stored.values()))
        filled = {
            name: stack.enter_context(databases.new(_preloaded(run, rows)))
            for name, rows in size.stored.items()
        }
        yield from ingest_database.on_postgresql(
            databases, full=filled, runs=runs, size=size, run=run
        )
        load = ingest_kafka.QUICK if quick else ingest_kafka.LOAD
        yield from ingest_kafka.on_kafka(
            databases,
            stack.enter_context(kafka()),
            full=filled,
            runs=runs,
            load=load,
            run=run,
        )


def _metrics(run: Run, events: int, batch: int) -> Figure:
    return Figure("metrics_us", "µs", (run("shown", "", events, batch)["shown_us"],))


def _preloaded(run: Run, rows: int) -> Fill:
    return lambda url: run("preload", url, rows)
