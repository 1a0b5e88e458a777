"""The database step of ingest beside bare bulk writes, in an empty database and in full ones.

`…_us` are microseconds of CPU an event: of this process, of its backend, and of all processes of
the server. Events are counted as they are sent, duplicates too, for the bare write as for ours,
which is given only what is left of them. Each run begins with a checkpoint, so WAL is near its
worst: every page that is touched is logged whole once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.child import Found
from tests.benchmarks.databases import Databases, Fill, PostgresDatabases
from tests.benchmarks.figures import Figure
from tests.benchmarks.usage_stream import MANY_TOTALS_A_DAY, TOTALS_A_DAY

Run = Callable[..., Found]
_Of = Mapping[str, Sequence[Found]]


@dataclass(frozen=True, slots=True)
class Size:
    """How many events are written in one go, in what batches, and how many there are before."""

    events: int
    batch: int
    stored: Mapping[str, int]


SIZE = Size(300_000, 12_000, {"2m": 2_000_000})
FULL = Size(300_000, 12_000, {"2m": 2_000_000, "20m": 20_000_000})
QUICK = Size(300, 100, {"2m": 500})


def on_sqlite(databases: Databases, *, runs: int, size: Size, run: Run) -> Iterator[Figure]:
    """Our step on SQLite beside executemany of INSERT OR IGNORE."""
    found: dict[str, list[Found]] = {"step": [], "bare": []}
    prepared = _prepared(run)
    for number in range(runs):
        for job, of_job in found.items():
            with databases.copy(prepared) as url:
                of_job.append(run(job, url, size.events // 2, size.batch, number))
    bare = _figure("sqlite_executemany", found["bare"])
    yield bare
    yield _figure("sqlite_vs_executemany", found["step"]).beside(bare)
    yield _figure("sqlite_step_worker_us", found["step"], "worker_us", "µs")
    yield _figure("sqlite_executemany_worker_us", found["bare"], "worker_us", "µs")
    yield _figure("sqlite_disk_bytes", found["step"], "disk_bytes", "bytes")


def on_postgresql(
    databases: PostgresDatabases, *, full: Mapping[str, str], runs: int, size: Size, run: Run
) -> Iterator[Figure]:
    """Our step on PostgreSQL beside COPY; `full` are databases with many events, by name."""
    found = _in_turn(databases, full, runs, size, run)
    yield from _beside_copy(found)
    yield from _many_totals(found)
    for name in full:
        yield from _growth(name, found)


def _in_turn(
    databases: PostgresDatabases, full: Mapping[str, str], runs: int, size: Size, run: Run
) -> _Of:
    """Each run takes all of them in turn, so that what disturbs it disturbs them alike."""
    found: dict[str, list[Found]] = {"step": [], "bare": [], "many": []}
    found |= {f"{job}_{name}": [] for name in full for job in ("step", "bare")}
    prepared = _prepared(run)
    jobs = {
        "step": ("step", TOTALS_A_DAY),
        "bare": ("bare", TOTALS_A_DAY),
        "many": ("step", MANY_TOTALS_A_DAY),
    }
    for number in range(runs):
        for name, (job, totals_a_day) in jobs.items():
            with databases.copy(prepared) as url:
                found[name].append(run(job, url, size.events, size.batch, number, totals_a_day))
        for name, url in full.items():
            # What one has stored there is a duplicate for the other: each has events of its own.
            for seed, job in enumerate(("step", "bare")):
                given = (size.events, size.batch, 1 + 2 * number + seed)
                found[f"{job}_{name}"].append(run(job, url, *given))
    return found


def _beside_copy(found: _Of) -> Iterator[Figure]:
    copy = _figure("ingest_copy", found["bare"])
    yield copy
    yield _figure("ingest_vs_copy", found["step"]).beside(copy)
    for key in ("worker_us", "backend_us", "server_us"):
        bare = _figure(f"ingest_copy_{key}", found["bare"], key, "µs")
        yield bare
        yield _beside(_figure(f"ingest_step_{key}", found["step"], key, "µs"), bare)
    for key in ("wal_bytes", "disk_bytes"):
        bare = _figure(f"copy_{key}_0", found["bare"], key, "bytes")
        yield bare
        yield _beside(_figure(f"{key}_0", found["step"], key, "bytes"), bare)


def _many_totals(found: _Of) -> Iterator[Figure]:
    usual = _figure("ingest_vs_copy", found["step"])
    yield _figure("ingest_many_totals", found["many"]).beside(usual)
    for key in ("worker_us", "backend_us"):
        usual = _figure(f"ingest_step_{key}", found["step"], key, "µs")
        yield _beside(_figure(f"ingest_many_totals_{key}", found["many"], key, "µs"), usual)


def _growth(name: str, found: _Of) -> Iterator[Figure]:
    step, bare = found[f"step_{name}"], found[f"bare_{name}"]
    yield _figure(f"growth_{name}", step).beside(_figure("ingest_vs_copy", found["step"]))
    yield _figure(f"growth_copy_{name}", bare).beside(_figure("ingest_copy", found["bare"]))
    for key in ("worker_us", "backend_us", "server_us"):
        empty = _figure(f"ingest_step_{key}", found["step"], key, "µs")
        yield _beside(_figure(f"growth_{key}_{name}", step, key, "µs"), empty)
    for key in ("wal_bytes", "disk_bytes"):
        empty = _figure(f"{key}_0", found["step"], key, "bytes")
        yield _beside(_figure(f"{key}_{name}", step, key, "bytes"), empty)
    yield _figure(f"copy_wal_bytes_{name}", bare, "wal_bytes", "bytes")
    yield _figure(f"learn_s_{name}", step, "learn_s", "s")


def _prepared(run: Run) -> Fill:
    return lambda url: run("prepare", url)


def _figure(name: str, found: Sequence[Found], key: str = "rate", unit: str = "events/s") -> Figure:
    return Figure(name, unit, tuple(run[key] for run in found))


def _beside(figure: Figure, other: Figure) -> Figure:
    """As `beside`, where the other may be too small to be seen."""
    return figure.beside(other) if other.value else figure
