"""Real usage through Apache Kafka and `chargeback run` gives the same books as through a file."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.store import Store, cursors
from tests.faults.worker import Worker
from tests.support.brokers import BrokerServer
from tests.support.postgres import PostgresServer

FILE = Path(__file__).parent / "data" / "agents-code-2023-11.jsonl.gz"
ANSWERS = json.loads(FILE.with_name("agents-code-2023-11.answers.json").read_text())
MOMENTS = ("created_at", "updated_at", "issued_at", "published_at", "due_date", "status")


def _chargeback(settings: dict[str, str], *arguments: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "chargeback_worker", *arguments],
        env={**os.environ, **settings},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout) if "-o" in arguments else None


def _invoices(settings: dict[str, str]) -> list[dict[str, Any]]:
    """The invoices of the month without what depends on the time of day."""
    _chargeback(settings, "close", "2023-11")
    listed = _chargeback(settings, "invoices", "list", "--period", "2023-11", "-o", "json")
    assert _chargeback(settings, "verify", "-o", "json")["verify"]["clean"]
    return [
        {key: value for key, value in invoice.items() if key not in MOMENTS}
        for invoice in listed["invoices"]
    ]


def _send(broker: KafkaBroker, topic: str) -> int:
    """Every line of the file, each twice over."""
    producer = broker.producer()
    with gzip.open(FILE) as lines:
        events = [line.rstrip() for line in lines] * 2
    under_way = [producer.send(topic, key=None, value=event) for event in events]
    for delivery in under_way:
        delivery.result(60)
    producer.close()
    return len(events)


def _consumed(store: Store) -> int:
    with store.read() as transaction:
        return sum(cursor.tally.consumed for cursor in cursors.listed(transaction))


@pytest.mark.timeout(240)
def test_the_topic_and_the_file_give_the_same_invoices_to_the_nano_dollar(
    kafka: BrokerServer, postgresql: PostgresServer, sqlite_url: str, tmp_path: Path
) -> None:
    by_file = {"CHARGEBACK_DATABASE__URL": sqlite_url}
    _chargeback(by_file, "ingest", str(FILE))

    topic = "usage-real"
    broker = KafkaBroker(kafka.bootstrap_servers)
    broker.create_topic(topic, 4)
    broker.create_topic("invoices", 4)
    with postgresql.database() as url:
        by_topic = {
            "CHARGEBACK_DATABASE__URL": url,
            "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "CHARGEBACK_KAFKA__USAGE_TOPIC": topic,
            "CHARGEBACK_KAFKA__GROUP_ID": "real",
            "CHARGEBACK_API__PORT": "0",
            "CHARGEBACK_METRICS__PORT": "0",
        }
        sent = _send(broker, topic)
        broker.close()
        store = Store(url)
        worker = Worker(by_topic, tmp_path / "worker.log")
        try:
            assert worker.wait_for("first_commit")
            assert worker.wait_until(lambda: _consumed(store) == sent), worker.last_words
            assert worker.stop() == 0
        finally:
            worker.kill()
        store.close()
        summary = _chargeback(by_topic, "usage", "summary", "--period", "2023-11", "-o", "json")[
            "summary"
        ]
        assert summary["record_count"] == ANSWERS["records"] == 8819
        assert f"{summary['total_cost_usd']:.9f}" == ANSWERS["total_cost_usd"]
        assert _invoices(by_topic) == _invoices(by_file) != []
