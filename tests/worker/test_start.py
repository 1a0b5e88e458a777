"""A worker that is started before its broker waits for it, and says so."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.broker.errors import BrokerUnreachable, MissingTopic
from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.worker.lifecycle import Beat, Role
from chargeback_worker.worker.start import Start
from tests.faults.worker import Worker
from tests.support.brokers import BrokerServer
from tests.support.ladder import free_port
from tests.support.proxy import Proxy
from tests.support.sites import make_topic

AWAY = BrokerUnreachable("memory", "it is away")
LIMIT_S = 30


class Begun:
    """A role in a thread, behind a start; `answers` is what its looks come to, then all is well."""

    def __init__(self, *answers: Exception) -> None:
        self.said: list[str | None] = []
        self.looks = 0
        self.stop = threading.Event()
        self.runs, self.ended = threading.Event(), threading.Event()
        self.error: Exception | None = None
        self._answers = list(answers)
        role = Start(self._check, AWAY).before(Role("role", self._work))
        self._thread = threading.Thread(target=self._run, args=(role.run,))
        self._thread.start()

    def _check(self) -> None:
        self.looks += 1
        if self._answers:
            raise self._answers.pop(0)

    def _work(self, stop: threading.Event, beat: Beat) -> None:
        self.runs.set()
        stop.wait(LIMIT_S)

    def _run(self, run: Callable[[threading.Event, Beat], None]) -> None:
        try:
            run(self.stop, lambda waits_for=None: self.said.append(waits_for))
        except Exception as error:
            self.error = error
        self.ended.set()

    def end(self) -> None:
        self.stop.set()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()


def test_a_role_begins_when_the_broker_answers() -> None:
    begun = Begun(AWAY, AWAY, AWAY)
    assert begun.runs.wait(LIMIT_S)
    begun.end()
    assert begun.looks == 4
    assert begun.error is None


def test_it_says_meanwhile_what_it_waits_for_and_can_be_ended() -> None:
    other = BrokerUnreachable("memory", "still")
    begun = Begun(*[other] * 10_000)
    # It beats so often that it is soon told.
    while str(other) not in begun.said:
        assert not begun.ended.wait(0.02)
        assert len(begun.said) < LIMIT_S
    begun.end()
    assert not begun.runs.is_set()
    assert set(begun.said) <= {str(AWAY), str(other)}


def test_what_no_waiting_mends_ends_it() -> None:
    missing = MissingTopic("usage-events", "memory")
    begun = Begun(AWAY, missing)
    begun.ended.wait(LIMIT_S)
    begun.end()
    assert begun.error is missing
    assert not begun.runs.is_set()


@pytest.fixture
def topics(any_broker: BrokerServer) -> Iterator[dict[str, str]]:
    broker = KafkaBroker(any_broker.bootstrap_servers)
    yield {
        "CHARGEBACK_KAFKA__USAGE_TOPIC": make_topic(broker),
        "CHARGEBACK_KAFKA__INVOICES_TOPIC": make_topic(broker),
    }
    broker.close()


def test_a_worker_starts_before_its_broker(
    any_broker: BrokerServer, topics: dict[str, str], sqlite_url: str, tmp_path: Path
) -> None:
    port, metrics_port = free_port(), free_port()
    settings = {
        **topics,
        "CHARGEBACK_DATABASE__URL": sqlite_url,
        "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}",
        "CHARGEBACK_METRICS__PORT": str(metrics_port),
    }
    worker = Worker(settings, tmp_path / "log", ("chargeback_worker", "run"))

    away = f"waits for The broker at 127.0.0.1:{port} did not answer"

    def waiting() -> set[str]:
        faults = _ready(metrics_port)[1]
        return {role for role, fault in faults.items() if fault.startswith(away)}

    try:
        assert worker.wait_for("started"), worker.last_words
        all_wait = worker.wait_until(lambda: waiting() == {"ingest", "publisher", "scheduler"})
        assert all_wait, worker.last_words
        assert not _ready(metrics_port)[0]
        # What asks whether it has started must not end it for that.
        with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/healthz", timeout=10) as up:
            assert up.status == 200
        target = int(any_broker.bootstrap_servers.rpartition(":")[2])
        with Proxy(target, port=port):
            assert worker.wait_until(lambda: _ready(metrics_port)[0]), worker.last_words
            assert worker.stop() == 0, worker.last_words
    finally:
        worker.kill()


def _ready(port: int) -> tuple[bool, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10) as answer:
            return True, json.loads(answer.read())["faults"]
    except urllib.error.HTTPError as error:
        return False, json.loads(error.read())["faults"]
