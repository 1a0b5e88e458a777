"""The poke of the scheduler role."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
import structlog

from chargeback_worker import app
from chargeback_worker.app.closing import close_by_hand
from chargeback_worker.broker.errors import BrokerUnreachable
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.cli import run
from chargeback_worker.errors import NotFound, Unavailable
from chargeback_worker.metrics import Metrics
from chargeback_worker.period import Period, from_us
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.pipeline.close import CloseResult, start_closing
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.pipeline.closing.may_close import PeriodNotOver
from chargeback_worker.settings import load
from chargeback_worker.store.closes import Close
from chargeback_worker.store.holds import Hold
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.tables import billing_period
from chargeback_worker.worker.scheduler import Scheduler
from tests.support.feed import Feed, usage
from tests.support.ledger import NOW_US, OCTOBER, TERMS, act, closed, period_row, set_lease

HELD = BooksHeld(Hold(0, ("the topic is ahead",)))


def _as_ever() -> None:
    """The books are those of their topics."""


def _close(month: int, *, closed_before: bool = False) -> CloseResult:
    done = Close(Period(2026, month), 1, 0, "scheduler", 0, 0, 0, 0)
    return CloseResult(done, closed_before)


def test_a_poke_closes_all_that_is_due() -> None:
    due = [_close(2), _close(1)]
    scheduler = Scheduler(lambda: due.pop() if due else None, lambda: 0, Metrics("test"), _as_ever)
    scheduler.poke()
    assert not due


def test_how_long_a_close_took_is_measured_where_it_was_ours() -> None:
    ours = CloseResult(_close(1).close, allocation_s=2.0, invoicing_s=3.0)
    due, metrics = [_close(2, closed_before=True), ours], Metrics("test")

    Scheduler(lambda: due.pop() if due else None, lambda: 0, metrics, _as_ever).poke()

    told = metrics.exposition().decode()
    assert "chargeback_allocation_seconds_sum 2.0\n" in told
    assert "chargeback_invoicing_seconds_sum 3.0\n" in told
    assert "chargeback_invoicing_seconds_count 1.0\n" in told


def test_a_poke_marks_all_that_is_overdue_also_where_a_close_fails() -> None:
    left = [7, 1000, 1000]
    metrics = Metrics("test")

    def fails() -> CloseResult:
        raise NotFound("no such thing", "look elsewhere")

    Scheduler(fails, lambda: left.pop() if left else 0, metrics, _as_ever).poke()

    assert not left


def test_a_close_is_tried_also_where_marking_fails() -> None:
    due = [_close(1)]
    metrics = Metrics("test")

    def fails() -> int:
        raise ValueError

    Scheduler(lambda: due.pop() if due else None, fails, metrics, _as_ever).poke()

    assert not due
    assert metrics.close_failures._value.get() == 0


def test_a_worker_that_ends_begins_no_further_close() -> None:
    stop = threading.Event()
    closed: list[CloseResult] = []

    def close_due() -> CloseResult:
        # There is always another month; the role is asked to end during the first.
        closed.append(_close(1))
        stop.set()
        scheduler._ending.wait(30)
        return closed[-1]

    scheduler = Scheduler(close_due, lambda: 0, Metrics("test"), _as_ever)
    role = threading.Thread(target=scheduler.run, args=(stop, lambda waits_for=None: None))
    role.start()
    role.join(30)
    assert not role.is_alive()
    assert len(closed) == 1


def test_nothing_is_closed_nor_told_before_the_books_are_compared_with_their_topics() -> None:
    due, left = [_close(1)], [7]
    refusals = [BrokerUnreachable("memory", "it is away"), ValueError(), HELD]
    metrics = Metrics("test")
    said: list[str | None] = []

    def compare() -> None:
        if refusals:
            raise refusals.pop()

    scheduler = Scheduler(
        lambda: due.pop() if due else None, lambda: left.pop() if left else 0, metrics, compare
    )
    for _ in range(3):
        scheduler.poke()
        said.append(scheduler._trouble)
        assert due
        assert left
    assert "chargeback db resume" not in str(said[2])
    assert "older than their topics: the topic is ahead" in str(said[0])
    # It waits for a person or for the broker; no close has failed.
    assert metrics.close_failures._value.get() == 0
    scheduler.poke()
    assert (due, left, scheduler._trouble) == ([], [], None)


def test_after_a_failure_the_books_are_compared_again() -> None:
    compared: list[None] = []
    fails = [NotFound("no such thing", "look elsewhere")]

    def close_due() -> None:
        if fails:
            raise fails.pop()

    scheduler = Scheduler(close_due, lambda: 0, Metrics("test"), lambda: compared.append(None))
    for _ in range(4):
        scheduler.poke()
    assert len(compared) == 2


def test_only_who_has_closed_a_month_says_so() -> None:
    due = [_close(2, closed_before=True), _close(1)]
    scheduler = Scheduler(lambda: due.pop() if due else None, lambda: 0, Metrics("test"), _as_ever)
    with structlog.testing.capture_logs() as told:
        scheduler.poke()
    assert [(line["action"], line["period"], line["revision"]) for line in told] == [
        ("period_closed", "2026-01", 1),
        ("period_found_closed", "2026-02", 1),
    ]


@pytest.fixture
def october(ready_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[app.App]:
    """A worker's view of books of which October is due, and a broker without any usage."""
    broker = MemoryBroker()
    for topic in ("usage-events", "invoices"):
        broker.create_topic(topic, 1)
    monkeypatch.setattr(app, "open_broker", lambda settings: broker)
    monkeypatch.setattr(app, "now_us", lambda: NOW_US)
    monkeypatch.setattr(app.App, "closing_now_us", lambda self: NOW_US)
    settings = load({"database.url": ready_url, "billing.first_period": "2026-10"}, {})
    with app.opened(settings) as opened:
        Feed(opened.store).send(usage("a"))
        yield opened


