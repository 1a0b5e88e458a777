"""One round of publishing: read what may be sent, send it, mark what has arrived.

No transaction is open while the broker is waited for. A message is sent again if marking it did
not happen, with the same bytes, id and seq; the next one of its key is sent only after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from chargeback_worker.broker import Delivery, Producer
from chargeback_worker.broker.errors import MessageRefused
from chargeback_worker.errors import Unavailable
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.pipeline.closing.held import refuse_held
from chargeback_worker.store import Store, invoices, leases, outbox
from chargeback_worker.store.leases import Lease
from chargeback_worker.store.outbox import Arrived, Waiting

LEASE = "publisher"
# Longer than the producer goes on trying a message: no other publisher sends it meanwhile.
LEASE_S = 90.0
FLUSH_S = 65.0
KEYS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What a round did: messages that arrived, and why each receiver was parked that now is.

    `failure` is what ended the round early: a new producer is needed.
    """

    sent: int
    refusals: tuple[str, ...] = ()
    failure: Unavailable | None = None

    @property
    def parked(self) -> int:
        """Receivers newly parked."""
        return len(self.refusals)


@dataclass(slots=True)
class _Sent:
    """What became of the messages of a round."""

    arrived: list[Arrived]
    acknowledged: list[str]
    refused: dict[int, str]
    failure: Unavailable | None = None


def publish(
    store: Store,
    producer: Producer,
    topic: str,
    *,
    owner: str,
    now_us: int,
    lease_s: float = LEASE_S,
    flush_s: float = FLUSH_S,
) -> PublishResult | None:
    """Send the first unpublished message of up to 1,000 keys. `owner` names this publisher alone.

    None while another publisher is at work, also where it took over before this round ended: what
    was sent is then sent again by it.

    Raises BooksHeld, and Unavailable where the database did not answer; the broker's is in the
    result.
    """
    with store.begin() as transaction:
        refuse_held(transaction)
        lease = leases.take(transaction, LEASE, owner, lease_s)
        if lease is None:
            return None
        waiting = outbox.heads(transaction, KEYS_MAX)
    sent = _send(producer, topic, waiting, flush_s)
    return _mark(store, lease, sent, now_us, lease_s)


def resign(store: Store, owner: str) -> None:
    """Let another publisher begin at once; does nothing where this one does not lead."""
    with store.begin() as transaction:
        lease = leases.take(transaction, LEASE, owner, 0)
        if lease is not None:
            leases.release(transaction, lease)


def _send(producer: Producer, topic: str, waiting: Sequence[Waiting], flush_s: float) -> _Sent:
    sent = _Sent([], [], {})
    deliveries: list[tuple[Waiting, Delivery]] = []
    try:
        for row in waiting:
            message = row.message
            delivery = producer.send(
                topic,
                key=message.key.encode(),
                value=message.payload,
                headers=[(name, text.encode()) for name, text in message.headers],
            )
            deliveries.append((row, delivery))
        if deliveries:
            producer.flush(flush_s)
    except Unavailable as failure:
        sent.failure = failure
    for row, delivery in deliveries:
        _collect(sent, row, delivery)
    return sent


def _collect(sent: _Sent, row: Waiting, delivery: Delivery) -> None:
    try:
        # The flush has waited: what is not there now has failed.
        partition, offset = delivery.result(0)
    except MessageRefused as refusal:
        sent.refused[row.message_id] = refusal.message
    except Unavailable as failure:
        sent.failure = sent.failure or failure
    else:
        sent.arrived.append(Arrived(row.message_id, partition.partition, offset))
        if row.message.type is MessageType.INVOICE_ISSUED and row.invoice_id is not None:
            sent.acknowledged.append(row.invoice_id)


def _mark(
    store: Store, lease: Lease, sent: _Sent, now_us: int, lease_s: float
) -> PublishResult | None:
    with store.begin() as transaction:
        if not leases.hold(transaction, lease, lease_s):
            return None
        outbox.mark_published(transaction, sent.arrived, now_us)
        invoices.acknowledge(transaction, sent.acknowledged, now_us)
        outbox.park(transaction, sent.refused)
    return PublishResult(len(sent.arrived), tuple(sent.refused.values()), sent.failure)
