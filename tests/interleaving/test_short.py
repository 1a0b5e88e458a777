"""Some histories of each store; `make simulate-faults` runs as many as are asked for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.interleaving.grounds import Places, PostgresGround, ground_at
from tests.interleaving.history import Ground, run
from tests.support.postgres import PostgresServer

SHORT = {"sqlite": 130, "postgresql": 20}
_AT_ONCE = 10
_COVERED = (
    "closes",
    "closes taken over",
    "commits failed after",
    "commits failed before",
    "kills",
    "races of ingest against close",
    "rebalances",
    "reopens",
    "rounds published",
    "sends not stored",
    "sends stored, but nobody hears of it",
    "zombies woken",
)


@pytest.fixture(scope="module")
def on_sqlite() -> Iterator[Ground]:
    with ExitStack() as opened:
        yield opened.enter_context(ground_at(Places("sqlite", opened).new()))


@pytest.fixture(scope="module")
def on_postgresql(postgresql: PostgresServer) -> Iterator[Ground]:
    with ExitStack() as opened:
        yield opened.enter_context(ground_at(Places("postgresql", opened, postgresql).new()))


@pytest.mark.parametrize("first", range(0, SHORT["sqlite"], _AT_ONCE))
def test_books_and_topic_are_right_after_any_interleaving(first: int, on_sqlite: Ground) -> None:
    assert _wrong(on_sqlite, first) == {}


@pytest.mark.parametrize("first", range(0, SHORT["postgresql"], _AT_ONCE))
def test_they_are_so_where_workers_wait_for_each_other(first: int, on_postgresql: Ground) -> None:
    assert isinstance(on_postgresql, PostgresGround)
    assert _wrong(on_postgresql, first) == {}


def test_a_seed_replays_exactly(on_sqlite: Ground) -> None:
    _replay(7, on_sqlite)
    assert run(8, on_sqlite).trace != run(7, on_sqlite).trace


def test_it_does_so_where_a_server_says_who_waits(on_postgresql: Ground) -> None:
    _replay(2, on_postgresql)


def test_few_histories_cover_every_kind_of_trouble(on_sqlite: Ground) -> None:
    counts: Counter[str] = Counter()
    for seed in range(1000, 1040):
        counts += run(seed, on_sqlite).counts
        if all(counts[name] for name in _COVERED):
            return
    assert [name for name in _COVERED if not counts[name]] == []


def _wrong(ground: Ground, first: int) -> dict[int, list[str]]:
    outcomes = [run(seed, ground) for seed in range(first, first + _AT_ONCE)]
    return {outcome.seed: outcome.mismatches for outcome in outcomes if outcome.mismatches}


def _replay(seed: int, ground: Ground) -> None:
    first, again = run(seed, ground), run(seed, ground)
    assert (first.trace, first.steps, first.counts) == (again.trace, again.steps, again.counts)
