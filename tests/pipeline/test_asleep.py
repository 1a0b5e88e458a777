"""Whoever sleeps while it closes or publishes is cut off by PostgreSQL, and others get past."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.errors import Unavailable
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.pipeline import publish as publish_step
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.publish import PublishResult, publish
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, outbox, periods, schema
from tests.support.feed import Feed, usage
from tests.support.ledger import NOW_US, OCTOBER, TERMS, act, closed
from tests.support.postgres import PostgresServer

_WAIT_S = 20
TOPIC = "invoices"


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """October with usage."""
    store = Store(url)
    schema.upgrade(store)
    Feed(store).send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    yield store
    store.close()


@pytest.fixture
def other(url: str, store: Store) -> Iterator[Store]:
    """The same database for another worker, who does not wait for ever."""
    other = Store(url)
    sa.event.listen(other.engine, "connect", _wait_no_longer)
    yield other
    other.close()


def _wait_no_longer(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = '{_WAIT_S}s'")
    connection.commit()


def _sleep_in(
    monkeypatch: pytest.MonkeyPatch, holder: object, name: str, meanwhile: Callable[[], object]
) -> None:
    """Let the next call of a function, when it is done, wait for what others do."""
    real = getattr(holder, name)

    def asleep(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(holder, name, real)
        done = real(*arguments, **named)
        meanwhile()
        return done

    monkeypatch.setattr(holder, name, asleep)


def test_ingest_gets_past_who_sleeps_while_it_begins_to_close(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_step, "_START_IDLE_S", 1)
    heir, came = Feed(other, partition=1), list[str]()
    _sleep_in(monkeypatch, periods, "start_closing", lambda: came.extend(heir.send(usage("c"))))

    with pytest.raises(Unavailable):
        closed(store)

    assert came == ["accepted"]
    assert not closed(store).closed_before
    assert verify(store).clean


def test_another_closer_gets_past_who_sleeps_while_it_closes(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_step, "_FINISH_IDLE_S", 1)

    def take_over() -> None:
        deadline = time.monotonic() + _WAIT_S
        while True:
            try:
                assert not closed(other, owner="heir").closed_before
                return
            except CloseInProgress:
                assert time.monotonic() < deadline, "nobody ended the transaction of the sleeper"
                time.sleep(0.1)

    _sleep_in(monkeypatch, close_step, "check_conserved", take_over)

    with pytest.raises(Unavailable):
        close(store, OCTOBER, TERMS, act(), owner="sleeper", lease_s=0)

    assert closed(store).closed_before
    assert verify(store).clean


def test_another_publisher_gets_past_who_sleeps_with_the_lease_in_its_hands(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed(store)
    monkeypatch.setattr(publish_step, "_IDLE_S", 1)
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1)
    sent: list[int] = []

    def round_of(by: Store, owner: str) -> PublishResult | None:
        return publish(by, broker.producer(), TOPIC, owner=owner, now_us=NOW_US)

    def take_over() -> None:
        done = round_of(other, "heir")
        sent.append(done.sent if done else 0)

    _sleep_in(monkeypatch, outbox, "heads", take_over)

    with pytest.raises(Unavailable):
        round_of(store, "sleeper")

    assert sent == [2]
