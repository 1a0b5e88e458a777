"""Metrics: the names relied on, and a store that fails without taking the others along."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chargeback_worker.metrics import CATALOGUE, Figures, Metrics, Money
from chargeback_worker.metrics.page import page

RELIED_ON = {
    "chargeback_events_total": ("outcome",),
    "chargeback_consumer_lag": ("topic", "partition"),
    "chargeback_commit_seconds": (),
    "chargeback_event_delay_seconds": (),
    "chargeback_periods": ("state",),
    "chargeback_period_overdue_seconds": (),
    "chargeback_money_usd": ("kind", "period"),
    "chargeback_reconciliation_difference_usd": (),
    "chargeback_outbox_messages": (),
    "chargeback_outbox_oldest_seconds": (),
    "chargeback_quarantine_events": (),
    "chargeback_heartbeat_age_seconds": ("role",),
    "chargeback_store_up": (),
    "chargeback_build_info": ("version", "python"),
}
PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
FIGURES = Figures(
    periods={"open": 2, "closed": 5},
    overdue_since_us=40_000_000,
    open=Money(booked=1_500_000_000),
    last_closed=Money(booked=30_000_000_000, invoiced=29_500_000_000, unallocated=500_000_000),
    outbox_messages=3,
    outbox_oldest_us=90_000_000,
    quarantine_events=7,
    heartbeats_us={"ingest": 99_000_000},
)


class Clock:
    def __init__(self, now_us: int = 100_000_000) -> None:
        self.now_us = now_us

    def __call__(self) -> int:
        return self.now_us


def exposed(metrics: Metrics) -> dict[str, float]:
    """Every sample of the exposition, by series."""
    lines = metrics.exposition().decode().splitlines()
    return {
        series: float(value)
        for series, _, value in (line.rpartition(" ") for line in lines)
        if not series.startswith("#")
    }


def watched(read: Callable[[], Figures], clock: Clock, limit_s: float = 30) -> Metrics:
    metrics = Metrics("1.0")
    metrics.watch_store(read, clock, limit_s=limit_s)
    metrics.watch_roles(lambda: {"ingest": True, "publisher": False})
    return metrics


def test_the_names_relied_on_are_in_the_catalogue_with_their_labels() -> None:
    catalogue = {measure.name: measure.label_names for measure in CATALOGUE}
    assert {name: catalogue.get(name) for name in RELIED_ON} == RELIED_ON
    assert all(re.fullmatch(r"chargeback_[a-z_]+", name) for name in catalogue)
    assert all("team" not in labels and "user" not in labels for labels in catalogue.values())


def test_everything_in_the_catalogue_is_exposed_with_its_type_and_help() -> None:
    text = watched(lambda: FIGURES, Clock()).exposition().decode()
    for measure in CATALOGUE:
        assert f"# TYPE {measure.name} {measure.kind}\n" in text
        assert f"# HELP {measure.name} {measure.help}\n" in text
    assert "_created" not in text


def test_the_committed_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text() == page(), "make metrics-page writes it anew"


def test_the_page_names_each_metric_with_its_labels_and_what_to_do() -> None:
    told = page()
    for measure in CATALOGUE:
        section = told.split(f"### `{measure.name}`\n")[1].split("\n#")[0]
        assert f"What to do: {measure.todo}\n" in section
        assert measure.help in section
        assert all(f"- label `{label.name}`: {label.help}" in section for label in measure.labels)


def test_series_are_exposed_under_the_names_that_the_catalogue_says() -> None:
    text = watched(lambda: FIGURES, Clock()).exposition().decode()
    found = {
        sample.name for family in text_string_to_metric_families(text) for sample in family.samples
    }
    named = {name for measure in CATALOGUE for name in measure.series}
    # Of partitions and of what they hold there is nothing before a worker reads one.
    assert named - found == {"chargeback_consumer_lag", "chargeback_partition_stopped"}
    assert found <= named


def test_label_values_that_are_known_have_a_series_from_the_start() -> None:
    shown = exposed(watched(lambda: FIGURES, Clock()))
    for measure in CATALOGUE:
        for label in measure.labels:
            for value in label.values:
                said = f'{label.name}="{value}"'
                assert any(measure.name in one and said in one for one in shown), said


def test_a_role_that_waits_is_shown_as_not_ready() -> None:
    shown = exposed(watched(lambda: FIGURES, Clock()))
    assert shown['chargeback_role_ready{role="ingest"}'] == 1
    assert shown['chargeback_role_ready{role="publisher"}'] == 0


def test_two_registries_know_nothing_of_each_other() -> None:
    one, other = Metrics("1.0"), Metrics("1.0")
    one.events.labels("accepted").inc(5)
    assert exposed(one)['chargeback_events_total{outcome="accepted"}'] == 5
    assert exposed(other)['chargeback_events_total{outcome="accepted"}'] == 0
    assert exposed(other)['chargeback_events_total{outcome="conflict"}'] == 0


def test_the_figures_of_the_store_are_shown_in_base_units() -> None:
    shown = exposed(watched(lambda: FIGURES, Clock()))
    assert shown["chargeback_store_up"] == 1
    assert shown['chargeback_periods{state="closed"}'] == 5
    assert shown['chargeback_periods{state="closing"}'] == 0
    assert shown["chargeback_period_overdue_seconds"] == 60
    assert shown['chargeback_money_usd{kind="booked",period="open"}'] == 1.5
    assert shown['chargeback_money_usd{kind="invoiced",period="last_closed"}'] == 29.5
    assert shown["chargeback_reconciliation_difference_usd"] == 0
    assert shown["chargeback_outbox_oldest_seconds"] == 10
    assert shown['chargeback_heartbeat_age_seconds{role="ingest"}'] == 1


def test_registering_reads_nothing() -> None:
    def read() -> Figures:
        raise AssertionError

    watched(read, Clock())


def test_figures_are_kept_for_a_minute_and_ages_grow_meanwhile() -> None:
    reads: list[None] = []

    def read() -> Figures:
        reads.append(None)
        return FIGURES

    clock = Clock()
    metrics = watched(read, clock)
    exposed(metrics)
    clock.now_us += 59_000_000
    assert exposed(metrics)['chargeback_heartbeat_age_seconds{role="ingest"}'] == 60
    assert len(reads) == 1
    clock.now_us += 1_000_000
    exposed(metrics)
    assert len(reads) == 2
    clock.now_us -= 30_000_000
    exposed(metrics)
    assert len(reads) == 3


@pytest.mark.parametrize("error", [OSError("down"), MemoryError(), AssertionError()])
def test_a_failing_store_shows_up_0_and_nothing_else_disappears(error: Exception) -> None:
    answers: list[Figures | Exception] = [FIGURES, error, FIGURES]

    def read() -> Figures:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = Clock()
    metrics = watched(read, clock)
    before = exposed(metrics)
    clock.now_us += 60_000_000
    failing = exposed(metrics)
    assert failing["chargeback_store_up"] == 0
    assert failing.keys() == before.keys()
    assert failing["chargeback_quarantine_events"] == 7
    assert failing["chargeback_outbox_oldest_seconds"] == 70
    assert exposed(metrics)["chargeback_store_up"] == 1


def test_a_store_that_never_answered_takes_no_other_metric_along() -> None:
    def read() -> Figures:
        raise OSError

    shown = exposed(watched(read, Clock()))
    assert shown["chargeback_store_up"] == 0
    assert "chargeback_commit_seconds_count" in shown
    assert "chargeback_outbox_messages" not in shown


def test_a_read_that_takes_too_long_is_not_begun_twice_and_serves_the_next_scrape() -> None:
    begun: list[None] = []
    answer = threading.Event()
    answered = threading.Event()

    def read() -> Figures:
        begun.append(None)
        answer.wait(30)
        answered.set()
        return FIGURES

    metrics = watched(read, Clock(), limit_s=0)
    assert exposed(metrics)["chargeback_store_up"] == 0
    assert exposed(metrics)["chargeback_store_up"] == 0
    assert len(begun) == 1
    answer.set()
    assert answered.wait(30)
    for thread in threading.enumerate():
        if thread.name == "figures":
            thread.join(30)
    assert exposed(metrics)["chargeback_store_up"] == 1
    assert len(begun) == 1


class SlowStore:
    """Answers at once, until it is told to take its time."""

    def __init__(self) -> None:
        self.begun = 0
        self.answers = threading.Event()
        self.answers.set()
        self.error: Exception | None = None

    def read(self) -> Figures:
        self.begun += 1
        assert self.answers.wait(30)
        if self.error is not None:
            raise self.error
        return FIGURES


def ended() -> None:
    """Wait for the read that is under way."""
    for thread in threading.enumerate():
        if thread.name == "figures":
            thread.join(30)


def test_a_store_that_answers_slowly_is_up_while_its_figures_are_read_anew() -> None:
    store, clock = SlowStore(), Clock()
    metrics = watched(store.read, clock, limit_s=0)
    exposed(metrics)
    ended()
    for _ in range(3):
        clock.now_us += 61_000_000
        store.answers.clear()
        shown = exposed(metrics)
        assert shown["chargeback_store_up"] == 1
        assert shown["chargeback_quarantine_events"] == 7
        clock.now_us += 15_000_000
        assert exposed(metrics)["chargeback_store_up"] == 1
        store.answers.set()
        ended()
    assert store.begun == 4


def test_a_store_that_does_not_answer_is_down_two_minutes_after_it_last_did() -> None:
    store, clock = SlowStore(), Clock()
    metrics = watched(store.read, clock, limit_s=0)
    exposed(metrics)
    ended()
    store.answers.clear()
    clock.now_us += 119_000_000
    assert exposed(metrics)["chargeback_store_up"] == 1
    clock.now_us += 1_000_000
    assert exposed(metrics)["chargeback_store_up"] == 0
    store.answers.set()
    ended()


def test_a_store_that_failed_is_down_until_it_has_answered_again() -> None:
    store, clock = SlowStore(), Clock()
    metrics = watched(store.read, clock)
    exposed(metrics)
    clock.now_us += 60_000_000
    store.error = OSError("away")
    assert exposed(metrics)["chargeback_store_up"] == 0
    clock.now_us += 1_000_000
    assert exposed(metrics)["chargeback_store_up"] == 0
    store.error = None
    assert exposed(metrics)["chargeback_store_up"] == 1
