"""How an allocation grows with the totals of a month, and that events behind them do not matter.

A month of 10,000 pairs and 50 rules; see `tests.benchmarks.month`. Allocating is reading the
totals, summed by what the rules tell apart, and settling them. `apart` is the same where a rule
tells everything apart, so that nothing can be summed before. The close does all of it and writes
bookings, invoices and messages. Of usage it reads totals only, which each close here checks by its
statements: so the month of ten times the events has totals of ten times the records, and no rows
for the records themselves.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.benchmarks import child
from tests.benchmarks.child import Found
from tests.benchmarks.databases import Databases, Fill
from tests.benchmarks.figures import Figure

_PAIRS, _PAIRS_QUICK = 10_000, 20
_OF_PAIR = {"10k": 1, "100k": 10, "1m": 100}
_OF_PAIR_WITH_EVENTS = 20
_RECORDS = {"1m": 5, "10m": 50}

_Runs = Mapping[str, Sequence[Found]]
_Run = Callable[..., Found]


def measure(
    databases: Databases, *, runs: int, quick: bool, run: _Run = child.run
) -> Iterator[Figure]:
    """The figures of one kind of store; `quick` takes months so small that they tell nothing."""
    pairs, store = _PAIRS_QUICK if quick else _PAIRS, databases.name

    def filled(of_pair: int, records: int) -> Fill:
        return lambda url: run("fill", url, pairs, of_pair, records)

    def measured(job: str, fills: Mapping[str, Fill], runs: int = runs) -> _Runs:
        """Each run takes all of them in turn, so that what disturbs it disturbs them alike."""
        found: dict[str, list[Found]] = {name: [] for name in fills}
        for _ in range(runs):
            for name, fill in fills.items():
                with databases.copy(fill) as url:
                    found[name].append(run(job, url))
        return found

    sizes = {size: filled(of_pair, 1) for size, of_pair in _OF_PAIR.items()}
    allocated = measured("allocate", sizes)
    apart = measured("apart", {"1m": sizes["1m"]}, 1)
    yield from _allocations(store, allocated, apart["1m"])
    yield from _closes(store, measured("close", sizes))
    events = {size: filled(_OF_PAIR_WITH_EVENTS, records) for size, records in _RECORDS.items()}
    of_events = measured("close", events)
    one, ten = (
        _figure(f"close_{size}_events_{store}", of_events[size], "close") for size in events
    )
    yield one
    yield ten.beside(one)


def _allocations(store: str, by_size: _Runs, apart: Sequence[Found]) -> Iterator[Figure]:
    smaller: Figure | None = None
    for size, found in by_size.items():
        name = f"allocate_{size}"
        figure = Figure(f"{name}_{store}", "s", _seconds(found))
        yield figure if smaller is None else figure.beside(smaller)
        for part in ("decide", "read", "settle"):
            yield _figure(f"{name}_{part}_{store}", found, part).beside(figure)
        yield _figure(f"{name}_mb_{store}", found, "peak_mb", "MB")
        yield _figure(f"{name}_groups_{store}", found[:1], "groups", "groups")
        yield _figure(f"{name}_rows_{store}", found[:1], "rows", "rows")
        smaller = figure
    assert smaller is not None
    yield Figure(f"allocate_1m_apart_{store}", "s", _seconds(apart)).beside(smaller)
    yield _figure(f"allocate_1m_apart_mb_{store}", apart, "peak_mb", "MB")


def _seconds(found: Sequence[Found]) -> tuple[float, ...]:
    return tuple(run["decide"] + run["read"] + run["settle"] for run in found)


def _closes(store: str, by_size: _Runs) -> Iterator[Figure]:
    smaller: Figure | None = None
    for size, found in by_size.items():
        figure = _figure(f"close_{size}_{store}", found, "close")
        yield figure if smaller is None else figure.beside(smaller)
        smaller = figure
        yield _figure(f"close_{size}_mb_{store}", found, "peak_mb", "MB")
        yield _figure(f"close_{size}_invoices_{store}", found[:1], "invoices", "invoices")


def _figure(name: str, found: Sequence[Found], key: str, unit: str = "s") -> Figure:
    return Figure(name, unit, tuple(run[key] for run in found))
