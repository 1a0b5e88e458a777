"""The AsyncAPI document: valid, the one that is committed, and true of real topics."""

import gzip
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
import sqlalchemy as sa

from chargeback_worker.api.asyncapi import document, usage
from chargeback_worker.api.asyncapi.closed import CLOSED_US, MONTH, bill, example_of, sent
from chargeback_worker.api.asyncapi.usage_examples import EXAMPLES, REFUSED
from chargeback_worker.broker import Message
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.metrics import Metrics
from chargeback_worker.settings import Kafka, Settings
from chargeback_worker.store import Store, cursors, installation
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.tables import quarantine, usage_conflict, usage_record
from chargeback_worker.usage import formats
from chargeback_worker.usage.event import Grain, RawEvent, Reader
from chargeback_worker.worker.consumer import UsageConsumer
from tests.support.brokers import BrokerServer
from tests.support.topic_shapes import described, require_described, shape

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs" / "asyncapi.json"
OFFICIAL = ROOT / "tests" / "data" / "asyncapi" / "asyncapi-3.0.0.schema.json.gz"
DOCUMENT = described()
LIMIT_S = 60


def _official() -> Any:
    return jsonschema_rs.validator_for(json.loads(gzip.decompress(OFFICIAL.read_bytes())))


def _digits(text: str | bytes) -> Any:
    """JSON with its numbers as they are written."""
    return json.loads(text, parse_float=str, parse_int=str)


def test_the_committed_document_is_what_this_release_makes() -> None:
    assert COMMITTED.read_bytes() == document(), "make asyncapi writes it anew"


def test_it_is_asyncapi_3_by_the_official_schema() -> None:
    _official().validate(DOCUMENT)


@pytest.mark.parametrize("spoilt", ["asyncapi", "channels.usage.messages", "operations.ingest"])
def test_the_official_schema_finds_what_is_no_asyncapi(spoilt: str) -> None:
    """Guards the test before it."""
    wrong = json.loads(json.dumps(DOCUMENT))
    *path, last = spoilt.split(".")
    place = wrong
    for step in path:
        place = place[step]
    place[last] = 3
    assert not _official().is_valid(wrong)


def test_every_reference_leads_somewhere() -> None:
    found = _references(DOCUMENT)
    assert len(found) > 20
    for reference in found:
        place: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [one for of in value.values() for one in _references(of)]
    return [one for of in value for one in _references(of)] if isinstance(value, list) else []


def test_every_example_is_of_the_shape_of_its_message() -> None:
    for name, message in DOCUMENT["components"]["messages"].items():
        assert message["examples"], name
        for example in message["examples"]:
            shape(message["payload"]["$ref"]).validate(example["payload"])
            if "headers" in message:
                shape(message["headers"]["$ref"]).validate(example["headers"])


def test_what_is_refused_is_of_no_shape() -> None:
    # A binary one is data alone, and goes by the id in its headers.
    bare = [message["payload"]["$ref"] for message in usage.messages().values()]
    shapes = [shape(reference) for reference in bare if not reference.endswith("Binary")]
    for one in REFUSED:
        assert not any(of.is_valid(one["payload"]) for of in shapes), one


