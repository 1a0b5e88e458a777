"""Whoever sleeps in a transaction is cut off by PostgreSQL, and a month is closed all the same."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest
import sqlalchemy as sa

import chargeback_worker.store as store_room
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.errors import Unavailable
from chargeback_worker.period import to_us
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.pipeline import mark_overdue as overdue_step
from chargeback_worker.pipeline.allocate import allocate
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.create_invoice import create_invoice
from chargeback_worker.pipeline.due import note_ends
from chargeback_worker.pipeline.prune import prune
from chargeback_worker.pipeline.publish import PublishResult, publish
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.pipeline.save_rules import delete_rule, save_rules
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, allocations, audit, outbox, periods, schema
from tests.support.feed import Feed, usage
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, NOW_US, OCTOBER, TERMS, act, closed
from tests.support.postgres import PostgresServer
from tests.support.upkeep import wait_until_one_waits

_WAIT_S = 20
_PROJECTION = "chargeback_worker.pipeline.closing.projection.SETTLING_IDLE_S"
_ALLOCATE = "chargeback_worker.pipeline.allocate.SETTLING_IDLE_S"
_FAR_US = to_us(datetime(2027, 6, 1, tzinfo=UTC))
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
    monkeypatch.setattr(store_room, "IDLE_S", 1)
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
    monkeypatch.setattr(close_step, "SETTLING_IDLE_S", 1)

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
    monkeypatch.setattr(store_room, "IDLE_S", 1)
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


@dataclass(frozen=True)
class Sleep:
    """`step` falls asleep after its next call of `holder.name`, with the locks that it then has."""

    step: Callable[[Store], object]
    holder: object = audit
    name: str = "append"


_RULE = {"rule_id": "r", "rule_type": "by_usage"}
_TEAMS = {"teams": [{"team_id": "A", "members": []}]}
_SLEEPS = {
    "writing rules": Sleep(lambda store: save_rules(store, _RULE, act())),
    "deleting a rule": Sleep(lambda store: delete_rule(store, "there", act())),
    "writing the directory": Sleep(lambda store: apply_directory(store, _TEAMS, act())),
    "reopening": Sleep(lambda store: reopen(store, OCTOBER, act(reason="a rule was missing"))),
    "pruning": Sleep(lambda store: list(prune(store, timedelta(0), act(_FAR_US)))),
    "making a draft": Sleep(
        lambda store: create_invoice(store, NOVEMBER, Requested(Pair("A")), TERMS, act())
    ),
    "allocating": Sleep(
        lambda store: allocate(store, NOVEMBER, TERMS, act()), allocations, "replace"
    ),
    "noting what is due": Sleep(
        lambda store: note_ends(store, NOVEMBER, lambda: {}, AFTER_NOVEMBER_US),
        periods,
        "note_due",
    ),
    "marking what is overdue": Sleep(
        lambda store: overdue_step.mark_overdue(store, _FAR_US), overdue_step, "tell"
    ),
}


@pytest.mark.parametrize("doing", ["making a draft", "allocating"])
def test_ingest_goes_on_while_a_close_waits_for_somebody_who_is(
    doing: str, url: str, store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    heir, came, done = Feed(other, partition=1), list[str](), list[bool]()
    heir.send(usage("n", "1", team="A", day="2026-11-02"))
    third = Store(url)
    closer = Thread(
        target=lambda: done.append(closed(third, NOVEMBER, now_us=AFTER_NOVEMBER_US).closed_before)
    )

    def meanwhile() -> None:
        closer.start()
        wait_until_one_waits(other)
        came.extend(heir.send(usage("m", "1", team="A", day="2026-11-03")))
        assert done == []

    sleep = _SLEEPS[doing]
    _sleep_in(monkeypatch, sleep.holder, sleep.name, meanwhile)
    sleep.step(store)
    closer.join(_WAIT_S)
    third.close()

    assert (came, done) == (["accepted"], [False])
    assert verify(store).clean


@pytest.mark.parametrize("doing", _SLEEPS)
def test_a_month_is_closed_although_somebody_sleeps_while(
    doing: str, store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1)
    save_rules(store, {"rule_id": "there", "rule_type": "by_usage"}, act())
    closed(store)
    publish(store, broker.producer(), TOPIC, owner="publisher", now_us=NOW_US)
    Feed(store).send(*(usage(f"n{team}", "1", team=team, day="2026-11-02") for team in "AB"))
    sleep = _SLEEPS[doing]
    for limit in ("chargeback_worker.store.IDLE_S", _PROJECTION, _ALLOCATE):
        monkeypatch.setattr(limit, 1)
    done: list[bool] = []

    def close_it() -> None:
        done.append(closed(other, NOVEMBER, now_us=AFTER_NOVEMBER_US).closed_before)

    _sleep_in(monkeypatch, sleep.holder, sleep.name, close_it)
    with pytest.raises(Unavailable):
        sleep.step(store)

    assert done == [False]
    assert verify(store).clean
