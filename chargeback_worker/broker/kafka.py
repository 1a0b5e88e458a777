"""Apache Kafka, and whatever else speaks its protocol, through kafka-python.

All options of that client can be set, except those that the promises of this project rest on.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import kafka
import kafka.errors
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.net.compat import KafkaNetClient

from chargeback_worker.broker import (
    WATCHED_SETTINGS,
    GroupDescription,
    GroupMember,
    TopicDescription,
    TopicPartition,
)
from chargeback_worker.broker.errors import BrokerUnreachable, MissingTopic
from chargeback_worker.broker.kafka_codecs import bound
from chargeback_worker.broker.kafka_consumer import KafkaConsumer, KafkaReader
from chargeback_worker.broker.kafka_errors import while_connecting
from chargeback_worker.broker.kafka_options import (
    ALWAYS,
    FIXED_READING,
    FIXED_WRITING,
    READING,
    WRITING,
    check_options,
)
from chargeback_worker.broker.kafka_producer import KafkaProducer
from chargeback_worker.errors import ChargebackError

T = TypeVar("T")

_NO_SUCH_GROUP = kafka.errors.GroupIdNotFoundError.__name__
_MAY_NOT = (kafka.errors.AuthorizationError, kafka.errors.UnsupportedVersionError)
_NOT_READY = (
    kafka.errors.NotCoordinatorError,
    kafka.errors.CoordinatorNotAvailableError,
    kafka.errors.CoordinatorLoadInProgressError,
)
_ASK_AGAIN_S = 0.2
_NO_TOPIC_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer of the broker is waited for, and how long it waits for us."""

    answer_s: float = 10.0
    session_s: float = 10.0
    max_poll_interval_s: float = 120.0


