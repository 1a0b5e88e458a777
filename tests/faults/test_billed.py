"""The oracle of closing and publishing finds each kind of damage, and none where there is none."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from chargeback_worker.broker import Message, TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.simulation import Anomalies, simulate
from chargeback_worker.store import Store
from chargeback_worker.store.tables import invoice
from chargeback_worker.usage.event import RawEvent
from tests.faults.billed import Used, billed
from tests.faults.books import due_at
from tests.support.feed import Feed
from tests.support.ledger import TERMS, act

_MONTHS = (Period(2026, 9), Period(2026, 10))
_TOPIC, _OTHER = "invoices", "damaged"


@dataclass
class Site:
    """Two closed months, the second with late usage of the first, and their messages."""

    store: Store
    broker: MemoryBroker
    used: list[Used]

    def wrong(self, topic: str = _TOPIC, times: int = 1) -> list[str]:
        closed = dict.fromkeys(_MONTHS, times)
        return billed(self.store, self.used, closed, self.broker, topic).wrong

    def messages(self) -> list[Message]:
        place = TopicPartition(_TOPIC, 0)
        reader = self.broker.reader()
        reader.assign([place])
        reader.seek_to_beginning([place])
        return reader.poll(0, 10_000)[place]

    def resent(self, messages: Sequence[Message]) -> list[str]:
        """What is wrong where those messages lie on the topic."""
        producer = self.broker.producer()
        for message in messages:
            headers = [(name, value or b"") for name, value in message.headers]
            producer.send(_OTHER, key=message.key, value=message.value, headers=headers)
        return self.wrong(_OTHER)


@pytest.fixture
def site(tmp_path: Path, sqlite_template: Path) -> Iterator[Site]:
    store = Store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'books.db')}")
    feed, used = Feed(store, now_us=to_us(due_at(_MONTHS[1]))), list[Used]()
    for month, late in zip(_MONTHS, (0.0, 0.2), strict=True):
        anomalies = Anomalies(duplicate=0.1, late=late, conflict=0, poison=0)
        sent = list(simulate(month, 60, seed=month.number, anomalies=anomalies))
        feed.send(*(RawEvent(one.value, one.headers, one.key) for one in sent))
        for one in sent:
            if one.truth.outcome == "accepted":
                used.append(Used(_MONTHS[0] if one.truth.late else month, one.truth))
        close(store, month, TERMS, act(to_us(due_at(month))), owner="closer")
    broker = MemoryBroker()
    for topic in (_TOPIC, _OTHER):
        broker.create_topic(topic, 1)
    producer, going_on = broker.producer(), True
    while going_on:
        done = publish(store, producer, _TOPIC, owner="publisher", now_us=to_us(due_at(month)))
        going_on = done is not None and done.sent > 0
    yield Site(store, broker, used)
    store.close()


def test_sound_books_and_a_sound_topic_are_found_sound(site: Site) -> None:
    assert site.wrong() == []
    assert any(used.origin == _MONTHS[0] for used in site.used)


def test_a_repeat_of_the_same_bytes_is_no_damage_also_after_what_followed_it(site: Site) -> None:
    messages = site.messages()
    assert site.resent([*messages, *messages[:3], messages[-1]]) == []


@pytest.mark.parametrize(
    ("damaged", "named"),
    [
        (lambda sent: sent[1:], "messages are missing"),
        (lambda sent: [*sent, _with(sent[0], value=b"{}")], "has other bytes"),
        (lambda sent: [*sent, _with(sent[0], key=b"team:x")], "has other bytes"),
        (lambda sent: [*sent, _renamed(sent[0])], "the books do not have it"),
        (lambda sent: [sent[-1], *sent[:-1]], "was told before its invoices"),
        (lambda sent: sent[::-1], "came in the order"),
    ],
    ids=["lost", "changed", "moved", "unknown", "end first", "backwards"],
)
def test_damage_of_the_topic_is_named(
    site: Site, damaged: Callable[[list[Message]], list[Message]], named: str
) -> None:
    assert any(named in line for line in site.resent(damaged(site.messages())))


def _with(message: Message, *, key: bytes | None = None, value: bytes | None = None) -> Message:
    return Message(
        message.partition,
        message.offset,
        key or message.key,
        value or message.value,
        message.headers,
        message.timestamp_ms,
    )


def _renamed(message: Message) -> Message:
    headers = tuple(
        (name, b"another" if name == "ce_id" else value) for name, value in message.headers
    )
    return Message(
        message.partition,
        message.offset,
        message.key,
        message.value,
        headers,
        message.timestamp_ms,
    )


def test_a_close_that_was_not_done_or_done_too_often_is_named(site: Site) -> None:
    assert any(line.startswith("closes: expected") for line in site.wrong(times=2))


def test_an_event_that_was_counted_otherwise_is_named(site: Site) -> None:
    first = site.used[0]
    site.used[0] = first._replace(truth=first.truth._replace(cost=first.truth.cost + 10**9))
    wrong = "; ".join(site.wrong())
    assert "invoices of 2026-09" in wrong
    assert "booked for 2026-09" in wrong


def test_an_invoice_that_is_not_as_it_must_be_is_named(site: Site) -> None:
    with site.store.begin() as transaction:
        transaction.execute(
            sa.update(invoice).where(invoice.c.number == "INV-202610-0001").values(status="pending")
        )
    assert site.wrong() == ["INV-202610-0001 is pending"]
