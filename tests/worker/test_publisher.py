"""The publisher role: nothing is sent before the books are known to be those of their topics."""

import threading
from collections.abc import Callable

import pytest

from chargeback_worker.broker.errors import AccessDenied, BrokerUnreachable
from chargeback_worker.broker.memory import MemoryBroker, SendFault
from chargeback_worker.metrics import Metrics
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.store import Store, holds, outbox
from chargeback_worker.store.holds import Hold
from chargeback_worker.worker.publisher import InvoicePublisher
from tests.support.feed import Feed, usage
from tests.support.ledger import NOW_US, closed

HELD = BooksHeld(Hold(NOW_US, ("the topic is ahead",)))
LIMIT_S = 30.0


class Role:
    """A publisher in a thread; `answers` is what each comparison comes to, then all is well."""

    def __init__(self, store: Store, broker: MemoryBroker, *answers: Exception) -> None:
        self.said: list[str | None] = []
        self.compared = 0
        self._answers = list(answers)
        self._stop = threading.Event()
        publisher = InvoicePublisher(
            store, broker, "invoices", "me", Metrics("test"), lambda: NOW_US, self._compare
        )
        self._thread = threading.Thread(
            target=publisher.run, args=(self._stop, lambda waits=None: self.said.append(waits))
        )
        self._thread.start()

    def _compare(self) -> None:
        self.compared += 1
        if self._answers:
            raise self._answers.pop(0)

    def until(self, true: Callable[[], bool]) -> None:
        waiting = threading.Event()
        for _ in range(int(LIMIT_S / 0.02)):
            if true():
                return
            assert self._thread.is_alive(), "the role has ended"
            waiting.wait(0.02)
        raise AssertionError("in vain")

    def end(self) -> None:
        self._stop.set()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()


@pytest.fixture
def broker() -> MemoryBroker:
    broker = MemoryBroker()
    broker.create_topic("invoices", 1)
    return broker


@pytest.fixture
def books(store: Store) -> Store:
    """With two messages to be published."""
    Feed(store).send(usage("a"))
    closed(store)
    return store


def _waiting(store: Store) -> int:
    with store.read() as transaction:
        return outbox.backlog(transaction).messages


def test_nothing_is_sent_before_the_comparison_was_made(books: Store, broker: MemoryBroker) -> None:
    refusals = (HELD, BrokerUnreachable("memory", "it is away"), AccessDenied("memory", "no"))
    role = Role(books, broker, *refusals)
    role.until(lambda: _waiting(books) == 0)
    role.end()
    assert role.said[:3] == [str(refusal) for refusal in refusals]
    assert role.compared == 4


def test_after_a_failure_it_is_compared_again(books: Store, broker: MemoryBroker) -> None:
    broker.fail_sends(SendFault.LOST)
    role = Role(books, broker)
    role.until(lambda: _waiting(books) == 0)
    role.end()
    assert role.compared == 2


def test_it_waits_while_another_process_has_found_the_books_older(
    books: Store, broker: MemoryBroker
) -> None:
    with books.begin() as transaction:
        holds.put(transaction, Hold(NOW_US, ("the topic is ahead",)))
    role = Role(books, broker)
    role.until(lambda: role.said.count(str(HELD)) > 2)
    assert _waiting(books) == 2
    with books.begin() as transaction:
        holds.release(transaction)
    role.until(lambda: _waiting(books) == 0)
    role.end()
