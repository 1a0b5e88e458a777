"""The HTTP API: that reads do not grow with the events behind them, and what sending over it costs.

A month of 200,000 totals, 10,000 pairs and 50 rules is asked for with one million stored records
behind it, and with ten. Beside each answer is a bare route of the same framework that returns the
same bytes: what the framework, the socket and the client take of the time. Sending is measured with
one event a request, by one client, eight and 64, and with all events in one request, beside a
worker that reads as many from a topic.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from tests.benchmarks import asking, brokers, child, workers
from tests.benchmarks.asking import BASE
from tests.benchmarks.brokers import Servers
from tests.benchmarks.child import Found
from tests.benchmarks.databases import Databases, Fill, PostgresDatabases
from tests.benchmarks.figures import Figure, Finding, LeftOut
from tests.benchmarks.ingest_database import Run
from tests.benchmarks.month import LABELS, PERIOD, team_id, user_id
from tests.benchmarks.usage_stream import usage

_MOST = 10_000_000
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Load:
    """The month: its pairs, totals of each, and records behind each total by name; how many answers
    are waited for, and how long at most; how many events are sent one by one, by so many clients
    each, and how many at once or by a topic."""

    pairs: int
    of_pair: int
    records: Mapping[str, int]
    answers: int
    seconds: float
    one_by_one: Mapping[int, int]
    at_once: int


LOAD = Load(
    10_000, 20, {"1m": 5, "10m": 50}, 1_000, 20.0, {1: 2_000, 8: 4_000, 64: 10_000}, 200_000
)
QUICK = Load(20, 2, {"1m": 1, "10m": 2}, 4, 5.0, {1: 8, 8: 8, 64: 64}, 40)
_READS = {
    "summary": f"{BASE}/usage/summary?period={PERIOD}",
    "summary_team": f"{BASE}/usage/summary?period={PERIOD}&team_id={team_id(3)}",
    "report_team": f"{BASE}/reports/team/{team_id(3)}?period={PERIOD}",
    "report_user": f"{BASE}/reports/user/{user_id(3)}?period={PERIOD}",
}


def measure(
    databases: Databases,
    *,
    runs: int,
    quick: bool,
    run: Run = child.run,
    kafka: Servers = brokers.kafka,
) -> Iterator[Finding]:
    """The figures of PostgreSQL alone: where one asks for millions of events, it is there."""
    if not isinstance(databases, PostgresDatabases):
        return
    load = QUICK if quick else LOAD
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        filled = {
            size: stack.enter_context(databases.new(_filled(run, load, records)))
            for size, records in load.records.items()
        }
        yield from _reads(filled, load, runs, folder)
        servers = stack.enter_context(kafka())
        yield from _sends(databases, servers, load, runs, run, folder)


def _filled(run: Run, load: Load, records: int) -> Fill:
    def fill(url: str) -> Found:
        run("fill", url, load.pairs, load.of_pair, records)
        return run("put_records", url, records)

    return fill


def _reads(filled: Mapping[str, str], load: Load, runs: int, folder: Path) -> Iterator[Figure]:
    """Each run asks all of them in turn, so that what disturbs it disturbs them alike."""
    found: dict[tuple[str, str], list[Found]] = {}
    for _ in range(runs):
        with ExitStack() as stack:
            ports = {
                size: stack.enter_context(asking.serving(url, folder, LABELS))
                for size, url in filled.items()
            }
            for name, target in _READS.items():
                for size, port in ports.items():
                    found.setdefault((name, size), []).append(_asked(port, target, load))
                found.setdefault((name, "bare"), []).append(
                    _asked_bare(next(iter(ports.values())), target, load, folder)
                )
    for name in _READS:
        yield from _figures_of_read(
            name, {at: runs for (of, at), runs in found.items() if of == name}
        )


def _asked(port: int, target: str, load: Load) -> Found:
    return asking.latencies(port, target, most=load.answers, seconds=load.seconds)


def _asked_bare(port: int, target: str, load: Load, folder: Path) -> Found:
    with asking.Client(port) as client:
        content = client.get(target)
    with asking.bare(content, folder) as bare:
        return _asked(bare, "/bytes", load) | {"bytes": len(content)}


def _figures_of_read(name: str, found: Mapping[str, Sequence[Found]]) -> Iterator[Figure]:
    sizes = [size for size in found if size != "bare"]
    yield _figure(f"api_{name}_bytes", found["bare"], "bytes", "bytes")
    yield _figure(f"api_{name}_answers", found[sizes[0]], "answers", "answers")
    for key in ("p50", "p99"):
        bare = _figure(f"api_{name}_{key}_bare", found["bare"], key, "ms")
        yield bare
        first = _figure(f"api_{name}_{key}_{sizes[0]}", found[sizes[0]], key, "ms")
        yield first.beside(bare)
        for size in sizes[1:]:
            yield _figure(f"api_{name}_{key}_{size}", found[size], key, "ms").beside(first)


def _sends(
    databases: PostgresDatabases,
    servers: str | None,
    load: Load,
    runs: int,
    run: Run,
    folder: Path,
) -> Iterator[Finding]:
    def prepare(url: str) -> Found:
        return run("prepare", url)

    found: dict[str, list[float]] = {
        **{f"post_{clients}": [] for clients in load.one_by_one},
        "batch": [],
    }
    topic = f"api-{next(_numbers)}"
    if servers is not None:
        found["topic"] = []
        run("fill_topic", servers, topic, load.at_once, 1)
    for _ in range(runs):
        made = _distinct()
        one_by_one = {
            clients: list(islice(made, size)) for clients, size in load.one_by_one.items()
        }
        at_once = list(islice(made, load.at_once))
        with databases.copy(prepare) as url, asking.serving(url, folder) as port:
            for clients, events in one_by_one.items():
                found[f"post_{clients}"].append(asking.post_each(port, events, clients))
            found["batch"].append(asking.post_batch(port, at_once))
        if servers is not None:
            with databases.copy(prepare) as url:
                drained = workers.drain(url, servers, topic, load.at_once, folder)
            found["topic"].append(drained["rate"])
    of_topic: Figure | None = None
    if servers is None:
        yield LeftOut("api_topic", "no Kafka was found")
    else:
        of_topic = Figure("api_topic", "events/s", tuple(found.pop("topic")))
        yield of_topic
    for name, rates in found.items():
        figure = Figure(f"api_{name}", "events/s", tuple(rates))
        yield figure if of_topic is None else figure.beside(of_topic)


def _distinct() -> Iterator[bytes]:
    """Events with ids that come once: what is sent again is another question."""
    known: set[str] = set()
    for sent in usage(_MOST, 2):
        usage_id = json.loads(sent.value)["usage_id"]
        if usage_id not in known:
            known.add(usage_id)
            yield sent.value


def _figure(name: str, found: Sequence[Found], key: str, unit: str) -> Figure:
    return Figure(name, unit, tuple(run[key] for run in found))
