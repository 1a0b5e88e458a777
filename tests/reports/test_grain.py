"""Which months have more totals than they should, and which label makes them."""

import pytest

from chargeback_worker.period import Period
from chargeback_worker.reports.grain import WidePeriod, wide_periods
from chargeback_worker.store import Store
from chargeback_worker.usage.event import Grain
from tests.support.feed import Feed, set_state, usage

OCTOBER = Period(2026, 10)
# What JSON writes with escapes, and what is a number or nothing.
MODELS = ['a "b"', "ä\\", "\U0001f9ff", "x" * 300]


@pytest.fixture
def feed(store: Store) -> Feed:
    """Six totals of October: four models, of one of them three runs, one without any label."""
    feed = Feed(store, grain=Grain("UTC", ("run", "model")))
    feed.send(usage("none"))
    for number, model in enumerate(MODELS):
        feed.send(usage(f"m{number}", metadata={"model": model, "run": 1}))
    feed.send(usage("again", metadata={"model": MODELS[0], "run": 2}))
    feed.send(usage("old", day="2026-09-30"))
    return feed


@pytest.mark.usefixtures("feed")
def test_a_month_that_passes_the_limit_is_named_with_the_label_of_most_values(
    store: Store,
) -> None:
    assert wide_periods(store, 6) == []
    assert wide_periods(store, 5) == [WidePeriod(OCTOBER, 6, "model", 4)]


@pytest.mark.usefixtures("feed")
def test_a_closed_month_is_as_it_is(store: Store) -> None:
    set_state(store, OCTOBER, "closed")
    assert wide_periods(store, 5) == []


def test_without_labels_none_is_to_blame(store: Store) -> None:
    Feed(store).send(usage("a"), usage("b", user_id="v"))
    assert wide_periods(store, 1) == [WidePeriod(OCTOBER, 2, None, 0)]


def test_of_nothing_there_is_none(store: Store) -> None:
    assert wide_periods(store, 1) == []
