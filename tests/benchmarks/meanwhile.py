"""What ingest notices of the close of a large month: the longest that a batch takes meanwhile.

One process ingests small batches of the month that is closed by another, one at a time and as fast
as it can: into the month while it is open, as late usage afterwards. `quiet` is the same process
before the close begins. On SQLite there is one writer, so a batch waits for the whole close there;
on PostgreSQL only the short transaction that begins it is in the way, and the cores are shared.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

from chargeback_worker.pipeline import ingest as ingest_step
from chargeback_worker.store import Store, cursors
from tests.benchmarks import child
from tests.benchmarks.child import Found
from tests.benchmarks.databases import Databases
from tests.benchmarks.figures import Figure
from tests.benchmarks.usage_stream import NOW_US, PARTITIONS, batches, parts

_RECEIVERS = {"postgresql": 100_000, "sqlite": 10_000}
_RECEIVERS_QUICK = 30
_QUIET_S, _QUIET_QUICK_S = 5.0, 0.2
_BATCH = 500
# More than are ingested before any close has ended.
_EVENTS = 100_000_000
_BYTES_MAX = 1 << 20
_BEGUN, _CLOSING, _CLOSED = "begun", "closing", "closed"


def measure(
    databases: Databases, *, runs: int, quick: bool, run: Callable[..., Found] = child.run
) -> Iterator[Figure]:
    """The figures of one kind of store."""
    store = databases.name
    receivers = _RECEIVERS_QUICK if quick else _RECEIVERS[store]
    quiet_s = _QUIET_QUICK_S if quick else _QUIET_S
    found: list[Found] = []

    def fill(url: str) -> Found:
        return run("fill_receivers", url, receivers)

    for _ in range(runs):
        with databases.copy(fill) as url:
            found.append(_both(run, url, quiet_s))

    def figure(key: str, unit: str) -> Figure:
        return Figure(f"meanwhile_{key}_{store}", unit, tuple(run[key] for run in found))

    yield figure("close", "s")
    for key, unit in (("rate", "events/s"), ("p50", "ms"), ("p99", "ms"), ("longest", "ms")):
        quiet = figure(f"quiet_{key}", unit)
        yield quiet
        yield figure(key, unit).beside(quiet)


def _both(run: Callable[..., Found], url: str, quiet_s: float) -> Found:
    with TemporaryDirectory() as name, ThreadPoolExecutor(1) as beside:
        folder = Path(name)
        ingested = beside.submit(run, "ingest_meanwhile", url, name)
        while not (folder / _BEGUN).exists():
            assert not ingested.done(), ingested.result()
            time.sleep(0.05)
        time.sleep(quiet_s)
        (folder / _CLOSING).touch()
        try:
            closed = run("close_receivers", url, 0)
        finally:
            (folder / _CLOSED).touch()
        return ingested.result() | {"close": closed["close"]}


def ingest(url: str, folder: str) -> Found:
    """Batches until the close has ended; how long each took, before it and meanwhile."""
    store, signs = Store(url), Path(folder)
    with store.begin() as transaction:
        made = [
            cursors.make(transaction, cursors.Door.TOPIC, "meanwhile", number, now_us=NOW_US)
            for number in range(PARTITIONS)
        ]
    ids = [cursor.cursor_id for cursor in made]
    quiet: list[float] = []
    meanwhile: list[float] = []
    for batch in batches(_EVENTS, _BATCH, 1):
        began, took = time.perf_counter(), meanwhile if (signs / _CLOSING).exists() else quiet
        ingest_step.ingest(
            store,
            parts(batch, ids),
            zone=ZoneInfo("UTC"),
            quarantine_bytes_max=_BYTES_MAX,
            now_us=NOW_US,
        )
        took.append(time.perf_counter() - began)
        (signs / _BEGUN).touch()
        if meanwhile and (signs / _CLOSED).exists():
            break
    store.close()
    return _of(quiet, "quiet_") | _of(meanwhile, "")


def _of(took: Sequence[float], name: str) -> Found:
    percentiles = quantiles(took, n=100) if len(took) > 1 else took
    return {
        f"{name}rate": _BATCH * len(took) / sum(took),
        f"{name}p50": 1_000 * median(took),
        f"{name}p99": 1_000 * percentiles[-1],
        f"{name}longest": 1_000 * max(took),
    }
