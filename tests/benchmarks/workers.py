"""Real workers on a topic, as processes: how fast they drain it, what they need, how they start.

Rates are taken from the first commit after all workers have committed once, to the commit with
which the topic is drained: what a start takes is a figure of its own.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from chargeback_worker.store import Store
from tests.benchmarks import cpu
from tests.benchmarks.child import Found, tell
from tests.benchmarks.process import Process

_LIMIT_S = 300.0
_LOOK_S = 0.02
# Fewer events only try the bench.
_TELLS = 100_000

Fill = Callable[[], object]


class Worker(Process):
    """A worker process that reads one topic into one database, as a static member of its group."""

    def __init__(self, url: str, servers: str, topic: str, folder: Path, number: int = 0) -> None:
        super().__init__(
            ("run", "--role", "ingest"),
            {
                "CHARGEBACK_DATABASE__URL": url,
                "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": servers,
                "CHARGEBACK_KAFKA__USAGE_TOPIC": topic,
                "CHARGEBACK_KAFKA__GROUP_ID": f"group-{url.rpartition('/')[2]}-{topic}",
                "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID": f"worker-{number}",
            },
            folder,
        )


@contextmanager
def running(
    url: str, servers: str, topic: str, folder: Path, count: int = 1
) -> Iterator[Sequence[Worker]]:
    """Workers of one group, killed at the end: they commit before they are measured."""
    with ExitStack() as stack:
        workers = []
        for number in range(count):
            workers.append(Worker(url, servers, topic, folder, number))
            stack.callback(workers[-1].kill)
        yield workers


def drain(
    url: str, servers: str, topic: str, events: int, folder: Path, *, count: int = 1
) -> Found:
    """Let workers read a topic of so many events to its end."""
    with running(url, servers, topic, folder, count) as workers, Progress(url, topic) as progress:
        for worker in workers:
            worker.wait_for("first_commit", unless=lambda: progress.now() >= events)
        first = at = _next(progress, progress.now(), events, workers)
        assert first < events or events < _TELLS, "drained before all had begun: take more events"
        began, used, served = time.monotonic(), _used(workers), cpu.of_server(progress.backend)
        while at < events:
            at = _next(progress, at, events, workers)
        took = time.monotonic() - began
        tell(f"{count} worker(s), {events:,} events", workers[0].began)
        drained, took = max(events - first, 1), max(took, _LOOK_S)
        return {
            "rate": drained / took,
            "worker_us": 1e6 * (_used(workers) - used) / drained,
            "server_us": 1e6 * (cpu.of_server(progress.backend) - served) / drained,
            "mb": max(cpu.peak_mb(worker.pid) for worker in workers),
        }


def _next(progress: "Progress", at: int, events: int, workers: Sequence[Worker]) -> int:
    """Wait until more than `at` is committed, or all; how much it is then."""
    deadline = time.monotonic() + _LIMIT_S
    while (now := progress.now()) <= at < events:
        for worker in workers:
            assert worker.running, worker.last_words
        assert time.monotonic() < deadline, workers[0].last_words
        time.sleep(_LOOK_S)
    return now


def _used(workers: Sequence[Worker]) -> float:
    return sum(cpu.of_process(worker.pid) for worker in workers)


def restarts(
    url: str, servers: str, topic: str, folder: Path, *, fills: Iterable[Fill]
) -> Sequence[float]:
    """Start a worker after each fill of the topic, and kill it when it has committed once: the
    seconds to that, of the first start too."""
    took = []
    for fill in fills:
        fill()
        with running(url, servers, topic, folder) as (worker,):
            took.append(worker.wait_for("first_commit"))
    return took


class Progress:
    """How many positions of a topic are committed, asked for by a connection of its own."""

    def __init__(self, url: str, topic: str) -> None:
        store = Store(url)
        address = store.engine.url.set(drivername="postgresql")
        store.close()
        self._connection = psycopg.connect(
            address.render_as_string(hide_password=False), autocommit=True
        )
        self._topic = topic
        self.backend = self._connection.info.backend_pid

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def now(self) -> int:
        row = self._connection.execute(
            "SELECT coalesce(sum(next_position), 0)::bigint FROM ingest_cursor WHERE name = %s",
            (self._topic,),
        ).fetchone()
        assert row is not None
        return int(row[0])
