"""`chargeback run --workers N`: real processes on Kafka and PostgreSQL, and what is refused."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chargeback_worker.broker.kafka import KafkaBroker
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.store import heartbeats
from tests.faults.flow import Pace
from tests.faults.scene import Ground, Scene, mismatches, scene
from tests.support.brokers import BrokerServer
from tests.support.command import Command
from tests.support.ladder import free_port, free_ports
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy

LIMIT_S = 120.0
PARTITIONS = 4


class Workers:
    """`chargeback run --role ingest --workers N`, and what it and its children have logged."""

    def __init__(self, log: Path, settings: dict[str, str], count: int) -> None:
        self.log = log
        command = [sys.executable, "-m", "chargeback_worker", "run", "--role", "ingest"]
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [*command, "--workers", str(count)],
                env={**os.environ, **settings, "CHARGEBACK_LOG__FORMAT": "json"},
                stdout=subprocess.PIPE,
                stderr=stream,
            )

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    @property
    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def lines(self, action: str) -> list[dict[str, Any]]:
        whole = [line for line in self.log.read_bytes().splitlines(True) if line.endswith(b"\n")]
        lines = [json.loads(line) for line in whole if line.startswith(b"{")]
        return [line for line in lines if line.get("action") == action]

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert self.running, self.last_words
            assert time.monotonic() < deadline, self.last_words
            time.sleep(0.05)

    def pids(self) -> dict[int, int]:
        """The process of each worker, the latest one."""
        return {line["worker"]: line["pid"] for line in self.lines("worker_started")}

    def shares(self) -> dict[int, list[str]]:
        """The partitions that the group has given each worker, as it last said."""
        return {line["worker"]: line["partitions"] for line in self.lines("assigned")}

    def all_is_shared(self, count: int) -> bool:
        shares = self.shares()
        given = sorted(partition for share in shares.values() for partition in share)
        return len(shares) == count and len(given) == len(set(given)) == PARTITIONS

    def wait_for_the_end_of_all(self) -> int:
        """Every child holds the output too: it ends when the last of them has."""
        self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode


@contextmanager
def _workers(log: Path, settings: dict[str, str], count: int) -> Iterator[Workers]:
    workers = Workers(log, settings, count)
    try:
        yield workers
    finally:
        workers.process.kill()
        workers.process.communicate()


@pytest.fixture
def flowing(kafka: BrokerServer, postgresql: PostgresServer, tmp_path: Path) -> Iterator[Scene]:
    """Usage on its way to a topic of four partitions, and a database for it."""
    ground = Ground(kafka, postgresql, tmp_path)
    with scene(ground, Pace(2_000, 6, 2_000, 0), partitions=PARTITIONS) as made:
        made.flow.start()
        yield made
        made.flow.wait()


def _settings(flowing: Scene, **more: str) -> dict[str, str]:
    return {**flowing.environment(), "CHARGEBACK_KAFKA__GROUP_INSTANCE_ID": "worker-0", **more}


@pytest.fixture
def postgresql_url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


def test_two_workers_share_a_topic_and_one_that_is_killed_is_replaced(
    flowing: Scene, tmp_path: Path
) -> None:
    with _workers(tmp_path / "log", _settings(flowing), 2) as workers:
        workers.wait(lambda: workers.all_is_shared(2))
        before = workers.pids()
        os.kill(before[1], signal.SIGKILL)
        workers.wait(lambda: workers.pids()[1] != before[1])
        assert workers.pids()[0] == before[0]

        # The last of it only trickled so far, and is there for the one that is new.
        flowing.flow.wait()
        ends = flowing.ends()
        workers.wait(lambda: _positions(flowing) == ends)
        # Each has a name of its own; the one that was killed could not take its own back.
        workers.wait(lambda: len(_instances(flowing)) == 3)

        workers.process.terminate()
        assert workers.wait_for_the_end_of_all() == 0, workers.last_words
        assert mismatches(flowing.store, flowing.flow.expected) == []


def _positions(flowing: Scene) -> dict[int, int]:
    return {partition: cursor.next_position for partition, cursor in flowing.cursors().items()}


def _instances(flowing: Scene) -> set[str]:
    with flowing.store.read() as transaction:
        return {beat.instance for beat in heartbeats.listed(transaction)}


def test_each_worker_has_its_own_port_and_name_and_none_outlives_a_parent_that_is_killed(
    flowing: Scene, tmp_path: Path
) -> None:
    port = free_ports(2)
    settings = _settings(flowing, CHARGEBACK_METRICS__PORT=str(port))
    with _workers(tmp_path / "log", settings, 2) as workers:
        workers.wait(lambda: workers.all_is_shared(2))
        ports = {line["worker"]: line["metrics_port"] for line in workers.lines("started")}
        assert ports == {0: port, 1: port + 1}
        admin: Any = KafkaBroker(flowing.flow.servers)
        group = f"group-{flowing.flow.topic}"
        (found,) = admin._ask(lambda client: [*client.describe_groups([group]).values()])
        assert {one["group_instance_id"] for one in found["members"]} == {
            "worker-0-0",
            "worker-0-1",
        }
        admin.close()
        workers.process.kill()
        assert workers.wait_for_the_end_of_all() == -signal.SIGKILL


def test_a_fault_that_one_worker_alone_meets_and_no_new_start_mends_ends_all(
    flowing: Scene, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = _settings(flowing, CHARGEBACK_METRICS__PORT=str(port - 1))
        with _workers(tmp_path / "log", settings, 2) as workers:
            assert workers.wait_for_the_end_of_all() == 3
            assert "Error: The metrics port 127.0.0.1:" in workers.last_words
            assert "Traceback" not in workers.last_words


def test_workers_that_start_before_their_broker_wait_for_it(flowing: Scene, tmp_path: Path) -> None:
    port = free_port()
    away = _settings(flowing, CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    with _workers(tmp_path / "log", away, 2) as workers:
        # Whoever starts them has seen it, and each of them.
        workers.wait(lambda: len(workers.lines("start_waits")) == 3)
        assert not workers.lines("worker_ended")
        with Proxy(int(flowing.flow.servers.rpartition(":")[2]), port=port):
            workers.wait(lambda: workers.all_is_shared(2))
            workers.process.terminate()
            assert workers.wait_for_the_end_of_all() == 0


def test_more_workers_than_partitions_are_warned_of(flowing: Scene, tmp_path: Path) -> None:
    with _workers(tmp_path / "log", _settings(flowing), PARTITIONS + 1) as workers:
        workers.wait(lambda: workers.lines("idle_workers"))
        (warned,) = workers.lines("idle_workers")
        assert (warned["workers"], warned["partitions"]) == (PARTITIONS + 1, PARTITIONS)
        workers.process.terminate()
        assert workers.wait_for_the_end_of_all() == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "2"],
        ["--role", "all", "--workers", "2"],
        ["--role", "ingest", "--role", "publisher", "--workers", "2"],
        ["--role", "ingest", "--workers", "0"],
        ["--role", "ingest", "--workers", "-1"],
    ],
)
def test_only_ingest_is_done_by_several_workers_and_by_one_at_least(
    sqlite_chargeback: Command, arguments: list[str]
) -> None:
    ended = sqlite_chargeback("run", *arguments)
    assert ended.code == 2
    assert "--workers" in ended.err


def test_sqlite_bears_one_worker(sqlite_chargeback: Command, memory_broker: MemoryBroker) -> None:
    ended = sqlite_chargeback("run", "--role", "ingest", "--workers", "2")
    assert ended.code == 3
    assert "bears one worker at a time, and 2 were asked for" in ended.err
    assert "set database.url to a PostgreSQL database" in ended.err


def test_what_no_worker_could_start_with_is_one_error_before_any_is_started(
    postgresql_url: str, memory_broker: MemoryBroker
) -> None:
    chargeback = Command(["--database", postgresql_url])
    many = ("run", "--role", "ingest", "--workers", "2")
    missing = chargeback(*many)
    assert (missing.code, missing.err.count("There is no topic usage-events")) == (3, 1)
    past_the_last = chargeback.having("--set", "metrics.port=65535")(*many)
    assert past_the_last.code == 3
    assert "65536" in past_the_last.err
    the_apis = chargeback.having("--set", f"metrics.port={8080 - 1}")(*many)
    assert the_apis.code == 3
    assert "api.port and metrics.port must differ" in the_apis.err


def test_one_worker_is_the_worker_as_it_is_without(
    sqlite_chargeback: Command, memory_broker: MemoryBroker
) -> None:
    with_one, without = sqlite_chargeback("run", "--workers", "1"), sqlite_chargeback("run")
    assert (with_one.code, with_one.err) == (without.code, without.err) == (3, without.err)
