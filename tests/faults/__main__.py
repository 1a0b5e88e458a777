"""`make test-faults`: the long runs, with their figures. Options: --seed N, --events N."""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.faults.scenarios import Figures, Pace, interrupted, killed_worker
from tests.support.brokers import kafka_ladder
from tests.support.postgres import LocalPostgres, postgres_ladder


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.faults")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options.add_argument("--events", type=int, default=300_000)
    options.add_argument("--rate", type=float, default=750.0, help="events a second")
    options.add_argument("--only", default="", help="only runs whose name holds this text")
    given = options.parse_args()
    print(f"seed {given.seed}", flush=True)
    kafka_server, postgres_server = kafka_ladder(), postgres_ladder()
    failed = False
    try:
        kafka, postgres = kafka_server.get(), postgres_server.get()
        print(f"on {kafka.described} and {postgres.described}", flush=True)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            pace = Pace(given.events, given.seed, given.rate)
            short = replace(pace, events=given.events // 3)

            def on_postgres(run: Callable[[str], Figures]) -> Figures:
                with postgres.database() as url:
                    return run(url)

            def restart_postgres() -> None:
                assert isinstance(postgres, LocalPostgres), "not our server to stop"
                postgres.stop_immediate()
                time.sleep(1)
                postgres.start()

            runs: dict[str, Callable[[], Figures]] = {
                "kill-postgresql": lambda: on_postgres(
                    lambda url: killed_worker(kafka, url, folder / "kp", pace)
                ),
                "kill-sqlite": lambda: killed_worker(
                    kafka, f"sqlite:///{folder / 'books.db'}", folder / "ks", pace
                ),
                "postgresql-stopped": lambda: on_postgres(
                    lambda url: interrupted(
                        kafka,
                        url,
                        folder / "ps",
                        short,
                        what="database stopped immediately",
                        interrupt=restart_postgres,
                        times=5,
                    )
                ),
                "kafka-killed": lambda: on_postgres(
                    lambda url: interrupted(
                        kafka,
                        url,
                        folder / "kk",
                        short,
                        what="broker killed",
                        interrupt=kafka.restart,
                        times=3,
                    )
                ),
            }
            for what, run in runs.items():
                if given.only not in what:
                    continue
                began = time.monotonic()
                figures = run()
                failed = failed or bool(figures.mismatches)
                print(f"{figures} ({time.monotonic() - began:.0f} s)", flush=True)
                for line in figures.mismatches[:20]:
                    print(f"  {line}", flush=True)
    finally:
        kafka_server.close()
        postgres_server.close()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
