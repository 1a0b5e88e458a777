"""`make test-upgrade`: an older release and this one in each other's place, with figures."""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.faults.flow import Pace
from tests.faults.scene import Ground
from tests.support.brokers import kafka_ladder
from tests.support.postgres import postgres_ladder
from tests.upgrade.release import ROOT, before_the_last_migration, checked_out
from tests.upgrade.rolling import rolling


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.upgrade")
    options.add_argument("--release", help="its commit; else the last before the newest migration")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--events", type=int, default=30_000)
    options.add_argument("--rate", type=float, default=1_000.0, help="events a second")
    given = options.parse_args()
    old = checked_out(given.release or before_the_last_migration(), ROOT / "build/releases")
    print(f"seed {given.seed}, {old.name} beside this release", flush=True)
    kafka, postgres = kafka_ladder(), postgres_ladder()
    failed = False
    try:
        servers = kafka.get(), postgres.get()
        print(f"on {servers[0].described} and {servers[1].described}", flush=True)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            ground = Ground(*servers, Path(folder))
            for sqlite in (False, True):
                pace = Pace(given.events, given.seed, given.rate, 1)
                figures = rolling(ground, pace, old, sqlite=sqlite)
                print(figures, *figures.mismatches[:20], sep="\n  ", flush=True)
                failed |= bool(figures.mismatches)
    finally:
        kafka.close()
        postgres.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
