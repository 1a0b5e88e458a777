"""`make test-faults`: the long runs, with their figures."""

import argparse
import random
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.rows import ROWS, Row, Size
from tests.faults.scene import Ground
from tests.support.brokers import kafka_ladder
from tests.support.postgres import postgres_ladder

_MOST_EVENTS = max(row.long.events for row in ROWS.values())


def main() -> int:
    given = _options().parse_args()
    print(f"seed {given.seed}", flush=True)
    kafka, postgres = kafka_ladder(), postgres_ladder()
    failed: list[str] = []
    try:
        servers = kafka.get(), postgres.get()
        print(f"on {servers[0].described} and {servers[1].described}", flush=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            ground = Ground(*servers, Path(folder))
            for name, row in ROWS.items():
                if given.only in name and not _passed(name, row, ground, given):
                    failed.append(name)
    finally:
        kafka.close()
        postgres.close()
    print(f"failed: {', '.join(failed) or 'nothing'}", flush=True)
    return int(bool(failed))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.faults")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument(
        "--events",
        type=int,
        default=_MOST_EVENTS,
        help="events of the longest row; the others have fewer in proportion",
    )
    options.add_argument("--rate", type=float, help="events a second, in every row")
    options.add_argument("--times", type=float, default=1.0, help="more or fewer faults, as 0.2")
    options.add_argument("--only", default="", help="only rows whose name holds this text")
    return options


def _passed(name: str, row: Row, ground: Ground, given: argparse.Namespace) -> bool:
    size = _sized(row, given)
    print(f"{name}: seed {given.seed}, {size.events:,} events", flush=True)
    began = time.monotonic()
    try:
        figures = row.run(ground, size.pace(given.seed))
    except pytest.skip.Exception as reason:
        print(f"  not run here: {reason}", flush=True)
        return True
    except Exception:
        # The next rows say something all the same.
        traceback.print_exc()
        return False
    print(f"  {figures} ({time.monotonic() - began:.0f} s)", flush=True)
    for line in figures.mismatches[:20]:
        print(f"  {line}", flush=True)
    return not figures.mismatches


def _sized(row: Row, given: argparse.Namespace) -> Size:
    least = row.short or Size(1, 1, 1)
    return replace(
        row.long,
        events=max(least.events, row.long.events * given.events // _MOST_EVENTS),
        rate=given.rate or row.long.rate,
        faults=max(least.faults, round(row.long.faults * given.times)),
    )


if __name__ == "__main__":
    sys.exit(main())
