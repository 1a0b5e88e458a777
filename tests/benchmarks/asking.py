"""A client of the API: how long answers take, and how many events it can send.

Connections are kept, as clients keep them; one request waits for the one before.
"""

import http.client
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from tests.benchmarks.child import Found
from tests.benchmarks.process import Process

BASE = "/api/chargeback"
_WARM = 3
_TIMEOUT_S = 300


@contextmanager
def serving(url: str, folder: Path, labels: Sequence[str] = ()) -> Iterator[int]:
    """The port of a worker with the role `api` alone; totals are kept apart by those labels."""
    settings = {
        "CHARGEBACK_DATABASE__URL": url,
        "CHARGEBACK_API__PORT": "0",
    }
    if labels:
        settings["CHARGEBACK_GRAIN__LABELS"] = ",".join(labels)
    process = Process(("run", "--role", "api"), settings, folder)
    try:
        process.wait_for("api_listens")
        listens = process.logged("api_listens")
        assert listens is not None
        yield int(str(listens["api_port"]))
    finally:
        process.kill()


@contextmanager
def bare(content: bytes, folder: Path) -> Iterator[int]:
    """The port of a bare route `/bytes` that answers so."""
    path = folder / "answer"
    path.write_bytes(content)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bare_route", str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Client:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, target: str) -> bytes:
        self._connection.request("GET", target)
        return self._answer()

    def post(self, target: str, body: bytes, content_type: str = "application/json") -> bytes:
        self._connection.request("POST", target, body, {"Content-Type": content_type})
        return self._answer()

    def _answer(self) -> bytes:
        answered = self._connection.getresponse()
        content = answered.read()
        assert answered.status < 300, content[:1000]
        return content


def latencies(port: int, target: str, *, most: int, seconds: float) -> Found:
    """Percentiles in milliseconds of up to `most` answers, or of as many as come in that time."""
    took: list[float] = []
    with Client(port) as client:
        for _ in range(_WARM):
            client.get(target)
        end = time.perf_counter() + seconds
        while len(took) < most and (began := time.perf_counter()) < end:
            client.get(target)
            took.append(time.perf_counter() - began)
    percentiles = quantiles(took, n=100) if len(took) > 1 else took
    return {
        "p50": 1_000 * percentiles[len(percentiles) // 2],
        "p99": 1_000 * percentiles[-1],
        "answers": len(took),
    }


def post_each(port: int, events: Sequence[bytes], clients: int) -> float:
    """Events a second where each is a request of its own, of so many clients at once."""

    def send(number: int) -> None:
        with Client(port) as client:
            for event in events[number::clients]:
                client.post(f"{BASE}/usage", event)

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(send, range(clients)))
    return len(events) / (time.perf_counter() - began)


def post_batch(port: int, events: Sequence[bytes]) -> float:
    """Events a second where all of them are one request of JSON lines."""
    with Client(port) as client:
        began = time.perf_counter()
        client.post(f"{BASE}/usage/batch", b"\n".join(events), "application/x-ndjson")
        return len(events) / (time.perf_counter() - began)
