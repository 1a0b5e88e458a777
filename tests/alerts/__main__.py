"""`make test-alerts`: each alert fired by its real fault and cleared after; prints a table."""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.alerts.faults import FAULTS, Fault
from tests.alerts.shortened import RULES, shortened
from tests.alerts.stage import Stage, settle, stage
from tests.faults.scene import Ground
from tests.support.brokers import kafka_ladder
from tests.support.postgres import postgres_ladder
from tests.support.prometheus import Running, alert_rules, prometheus_ladder

_LOOK_S = 0.25
_LIMIT_S = 420.0
_COLUMNS = ("alert", "fault", "fired after", "beside it", "mended by", "cleared after")


@dataclass
class Seen:
    """What fired of a fault, how soon, and how soon it cleared."""

    fired_s: float | None
    beside: set[str]
    cleared_s: float | None


def main() -> int:
    given = _options().parse_args()
    wanted = {name: fault for name, fault in FAULTS.items() if re.search(given.only, name)}
    assert list(FAULTS.keys() ^ {rule["alert"] for rule in alert_rules(RULES)}) == []
    ladders = kafka_ladder(), postgres_ladder(), prometheus_ladder()
    failed: list[str] = []
    try:
        kafka, postgres, prometheus = (ladders[0].get(), ladders[1].get(), ladders[2].get())
        print(
            f"on {kafka.described}, {postgres.described}, {prometheus.described};"
            f" all times of the rules divided by {given.factor:g},"
            f" {given.rate:g} events a second, scraped every second",
            flush=True,
        )
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder = Path(name)
            ground = Ground(kafka, postgres, folder)
            rules = [shortened(given.factor, folder / "alerts.yml")]
            with stage(ground, given.factor, given.rate) as made, made.load.flowing():
                made.start()
                with prometheus.scraping(made.targets, folder / "prometheus", rules=rules) as at:
                    failed = _all(wanted, made, at)
                made.stop()
    finally:
        for ladder in ladders:
            ladder.close()
    print(f"failed: {', '.join(failed) or 'nothing'}", flush=True)
    return int(bool(failed))


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.alerts")
    options.add_argument("--factor", type=float, default=60)
    options.add_argument("--rate", type=float, default=150, help="events a second")
    options.add_argument("--only", default="", help="only alerts whose name this expression fits")
    return options


def _all(wanted: dict[str, Fault], made: Stage, server: Running) -> list[str]:
    failed, made.server = [], server
    print(f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}", flush=True)
    for name, fault in wanted.items():
        settle(made)
        _quiet(server, name)
        seen = _seen(name, fault, made, server)
        if seen.fired_s is None or seen.cleared_s is None:
            failed.append(name)
        beside = ", ".join(sorted(one.removeprefix("Chargeback") for one in seen.beside))
        print(
            f"| {name.removeprefix('Chargeback')} | {fault.what} | {_time(seen.fired_s)} |"
            f" {beside or '–'} | {fault.mended_by} | {_time(seen.cleared_s)} |",
            flush=True,
        )
    return failed


def _quiet(server: Running, name: str) -> None:
    """Wait for what fired before to clear; what only waits for somebody may stay."""
    _within(lambda: not server.firing() - {"ChargebackQuarantineWaits"}, 180, set(), server)


def _seen(name: str, fault: Fault, made: Stage, server: Running) -> Seen:
    before, beside = server.firing(), set[str]()
    fault.begin(made)
    fired_s = _within(lambda: name in server.firing(), _LIMIT_S, beside, server)
    fault.mend(made)
    cleared_s = _within(lambda: name not in server.firing(), _LIMIT_S, set(), server)
    return Seen(fired_s, beside - before - {name}, cleared_s)


def _within(
    true: Callable[[], bool], limit_s: float, fired: set[str], server: Running
) -> float | None:
    """After how many seconds it came about, and what fired meanwhile; None if it did not."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if true():
            return time.monotonic() - began
        fired |= server.firing()
        time.sleep(_LOOK_S)
    return None


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
