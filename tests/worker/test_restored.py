"""The whole worker, as processes on Apache Kafka and PostgreSQL: a database from before a close
that was published comes back, is found out, and goes on without using a number twice."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.broker import Message
from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.broker.ranges import bounds, read_ranges
from chargeback_worker.invoicing.message import told
from chargeback_worker.period import Period
from chargeback_worker.store import Store, cursors
from tests.faults.scene import until
from tests.faults.worker import Worker
from tests.support.backups import back_up, restore
from tests.support.books_on_topic import assert_consistent
from tests.support.brokers import BrokerServer
from tests.support.feed import usage
from tests.support.ladder import free_port
from tests.support.postgres import PostgresServer
from tests.support.sites import send_all

MONTH = Period.of(datetime.now(UTC).date().replace(day=1) - timedelta(days=1))
PARTITIONS = 2


@dataclass
class Town:
    """A database, two topics, and whoever works on them."""

    broker: KafkaBroker
    servers: str
    url: str
    folder: Path
    name: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    metrics_port: int = field(default_factory=free_port)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        for topic in (self.usage, self.invoices):
            assert self.broker.create_topic(topic, PARTITIONS)

    @property
    def usage(self) -> str:
        return f"usage-{self.name}"

    @property
    def invoices(self) -> str:
        return f"invoices-{self.name}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "CHARGEBACK_DATABASE__URL": self.url,
            "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": self.servers,
            "CHARGEBACK_KAFKA__USAGE_TOPIC": self.usage,
            "CHARGEBACK_KAFKA__INVOICES_TOPIC": self.invoices,
            "CHARGEBACK_KAFKA__GROUP_ID": self.name,
            "CHARGEBACK_BILLING__FIRST_PERIOD": str(MONTH),
            "CHARGEBACK_BILLING__CLOSE_DELAY": "0s",
            "CHARGEBACK_METRICS__PORT": str(self.metrics_port),
        }

    def worker(self, role: str) -> Worker:
        made = Worker(
            self.environment,
            self.folder / f"worker-{len(self.workers)}.log",
            ("chargeback_worker", "run", "--role", role),
        )
        self.workers.append(made)
        assert made.wait_for("started"), made.last_words
        return made

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chargeback_worker", *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ok(self, *arguments: str) -> Any:
        done = self.command(*arguments, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def use(self, *teams: str) -> None:
        """An event of each team, in the month before this one."""
        send_all(
            self.broker,
            self.usage,
            [usage(uuid.uuid4().hex, day=f"{MONTH}-03", team=team) for team in teams],
        )

    def read_to_end(self, worker: Worker) -> None:
        reader = self.broker.reader()
        ends = {
            place.partition: end
            for place, (_, end) in bounds(reader, self.usage, PARTITIONS).items()
        }
        reader.close()
        store = Store(self.url)

        def all_read() -> bool:
            with store.read() as transaction:
                rows = cursors.listed(transaction, cursors.Door.TOPIC)
            return {row.partition: row.next_position for row in rows} == ends

        assert worker.wait_until(all_read), worker.last_words
        store.close()

    def topic(self) -> list[Message]:
        reader = self.broker.reader()
        found = list(read_ranges(reader, bounds(reader, self.invoices, PARTITIONS)))
        reader.close()
        return found

    def ready(self) -> tuple[int, Any]:
        url = f"http://127.0.0.1:{self.metrics_port}/readyz"
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def end(self) -> None:
        for worker in self.workers:
            if worker.running:
                worker.kill()


@pytest.fixture
def town(kafka: BrokerServer, postgresql: PostgresServer, tmp_path: Path) -> Iterator[Town]:
    broker = KafkaBroker(kafka.bootstrap_servers)
    with postgresql.database() as url:
        made = Town(broker, kafka.bootstrap_servers, url, tmp_path)
        yield made
        made.end()
    broker.close()


def _numbers(messages: list[Message]) -> list[str]:
    documents = [json.loads(message.value or b"") for message in messages]
    return sorted(row["invoice_number"] for row in documents if "invoice_number" in row)


@pytest.mark.timeout(400)
def test_a_database_from_before_a_close_is_found_out_and_goes_on(town: Town) -> None:
    town.use("A", "B")
    worker = town.worker("ingest")
    town.read_to_end(worker)
    assert worker.stop() == 0, worker.last_words
    backup = back_up(town.url)
    town.use("A")
    worker = town.worker("all")
    town.read_to_end(worker)
    # The scheduler may be first.
    town.ok("close", str(MONTH))
    assert worker.wait_until(lambda: len(town.topic()) == 3), worker.last_words
    assert worker.stop() == 0, worker.last_words
    lost = town.topic()
    assert _numbers(lost) == [f"INV-{MONTH.number}-000{n}" for n in (1, 2)]

    restore(town.url, backup)
    town.use("C")
    worker = town.worker("all")

    assert worker.wait_for("publishing_held"), worker.last_words
    assert worker.wait_for("closing_held"), worker.last_words
    (held, *_) = worker.lines("publishing_held")
    assert f"group {town.name} has read {town.usage}:0 up to 3, the books up to 2" in held["error"]
    assert "holds a message that the books never wrote" in held["error"]
    status, faults = town.ready()
    assert status == 503
    assert {"scheduler", "publisher"} <= faults["faults"].keys()
    town.read_to_end(worker)
    (period,) = [row for row in town.ok("periods")["periods"] if row["period"] == str(MONTH)]
    assert period["state"] == "open"
    assert any("chargeback db resume" in cause for cause in period["waits_for"])
    assert "chargeback db resume" in town.command("doctor").stdout
    refused = town.command("close", str(MONTH))
    assert (refused.returncode, "older than their topics" in refused.stderr) == (5, True)

    done = town.ok("db", "resume", "--reason", "restored the backup")["resume"]

    assert (done["unknown"], done["closes"]) == (3, [f"{MONTH}:1"])
    assert [row["void_to"] for row in done["numbers"]] == [f"INV-{MONTH.number}-0002"]
    town.ok("close", str(MONTH))
    assert worker.wait_until(lambda: len(town.topic()) == 3 + 4), worker.last_words
    # The worker that was held has gone on by itself.
    until(lambda: "publisher" not in town.ready()[1]["faults"], "ready again")
    assert worker.stop() == 0, worker.last_words
    messages = town.topic()
    assert_consistent(messages)
    assert _numbers(messages) == [f"INV-{MONTH.number}-000{n}" for n in range(1, 6)]
    assert {message.value for message in lost} <= {message.value for message in messages}
    said = [told(message.headers) for message in messages]
    assert f"{MONTH}:1:2" in {one.ce_id for one in said if one is not None}
    assert town.ok("verify")["verify"]["clean"] is True
    assert town.ok("db", "resume", "--reason", "once more")["resume"] is None