class KafkaBroker:
    """One cluster. `options` go to every client of the library that knows them."""

    def __init__(
        self,
        bootstrap_servers: str,
        options: Mapping[str, object] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._servers = bootstrap_servers
        self._options = dict(options or {})
        self._patience = patience or Patience()
        self._admin: kafka.KafkaAdminClient | None = None
        self._admin_lock = threading.Lock()
        check_options(self._options)
        bound()

    def consumer(self, group_id: str, instance_id: str | None = None) -> KafkaConsumer:
        session_ms = round(self._patience.session_s * 1000)
        client = self._client(
            kafka.KafkaConsumer,
            READING
            | {
                "session_timeout_ms": session_ms,
                "heartbeat_interval_ms": min(3_000, session_ms // 3),
                "max_poll_interval_ms": round(self._patience.max_poll_interval_s * 1000),
            },
            FIXED_READING | {"group_id": group_id, "group_instance_id": instance_id},
        )
        return KafkaConsumer(client, self._servers, self._patience.answer_s, self._topic_id)

    def reader(self) -> KafkaReader:
        client = self._client(kafka.KafkaConsumer, READING, FIXED_READING)
        return KafkaReader(client, self._servers, self._patience.answer_s)

    def producer(self) -> KafkaProducer:
        client = self._client(kafka.KafkaProducer, WRITING, FIXED_WRITING)
        return KafkaProducer(client, self._servers, self._why_no_partitions)

    def topics(self) -> set[str]:
        return self._ask(lambda admin: set(admin.list_topics()))

    def committed(self, group_id: str, topic: str) -> dict[TopicPartition, int]:
        found = self._group_offsets(group_id)
        written = ((TopicPartition(*place), at.offset) for place, at in found.items())
        # -1: nothing was written there, or no longer.
        return {place: at for place, at in written if place.topic == topic and at >= 0}

    def describe(self, topic: str) -> TopicDescription | None:
        (found,) = self._ask(lambda admin: list(admin.describe_topics([topic])))
        if found["error_code"] == kafka.errors.UnknownTopicOrPartitionError.errno:
            return None
        if found["error_code"]:
            kind = kafka.errors.for_code(found["error_code"])  # type: ignore[no-untyped-call]
            raise while_connecting(kind(topic), self._servers)
        topic_id = str(found.get("topic_id") or _NO_TOPIC_ID)
        return TopicDescription(
            name=topic,
            partitions=len(found["partitions"]),
            topic_id=None if topic_id == _NO_TOPIC_ID else topic_id,
            config=self._config(topic),
            replicas=_least_replicas(found["partitions"]),
        )

    def describe_group(self, group_id: str) -> GroupDescription | None:
        try:
            found = self._when_ready(
                lambda admin: admin.describe_groups([group_id])[group_id], *_MAY_NOT
            )
        except _MAY_NOT:
            return None
        if found["error"] and _NO_SUCH_GROUP not in found["error"]:
            return None
        members = [
            GroupMember(member["client_id"], member.get("group_instance_id"))
            for member in found["members"]
        ]
        return GroupDescription(found["group_state"] or "Dead", tuple(members))

    def clock_ms(self) -> int | None:
        try:
            found = self._ask(lambda admin: admin.describe_metadata_quorum(), *_MAY_NOT)
        except _MAY_NOT:
            return None
        return _time_of_leader(found)

    def create_topic(
        self, name: str, partitions: int, config: Mapping[str, str] | None = None
    ) -> bool:
        wanted = {name: {"num_partitions": partitions, "configs": dict(config or {})}}
        try:
            self._ask(
                lambda admin: admin.create_topics(
                    wanted,
                    timeout_ms=round(self._patience.answer_s * 1000),
                    wait_for_metadata=True,
                ),
                kafka.errors.TopicAlreadyExistsError,
            )
        except kafka.errors.TopicAlreadyExistsError:
            return False
        return True

    def close(self) -> None:
        self._drop(self._admin)

    def _drop(self, admin: kafka.KafkaAdminClient | None) -> None:
        """Close a client that lost its broker, unless another thread has a new one already."""
        with self._admin_lock:
            if self._admin is admin:
                self._admin = None
        if admin is not None:
            with contextlib.suppress(Exception):
                admin.close()

    def _group_offsets(self, group_id: str) -> Mapping[Any, Any]:
        answer = self._when_ready(lambda admin: admin.list_group_offsets([group_id]))
        return dict(answer[group_id])

    def _when_ready(self, question: Callable[[Any], T], *let_through: type[Exception]) -> T:
        """Asked again while the broker is still making or loading what it keeps of groups."""
        until_s = time.monotonic() + self._patience.answer_s
        while True:
            try:
                return self._ask(question, *let_through, *_NOT_READY)
            except _NOT_READY as error:
                if time.monotonic() > until_s:
                    raise while_connecting(error, self._servers) from error
                time.sleep(_ASK_AGAIN_S)

    def _topic_id(self, topic: str) -> str | None:
        found = self.describe(topic)
        return found.topic_id if found else None

    def _config(self, topic: str) -> dict[str, str]:
        wanted = ConfigResource(
            ConfigResourceType.TOPIC, topic, dict.fromkeys(WATCHED_SETTINGS, "")
        )
        try:
            found = self._ask(
                lambda admin: admin.describe_configs([wanted], config_filter="all"),
                *_MAY_NOT,
            )
        except kafka.errors.KafkaError:
            # It is shown where it can be known; not every broker or user may ask for it.
            return {}
        settings = found.get("topic", {}).get(topic, {})
        return {name: str(settings[name]["value"]) for name in WATCHED_SETTINGS if name in settings}

    def _why_no_partitions(self, topic: str) -> ChargebackError:
        """The client cannot tell a topic that is missing from a broker that is."""
        try:
            found = self.describe(topic)
        except ChargebackError as error:
            return error
        if found is None:
            return MissingTopic(topic, self._servers)
        return BrokerUnreachable(self._servers, f"topic {topic} cannot be written yet")

    def _ask(self, question: Callable[[Any], T], *let_through: type[Exception]) -> T:
        """Ask through the shared admin client, or a new one when the shared one lost its broker."""
        with self._admin_lock:
            made_before = self._admin is not None
            if self._admin is None:
                self._admin = self._client(
                    kafka.KafkaAdminClient,
                    {"request_timeout_ms": round(self._patience.answer_s * 1000)},
                )
            admin = self._admin
        try:
            return question(admin)
        except let_through:
            raise
        except kafka.errors.KafkaError as error:
            self._drop(admin)
            if made_before and error.retriable:
                return self._ask(question, *let_through)
            raise while_connecting(error, self._servers) from error
        except RuntimeError as error:
            # Another thread found the shared client without a broker, and closed it under us.
            self._drop(admin)
            raise BrokerUnreachable(self._servers, str(error)) from error

    def _client(
        self,
        kind: Callable[..., T],
        defaults: Mapping[str, Any],
        fixed: Mapping[str, Any] | None = None,
    ) -> T:
        """A client of the library; one that cannot connect leaves no thread behind."""
        known = kind.DEFAULT_CONFIG  # type: ignore[attr-defined]
        config = {**ALWAYS, **defaults, **self._options, **(fixed or {})}
        config = {name: value for name, value in config.items() if name in known}
        made: list[KafkaNetClient] = []

        def connection(**settings: Any) -> KafkaNetClient:
            made.append(KafkaNetClient(**settings))
            return made[0]

        try:
            return kind(
                bootstrap_servers=self._servers.split(","),
                bootstrap_timeout_ms=round(self._patience.answer_s * 1000),
                kafka_client=connection,
                **config,
            )
        except Exception as error:
            for client in made:
                with contextlib.suppress(Exception):
                    client.close()
            raise while_connecting(error, self._servers) from error


def _least_replicas(partitions: Sequence[Mapping[str, Any]]) -> int | None:
    return min((len(one.get("replica_nodes") or ()) for one in partitions), default=None) or None


def _time_of_leader(quorum: Mapping[str, Any]) -> int | None:
    """The one answer that tells a broker's own time without a message being written: who leads the
    quorum has caught up with itself as of now. Before Kafka 3.3 it tells none."""
    for topic in quorum["topics"]:
        for partition in topic["partitions"]:
            for voter in partition["current_voters"]:
                at_ms = voter.get("last_caught_up_timestamp") or -1
                if voter["replica_id"] == partition["leader_id"] and at_ms >= 0:
                    return int(at_ms)
    return None