class _Noted(dict[str, Any]):
    """An event that notes by which names it is asked for its fields."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(event)
        self.asked: set[str] = set()

    def pop(self, name: str, *default: Any) -> Any:
        self.asked.add(name)
        return super().pop(name, *default)


def test_the_fields_described_are_those_that_the_reader_asks_for() -> None:
    for schema, read, event in (
        ("usageRecord", formats.usage_record.read, {}),
        ("costRecord", formats.cost_record.read, {"call_id": "c"}),
    ):
        noted = _Noted(event)
        assert read(noted) is not None
        assert set(DOCUMENT["components"]["schemas"][schema]["properties"]) == noted.asked


class Topic:
    """A usage topic with one partition, and the ingest role that reads it."""

    def __init__(self, store: Store, broker: KafkaBroker) -> None:
        self.store, self.broker = store, broker
        self.name = f"usage-{uuid4().hex[:8]}"
        broker.create_topic(self.name, 1)
        settings = Settings(kafka=Kafka(usage_topic=self.name, group_id=self.name))
        role = UsageConsumer(
            store, broker, settings, Reader(Grain("UTC")), Metrics("test"), lambda: CLOSED_US
        )
        self.stop, self._heard = threading.Event(), threading.Condition()
        self._producer = broker.producer()
        self._thread = threading.Thread(target=role.run, args=(self.stop, self._beat))
        self._thread.start()

    def _beat(self, waits_for: str | None = None) -> None:
        with self._heard:
            self._heard.notify_all()

    def send(self, events: Sequence[RawEvent]) -> None:
        """Send them in this order, and wait until all are ingested."""
        for event in events:
            headers = [(name, value) for name, value in event.headers if value is not None]
            self._producer.send(self.name, key=None, value=event.value, headers=headers).result(30)
        with self._heard:
            assert self._heard.wait_for(lambda: self.tally().consumed == len(events), LIMIT_S), (
                "not all were ingested"
            )

    def outcomes(self) -> list[str]:
        """How each ended, by its offset."""
        kept = {
            "accepted": usage_record,
            "conflict": usage_conflict,
            "quarantined": quarantine,
        }
        found = ["duplicate"] * self.tally().consumed
        with self.store.read() as transaction:
            for outcome, table in kept.items():
                for position in transaction.execute(sa.select(table.c.position)).scalars():
                    found[position] = outcome
        return found

    def tally(self) -> Tally:
        with self.store.read() as transaction:
            return sum((one.tally for one in cursors.listed(transaction, Door.TOPIC)), Tally())

    def end(self) -> None:
        self.stop.set()
        self._thread.join(LIMIT_S)
        self._producer.close()
        assert not self._thread.is_alive()


@pytest.fixture
def topic(store: Store, any_broker: BrokerServer) -> Iterator[Topic]:
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("UTC"))
        installation.settle_first_period(transaction, None, MONTH)
    broker = KafkaBroker(any_broker.bootstrap_servers, patience=Patience(answer_s=10, session_s=6))
    topic = Topic(store, broker)
    yield topic
    topic.end()
    broker.close()


def test_each_example_of_usage_ends_as_it_says_and_a_close_publishes_those_of_invoices(
    topic: Topic,
) -> None:
    named = [example["name"] for examples in EXAMPLES.values() for example in examples]
    refused = [RawEvent(json.dumps(one["payload"]).encode()) for one in REFUSED]
    topic.send([*sent(), *refused])
    outcomes = [name.partition("-")[0] for name in named] + ["quarantined"] * len(refused)
    assert topic.outcomes() == outcomes
    assert Counter(outcomes) == Counter(topic.tally().outcomes())
    assert _reasons(topic.store) == [one["reason"] for one in REFUSED]
    topic.stop.set()
    published = bill(topic.store)
    require_described(published)
    shown = [
        example
        for of in ("invoiceIssued", "invoiceStatusChanged", "periodClosed")
        for example in _digits(COMMITTED.read_text())["components"]["messages"][of]["examples"]
    ]
    assert sorted(shown, key=_place) == sorted(map(_shown, published), key=_place)


def _reasons(store: Store) -> list[str]:
    by_position = sa.select(quarantine.c.reason).order_by(quarantine.c.position)
    with store.read() as transaction:
        return list(transaction.execute(by_position).scalars())


def _shown(message: Message) -> dict[str, Any]:
    return {**example_of(message), "payload": _digits(message.value or b"")}


def _place(example: dict[str, Any]) -> str:
    return str(example["headers"]["ce_id"])


def test_every_type_of_message_has_an_example_of_its_own() -> None:
    told = {message["name"] for message in DOCUMENT["components"]["messages"].values()}
    assert {of.value for of in MessageType} <= told
