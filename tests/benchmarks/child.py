"""One measurement in a process of its own, so that its peak memory is its own.

    python -m tests.benchmarks.child JOB URL [ARGUMENT…]

prints one JSON object, at last. Nothing but the job runs in it.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

Found = dict[str, float]
Job = Callable[..., Found]


def run(job: str, url: str, *arguments: object) -> Found:
    """What a job of `tests.benchmarks.jobs` found, run in a child."""
    command = [sys.executable, "-m", "tests.benchmarks.child", job, url, *map(str, arguments)]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    tell(job, began)
    # What the job logged comes before it.
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def tell(what: str, began: float) -> None:
    """Say what has just been done: a bench takes minutes."""
    print(f"  {what}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def peak_mb() -> float:
    """The most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # Unlike getrusage it does not count what the parent held when it started us.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Clock:
    """Seconds by the names of what took them."""

    def __init__(self) -> None:
        self.found: Found = {}
        self._began = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.found[name], self._began = now - self._began, now


def main(jobs: Mapping[str, Job]) -> None:
    name, url, *arguments = sys.argv[1:]
    found = jobs[name](url, *(int(text) if text.isdigit() else text for text in arguments))
    print(json.dumps(found | {"peak_mb": peak_mb()}))


if __name__ == "__main__":
    from tests.benchmarks.jobs import JOBS

    main(JOBS)