def test_a_close_that_fails_is_alarmed_and_tried_again_later(
    october: app.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = october.metrics
    scheduler = Scheduler(lambda: run.close_due(october), lambda: 0, metrics, _as_ever)

    def poked() -> list[str]:
        with structlog.testing.capture_logs() as told:
            scheduler.poke()
        return [line["action"] for line in told]

    def fail(*_: object) -> None:
        raise NotFound("no such rate", "look elsewhere")

    with monkeypatch.context() as patched:
        patched.setattr(close_step, "check_conserved", fail)
        assert poked() == ["close_failed"]
    assert scheduler._trouble == "no such rate"
    row = period_row(october.store)
    assert (row.state, row.failures, row.failure) == (PeriodState.OPEN, 1, "no such rate")
    # Its time has not come: it is not tried, and that is no failure.
    assert poked() == ["period_waits"]
    assert metrics.close_failures._value.get() == 1
    with october.store.begin() as transaction:
        transaction.execute(sa.update(billing_period).values(retry_us=transaction.now_us()))
    assert poked() == ["period_closed"]
    assert metrics.close_failures._value.get() == 1


def test_a_database_or_broker_that_is_away_before_a_close_has_begun_is_no_failed_close(
    october: app.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> int:
        raise Unavailable("it is away")

    scheduler = Scheduler(lambda: run.close_due(october), lambda: 0, october.metrics, _as_ever)
    for what in ("closing_now_us", "usage_ends", "compare_books"):
        with monkeypatch.context() as patched:
            patched.setattr(app.App, what, away)
            scheduler.poke()
        assert scheduler._trouble == "it is away", what
    assert period_row(october.store).failures == 0
    assert october.metrics.close_failures._value.get() == 0


def test_a_month_that_another_closes_since_it_was_found_due_is_found_closed(
    october: app.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = october.compare_books

    def overtaken() -> None:
        compare()
        closed(october.store)

    monkeypatch.setattr(october, "compare_books", overtaken)
    done = run.close_due(october)
    assert done is not None
    assert (done.close.period, done.closed_before) == (OCTOBER, True)
    assert run.close_due(october) is None


def test_a_month_that_another_is_closing_is_waited_for_and_has_not_failed(
    october: app.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = october.compare_books

    def overtaken() -> None:
        compare()
        start_closing(october.store, OCTOBER, TERMS, act(), owner="another")

    with monkeypatch.context() as patched:
        patched.setattr(october, "compare_books", overtaken)
        with structlog.testing.capture_logs() as told:
            assert run.close_due(october) is None
    assert [(line["action"], line["cause"]) for line in told] == [("period_waits", "closing")]
    set_lease(october.store, OCTOBER, lasting_s=0)
    done = run.close_due(october)
    assert done is not None
    assert (done.close.period, done.closed_before) == (OCTOBER, False)


@dataclass(frozen=True)
class Wrong:
    """A worker whose own clock is wrong, with usage in a month that by its database's is over."""

    app: app.App
    this_month: Period
    due: Period


@pytest.fixture(
    params=[pytest.param(2126, id="a century ahead"), pytest.param(1926, id="a century behind")]
)
def wrong(
    ready_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Wrong]:
    broker = MemoryBroker()
    broker.create_topic("usage-events", 1)
    broker.create_topic("invoices", 1)
    monkeypatch.setattr(app, "open_broker", lambda settings: broker)
    this_month = Period.of(app.now().date())
    due = Period.from_number(this_month.number - 2)
    settings = load({"database.url": ready_url, "billing.first_period": str(due)}, {})
    with app.opened(settings) as opened:
        Feed(opened.store).send(usage("a", day=f"{due}-14"))
        monkeypatch.setattr(app, "now", lambda: datetime(request.param, 6, 1, tzinfo=UTC))
        yield Wrong(opened, this_month, due)


def test_the_databases_clock_says_which_month_is_due(wrong: Wrong) -> None:
    done: list[Close] = []
    while (found := run.close_due(wrong.app)) is not None:
        done.append(found.close)

    # Of the month in between it depends on the day whether it is due yet.
    assert [close.period for close in done] in (
        [wrong.due],
        [wrong.due, wrong.due.next()],
    )
    assert {Period.of(from_us(close.closed_us).date()) for close in done} <= {
        wrong.this_month,
        wrong.this_month.next(),
    }


def test_the_databases_clock_says_whether_a_month_is_over_for_a_person_too(wrong: Wrong) -> None:
    with pytest.raises(PeriodNotOver):
        close_by_hand(wrong.app, wrong.this_month.next(), wrong.app.act(), forced=False)
    done = close_by_hand(wrong.app, wrong.due, wrong.app.act(), forced=False)
    assert done.close.period == wrong.due
    assert from_us(done.close.closed_us).year not in (2126, 1926)
