"""Brokers for tests: Apache Kafka by the best way there is, or the embedded one."""

import importlib
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Protocol

import pytest

from chargeback_worker.broker.embedded import EmbeddedBroker
from chargeback_worker.broker.kafka import KafkaBroker, Patience
from chargeback_worker.errors import Misconfigured, Unavailable
from tests.support.kafka_jars import VERSION, JarsKafka, jars_absence
from tests.support.ladder import Ladder, NotStarted, Rung, docker_absence, free_port


class BrokerServer(Protocol):
    """A broker that tests connect to; not each can be taken away and given back."""

    @property
    def described(self) -> str: ...

    @property
    def bootstrap_servers(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...

    def freeze(self) -> None: ...

    def thaw(self) -> None: ...

    def close(self) -> None: ...


class GivenKafka:
    """One that somebody else runs."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        _wait_for_answer(bootstrap_servers, 10)

    @property
    def described(self) -> str:
        return f"Kafka at {self.bootstrap_servers} (CHARGEBACK_TEST_KAFKA)"

    def start(self) -> None:
        pytest.skip("a broker that somebody else runs is not taken away")

    stop = kill = restart = freeze = thaw = start

    def close(self) -> None:
        pass


class DockerKafka:
    """One node in a container, on a port that it keeps."""

    IMAGE = "confluentinc/cp-kafka:7.6.0"

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self._container = self._made()
                self._container.start()
                self.bootstrap_servers = str(self._container.get_bootstrap_server())
            except Exception as failure:
                raise NotStarted(f"{type(failure).__name__}: {failure}") from failure
        _wait_for_answer(self.bootstrap_servers, 60)

    @property
    def described(self) -> str:
        return f"Apache Kafka (Docker, {self.IMAGE})"

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        _wait_for_answer(self.bootstrap_servers, 60)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        self.kill()
        self.start()

    def freeze(self) -> None:
        self._container.get_wrapped_container().pause()

    def thaw(self) -> None:
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        self._container.stop()

    def _made(self) -> Any:
        module = importlib.import_module("testcontainers.community.kafka")
        container = module.KafkaContainer(self.IMAGE).with_kraft()
        container.with_bind_ports(9093, free_port())
        for name, value in {
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        }.items():
            container.with_env(name, value)
        return container


class EmbeddedServer:
    """The packaged broker of the demo; it loses what it has when it is killed."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chargeback-embedded-")
        self._broker = EmbeddedBroker(Path(self._folder.name))
        try:
            self.bootstrap_servers = self._broker.start()
        except (Misconfigured, Unavailable) as failure:
            self._folder.cleanup()
            raise NotStarted(failure.message) from failure

    @property
    def described(self) -> str:
        return "noida-db (embedded, not Apache Kafka)"

    def start(self) -> None:
        pytest.skip("the embedded broker does not survive being taken away")

    stop = kill = restart = freeze = thaw = start

    def close(self) -> None:
        self._broker.close()
        self._folder.cleanup()


def kafka_ladder() -> Ladder[BrokerServer]:
    """Apache Kafka and nothing else."""
    rungs: list[Rung[BrokerServer]] = []
    absent: list[str] = []
    if servers := os.environ.get("CHARGEBACK_TEST_KAFKA"):
        return Ladder("kafka", [Rung(f"Kafka at {servers}", lambda: GivenKafka(servers))])
    if reason := docker_absence():
        absent.append(reason)
    else:
        rungs.append(Rung(f"Apache Kafka in Docker ({DockerKafka.IMAGE})", DockerKafka))
    if reason := jars_absence():
        absent.append(reason)
    else:
        rungs.append(Rung(f"Apache Kafka {VERSION} from its jars", JarsKafka))
    return Ladder("kafka", rungs, absent)


def embedded_ladder() -> Ladder[BrokerServer]:
    """The packaged broker and nothing else."""
    return Ladder("embedded", [Rung("noida-db", EmbeddedServer)])


def broker_ladder(
    kafka: Ladder[BrokerServer], embedded: Ladder[BrokerServer]
) -> Ladder[BrokerServer]:
    """Any broker that speaks the protocol."""

    def from_(ladder: Ladder[BrokerServer]) -> BrokerServer:
        server = ladder.obtain()
        if server is None:
            raise NotStarted("; ".join(ladder.failures))
        return server

    rungs = [Rung(kafka.rungs[0].described, lambda: from_(kafka))] if kafka.rungs else []
    rungs.append(Rung(embedded.rungs[0].described, lambda: from_(embedded)))
    return Ladder("broker", rungs)


def _wait_for_answer(bootstrap_servers: str, seconds: float) -> None:
    broker = KafkaBroker(bootstrap_servers, patience=Patience(answer_s=2))
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                broker.topics()
                return
            except Unavailable as failure:
                if time.monotonic() > deadline:
                    raise NotStarted(failure.message) from failure
    finally:
        broker.close()
