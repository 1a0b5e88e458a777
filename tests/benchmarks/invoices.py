"""Closing a month of many receivers, and publishing its invoices to Apache Kafka.

`write` is what a close does after its computation: bookings, invoices with lines and numbers,
outbox rows and the commit. `copy` is the same rows put by COPY into the same tables, with indexes
and without guards; `produce` is the same messages sent by the client library alone, all at once.
What was published is read back: complete, and each receiver's messages in their order.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

from tests.benchmarks import brokers, child
from tests.benchmarks.brokers import Servers
from tests.benchmarks.child import Found
from tests.benchmarks.databases import Databases, Fill
from tests.benchmarks.figures import Figure
from tests.benchmarks.receivers import messages

# SQLite's stated limit is about 10,000 receivers.
_SIZES = {"postgresql": {"10k": 10_000, "100k": 100_000}, "sqlite": {"10k": 10_000}}
_QUICK = {"10k": 30}

_Run = Callable[..., Found]
_numbers = count(1)


def measure(
    databases: Databases,
    *,
    runs: int,
    quick: bool,
    run: _Run = child.run,
    kafka: Servers = brokers.kafka,
) -> Iterator[Figure]:
    """The figures of one kind of store; without Kafka, those of publishing are left out."""
    sizes = _QUICK if quick else _SIZES[databases.name]

    def filled(receivers: int) -> Fill:
        return lambda url: run("fill_receivers", url, receivers)

    fills = {size: filled(receivers) for size, receivers in sizes.items()}
    found: dict[str, list[Found]] = {size: [] for size in sizes}
    with kafka() as servers:
        # Each run takes all sizes in turn, so that what disturbs it disturbs them alike.
        for _ in range(runs):
            for size, fill in fills.items():
                with databases.copy(fill) as url:
                    found[size].append(_once(run, url, databases.name, servers, sizes[size]))
    for size, of_size in found.items():
        yield from _figures(f"{size}_{databases.name}", of_size)


def _once(run: _Run, url: str, store: str, servers: str | None, receivers: int) -> Found:
    closed = run("close_receivers", url, 0)
    assert closed["invoices"] == receivers, closed
    run("close_receivers", url, 1)
    found = closed | {"close_mb": closed["peak_mb"], "rate": receivers / closed["close"]}
    found["write_rate"] = receivers / closed["write"]
    if store == "postgresql":
        copied = run("copy_rows", url)
        # Of both months; the second is a tenth of the first.
        found["copy"] = copied["copy"] * receivers / (messages(receivers) - 2)
    if servers is None:
        return found
    topic, bare = (f"{name}-{next(_numbers)}" for name in ("invoices", "bare"))
    published = run("publish", url, servers, topic)
    checked = run("check_topic", url, servers, topic)
    assert published["messages"] == checked["messages"] == messages(receivers), published
    found |= {"publish": published["publish"], "publish_mb": published["peak_mb"]}
    found["publish_rate"] = published["messages"] / published["publish"]
    return found | {"produce": run("produce", url, servers, bare)["produce"]}


def _figures(name: str, found: Sequence[Found]) -> Iterator[Figure]:
    def figure(key: str, unit: str = "s") -> Figure:
        return Figure(f"invoices_{key}_{name}", unit, tuple(run[key] for run in found))

    yield figure("close")
    yield figure("rate", "invoices/s")
    yield figure("compute")
    write = figure("write")
    yield figure("write_rate", "invoices/s")
    if "copy" in found[0]:
        copy = figure("copy")
        yield copy
        yield write.beside(copy)
    else:
        yield write
    yield figure("close_mb", "MB")
    if "publish" in found[0]:
        produce = figure("produce")
        yield produce
        yield figure("publish").beside(produce)
        yield figure("publish_rate", "messages/s")
        yield figure("publish_mb", "MB")
