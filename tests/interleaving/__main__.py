"""`make simulate-faults`: as many histories as asked for, two at a time, with what they covered."""

import argparse
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from tests.interleaving.grounds import Places, ground_at
from tests.interleaving.history import Ground, Outcome, run

AT_ONCE = 2
_CHUNK = 5
_SHOWN = 12
# Of a process of the pool, as long as it lives.
_opened = ExitStack()
_grounds: list[Ground] = []


def main() -> int:
    given = _options().parse_args()
    began_s = time.monotonic()
    counts: Counter[str] = Counter()
    done = failed = 0
    with ExitStack() as opened:
        for outcome in _outcomes(given, opened):
            done += 1
            counts += outcome.counts
            if outcome.mismatches:
                failed += 1
                _show(outcome, given)
                if failed >= given.failures:
                    break
            if done % given.tell == 0:
                took_s = time.monotonic() - began_s
                print(f"{done:,} of {given.seeds:,} ({took_s:.0f} s), {failed} failed", flush=True)
    took_s = time.monotonic() - began_s
    print(
        f"{given.store}: {done:,} seeds from {given.first} on, {failed} with a mismatch"
        f" ({took_s:.0f} s)"
    )
    print("  what they covered:")
    for name, count in sorted(counts.items()):
        print(f"  {name}: {count:,}")
    return int(bool(failed))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.interleaving")
    options.add_argument("--seeds", type=int, default=1000)
    options.add_argument("--first", type=int, default=0, help="the first seed")
    options.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    options.add_argument("--jobs", type=int, default=AT_ONCE, help="processes at once")
    options.add_argument("--failures", type=int, default=3, help="end after so many")
    options.add_argument("--tell", type=int, default=100, help="say how far it is, every so many")
    options.add_argument("--steps", action="store_true", help="show the last steps of a failure")
    return options


def _outcomes(given: argparse.Namespace, opened: ExitStack) -> Iterator[Outcome]:
    seeds = range(given.first, given.first + given.seeds)
    places = Places(given.store, opened)
    jobs = min(given.jobs, given.seeds)
    if jobs == 1:
        with ground_at(places.new()) as ground:
            yield from (_told(seed, ground) for seed in seeds)
        return
    context = multiprocessing.get_context("fork")
    free = context.SimpleQueue()
    for _ in range(jobs):
        free.put(places.new())
    pool = opened.enter_context(context.Pool(jobs, _begin, (free,)))
    yield from pool.imap_unordered(_run, seeds, chunksize=_CHUNK)


def _begin(free: Any) -> None:
    _grounds.append(_opened.enter_context(ground_at(free.get())))


def _run(seed: int) -> Outcome:
    return _told(seed, _grounds[0])


def _told(seed: int, ground: Ground) -> Outcome:
    """One history. What nobody foresaw is told as a mismatch, with its seed, as any other is: as an
    exception it would not find its way out of the process that it came up in."""
    try:
        return run(seed, ground)
    except Exception:
        told = traceback.format_exc().splitlines()
        return Outcome(seed, told[-_SHOWN:], Counter({"histories broken off": 1}), 0, 0, [])


def _show(outcome: Outcome, given: argparse.Namespace) -> None:
    print(f"seed {outcome.seed}: {len(outcome.mismatches)} mismatches")
    for line in outcome.mismatches[:_SHOWN]:
        print(f"  {line}")
    if given.steps:
        print("\n".join(f"    {step}" for step in outcome.last_steps))
    print(
        f"  again: python -m tests.interleaving --store {given.store} --jobs 1"
        f" --first {outcome.seed} --seeds 1 --steps",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
