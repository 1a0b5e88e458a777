"""The outbox: a `seq` for each key without a gap, and a round that stays within its bounds."""

import pytest

from chargeback_worker.invoicing.message import MessageType, OutboxMessage
from chargeback_worker.store import Store, outbox
from chargeback_worker.store.outbox import Arrived
from tests.support.ledger import OCTOBER


def _message(key: str, seq: int, payload: bytes = b"{}") -> OutboxMessage:
    headers = (("ce_id", f"{key}:{seq}"), ("content-type", "application/json"))
    return OutboxMessage(
        f"{key}:{seq}", key, seq, MessageType.INVOICE_STATUS_CHANGED, headers, payload
    )


def _put(store: Store, *messages: OutboxMessage) -> None:
    with store.begin() as transaction:
        outbox.insert(transaction, OCTOBER, 1, [(message, None) for message in messages], 7)


def test_a_key_counts_its_messages_from_one(store: Store) -> None:
    with store.begin() as transaction:
        assert outbox.next_seqs(transaction, ["b", "a", "a"]) == {"a": 1, "b": 1}
        assert outbox.next_seqs(transaction, ["b"]) == {"b": 2}
        assert outbox.next_seqs(transaction, []) == {}


def test_only_the_first_message_of_a_key_may_be_sent(store: Store) -> None:
    first, second, other = _message("k", 1), _message("k", 2), _message("o", 1)
    _put(store, second, first, other)

    with store.begin() as transaction:
        found = outbox.heads(transaction, 10)
        assert [row.message for row in found] == [first, other]
        arrived = [Arrived(row.message_id, 0, 5) for row in found]
        outbox.mark_published(transaction, arrived, 9)
        found = outbox.heads(transaction, 10)
        assert [row.message for row in found] == [second]
        outbox.park(transaction, {found[0].message_id: "too large"})
        assert outbox.heads(transaction, 10) == []
        backlog = outbox.backlog(transaction)
        assert (backlog.messages, backlog.parked, backlog.oldest_us) == (1, 1, 7)
        assert outbox.unpublished(transaction) == {(OCTOBER, 1): (1, 1)}


def test_a_round_is_bounded_in_messages_and_in_bytes_but_never_empty(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(store, *(_message(f"k{n}", 1, b"x" * 10) for n in range(5)))

    with store.read() as transaction:
        assert len(outbox.heads(transaction, 3)) == 3
        monkeypatch.setattr(outbox, "ROUND_BYTES_MAX", 25)
        assert len(outbox.heads(transaction, 10)) == 2
        monkeypatch.setattr(outbox, "ROUND_BYTES_MAX", 1)
        assert len(outbox.heads(transaction, 10)) == 1
