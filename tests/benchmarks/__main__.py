"""`make bench`: every bench, or those named, as a table and in build/bench.json.

    python -m tests.benchmarks [NAME …] [--full] [--quick] [--runs N]

`--full` measures with 20 million stored events as well, and takes long. `--quick` is for the
benches themselves: sizes that end within seconds and tell nothing.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.benchmarks import allocation, api, ingest, invoices, meanwhile, quarantine
from tests.benchmarks.databases import Databases, PostgresDatabases, SQLiteFiles
from tests.benchmarks.figures import Finding, table, write
from tests.benchmarks.preload import TooLittleRoom
from tests.support.postgres import postgres_ladder

Bench = Callable[..., Iterator[Finding]]
BENCHES: dict[str, Bench] = {
    "allocation": allocation.measure,
    "api": api.measure,
    "ingest": ingest.measure,
    "invoices": invoices.measure,
    "meanwhile": meanwhile.measure,
    "quarantine": quarantine.measure,
}
"""By name; each is asked for its figures on every store that is found."""
RESULTS = Path("build/bench.json")


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    options.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    options.add_argument("--full", action="store_true", help="with 20 million stored events too")
    options.add_argument("--quick", action="store_true", help="try the benches, measure nothing")
    options.add_argument("--runs", type=int, default=3, help="of everything, in turn")
    options.add_argument("--results", type=Path, default=RESULTS)
    given = options.parse_args(arguments)
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        options.error(f"no bench {', '.join(sorted(unknown))}; there are: {', '.join(BENCHES)}")
    benches = BENCHES | {"ingest": partial(ingest.measure, full=given.full)}
    console, began = Console(width=140), time.monotonic()
    figures: list[Finding] = []
    ladder = postgres_ladder()
    try:
        with tempfile.TemporaryDirectory() as folder:
            stores: list[Databases] = [SQLiteFiles(Path(folder))]
            if (server := ladder.obtain()) is not None:
                stores.append(PostgresDatabases(server))
            console.print(f"on SQLite and {ladder.used or 'no PostgreSQL: ' + ladder.planned}")
            for name in given.names or BENCHES:
                for store in stores:
                    figures += benches[name](store, runs=given.runs, quick=given.quick)
                    # What was found stays found when a later bench fails.
                    write(given.results, figures)
    except TooLittleRoom as error:
        console.print(str(error))
        return 1
    finally:
        ladder.close()
    console.print(table(figures))
    console.print(f"{time.monotonic() - began:.0f} s; also in {given.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
