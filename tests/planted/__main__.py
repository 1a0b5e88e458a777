"""`python -m tests.planted`: whether histories find each fault of order; --measure: how many do.

The seed that once found a fault is tried first. What is changed elsewhere moves the steps of a
seed; then others are tried, and the one that finds it is to be written down anew.
"""

import argparse
import itertools
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from multiprocessing.pool import ThreadPool
from typing import Any

from tests.interleaving.__main__ import AT_ONCE
from tests.interleaving.grounds import Places, ground_at
from tests.interleaving.history import run
from tests.planted.interleaved import INTERLEAVED, plant

_fork = multiprocessing.get_context("fork")
_PATIENCE = {"sqlite": 150, "postgresql": 150}
# What a check says, for the table.
_CHECKS = {
    "AssertionError": "an assertion in the worker",
    "publish at once": "two publishers at once",
    "whose lease runs": "a close taken over too early",
    "at rest": "no rest",
    "can go on": "no rest",
    "Integrity": "the database refuses",
    "refuse": "the database refuses",
    "arrived as number": "order of a key",
    "arrived before": "end of a month before its invoices",
    "never arrived": "a message lost",
    "was sent otherwise": "bytes of a message",
    "numbers of": "a number skipped or used twice",
    "was given to two": "a number skipped or used twice",
    "closes": "closes counted",
    "booked": "booked against used",
    "accepted": "records counted",
    "duplicate": "records counted",
    "conflict": "records counted",
    "quarantined": "records counted",
    "sum of totals": "totals summed",
}


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.planted")
    options.add_argument("--only", default="", help="only faults whose name holds this text")
    options.add_argument(
        "--store", choices=("sqlite", "postgresql"), help="only those of one store"
    )
    options.add_argument("--measure", type=int, metavar="N", help="a table of what N seeds find")
    given = options.parse_args()
    names = [
        name
        for name, fault in INTERLEAVED.items()
        if given.only in name and given.store in (None, fault.store)
    ]
    with ExitStack() as opened, ThreadPool(AT_ONCE) as pool:
        places = {store: Places(store, opened) for store in {INTERLEAVED[n].store for n in names}}
        work = [(name, places[INTERLEAVED[name].store].new(), given.measure) for name in names]
        caught = pool.starmap(_try, work, chunksize=1)
    return int(not all(caught))


def _try(name: str, place: str, measured: int | None) -> bool:
    """In a process of its own, which the fault stays in."""
    began_s = time.monotonic()
    told, telling = _fork.Pipe(duplex=False)
    process = _fork.Process(target=_look_for, args=(name, place, measured, telling))
    process.start()
    telling.close()
    try:
        found: dict[int, list[str]] = told.recv()
    except EOFError:
        found = {}
    process.join()
    said = _row(name, found, measured) if measured else _verdict(name, found)
    print(said if measured else f"{said} ({time.monotonic() - began_s:.0f} s)", flush=True)
    return bool(found)


def _look_for(name: str, place: str, measured: int | None, telling: Any) -> None:
    """Send what was wrong, by seed: of the first seed that finds something, or of all measured."""
    fault = INTERLEAVED[name]
    seeds: Iterable[int] = range(measured or _PATIENCE[fault.store])
    if not measured:
        seeds = itertools.chain([fault.seed], seeds)
    plant(name)
    found: dict[int, list[str]] = {}
    with ground_at(place) as ground:
        for seed in seeds:
            if wrong := run(seed, ground).mismatches:
                found[seed] = wrong
                if not measured:
                    break
    telling.send(found)


def _verdict(name: str, found: dict[int, list[str]]) -> str:
    fault = INTERLEAVED[name]
    for seed, wrong in found.items():
        recorded = "" if seed == fault.seed else f" (no longer by {fault.seed})"
        first = wrong[0].splitlines()[0]
        return f"{name}: found by seed {seed}{recorded} on {fault.store}: {first}"
    return f"{name}: NOT FOUND by {_PATIENCE[fault.store]} seeds on {fault.store}"


def _row(name: str, found: dict[int, list[str]], seeds: int) -> str:
    checks = Counter(check for wrong in found.values() for check in {_check(w) for w in wrong[:1]})
    told = ", ".join(f"{check} {count}" for check, count in checks.most_common())
    return f"| {name} | {INTERLEAVED[name].store} | {len(found)} of {seeds} | {told} |"


def _check(mismatch: str) -> str:
    return next((check for text, check in _CHECKS.items() if text in mismatch), "verify")


if __name__ == "__main__":
    sys.exit(main())
