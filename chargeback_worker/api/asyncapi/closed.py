"""What a close of the examples of usage publishes: the examples of the invoices topic.

They are not written by hand: books are made in a temporary folder, and closed and published by the
steps that do so everywhere, at a fixed time.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from chargeback_worker.api.asyncapi.usage_examples import EXAMPLES
from chargeback_worker.broker import Message
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.change_status import change_status
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.ingest import Part, ingest, read_events
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.settings import Settings
from chargeback_worker.store import Store, cursors, installation, schema
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Door
from chargeback_worker.usage.event import Grain, RawEvent, Reader

MONTH = Period(2026, 10)
CLOSED_US = to_us(datetime(2026, 11, 3, 0, 5, tzinfo=UTC))
PAID_US = to_us(datetime(2026, 11, 20, 9, 30, tzinfo=UTC))
_PAID = "INV-202610-0001"
_TOPIC = "invoices"


def sent() -> list[RawEvent]:
    """The examples of usage as messages, in their order."""
    return [
        RawEvent(
            json.dumps(example["payload"]).encode(),
            tuple((name, text.encode()) for name, text in example.get("headers", {}).items()),
            position=position,
        )
        for position, example in enumerate(one for of in EXAMPLES.values() for one in of)
    ]


def told() -> dict[MessageType, list[dict[str, Any]]]:
    """Examples by the type of their message."""
    with TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{Path(folder) / 'books.db'}")
        try:
            schema.upgrade(store)
            _ingest(store)
            messages = bill(store)
        finally:
            store.close()
    found: dict[MessageType, list[dict[str, Any]]] = {of: [] for of in MessageType}
    for message in messages:
        one = example_of(message)
        found[MessageType(one["headers"]["ce_type"])].append(one)
    return found


def bill(store: Store) -> list[Message]:
    """Close the month of the examples, have one invoice paid, and publish both."""
    broker, terms = MemoryBroker(), terms_of(Settings())
    broker.create_topic(_TOPIC, 1)
    close(store, MONTH, terms, Act("scheduler", CLOSED_US), owner="example")
    _publish(store, broker, CLOSED_US)
    change_status(store, _PAID, Status.PAID, terms, Act("accounts", PAID_US))
    _publish(store, broker, PAID_US)
    reader = broker.reader()
    places = broker.partitions(_TOPIC)
    reader.assign(places)
    reader.seek_to_beginning(places)
    return [message for batch in reader.poll(0, 1_000).values() for message in batch]


def example_of(message: Message) -> dict[str, Any]:
    """A message of the topic as the document shows it."""
    headers = {name: (value or b"").decode() for name, value in message.headers}
    return {
        "name": f"seq-{headers['seq']}-of-{(message.key or b'').decode()}",
        "headers": headers,
        # As it is: its numbers keep their digits.
        "payload": msgspec.Raw(message.value or b""),
    }


def _ingest(store: Store) -> None:
    settings = Settings()
    grain = Grain(settings.billing.timezone)
    with store.begin() as transaction:
        installation.settle_grain(transaction, grain)
        installation.settle_first_period(transaction, None, MONTH)
        cursor = cursors.make(transaction, Door.TOPIC, "usage-events", 0, now_us=CLOSED_US)
    events = read_events(Reader(grain), sent(), CLOSED_US)
    part = Part(cursor.cursor_id, events, 0, len(events))
    bytes_max = settings.quarantine.max_bytes
    ingest(store, [part], zone=grain.zone(), quarantine_bytes_max=bytes_max, now_us=CLOSED_US)


def _publish(store: Store, broker: MemoryBroker, now_us: int) -> None:
    while True:
        done = publish(store, broker.producer(), _TOPIC, owner="example", now_us=now_us)
        if done is None or not done.sent:
            return
