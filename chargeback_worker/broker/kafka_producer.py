"""Writing with kafka-python; what may be tried again is told apart from what will not be taken."""

import contextlib
import time
from collections.abc import Callable, Sequence

import kafka
import kafka.errors
from kafka.producer.future import FutureRecordMetadata

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import BrokerUnreachable, MessageRefused
from chargeback_worker.broker.kafka_errors import while_sending
from chargeback_worker.errors import ChargebackError

_CLOSE_S = 5.0
_SPLIT_S = 0.005


class KafkaDelivery:
    """A message that the client has taken."""

    def __init__(self, future: FutureRecordMetadata, topic: str, servers: str) -> None:
        self._future = future
        self._topic = topic
        self._servers = servers

    def result(self, timeout_s: float) -> tuple[TopicPartition, int]:
        try:
            stored = self._future.get(timeout_s)  # type: ignore[no-untyped-call]
        except kafka.errors.KafkaError as error:
            raise while_sending(error, self._servers, self._topic) from error
        return TopicPartition(stored.topic, stored.partition), stored.offset


class RefusedDelivery:
    """A message that the client itself would not take."""

    def __init__(self, error: MessageRefused) -> None:
        self._error = error

    def result(self, timeout_s: float) -> tuple[TopicPartition, int]:
        raise self._error


class KafkaProducer:
    """One producer; `missing` says which error a topic without partitions is."""

    def __init__(
        self, client: kafka.KafkaProducer, servers: str, missing: Callable[[str], ChargebackError]
    ) -> None:
        self._client = client
        self._servers = servers
        self._missing = missing

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        partition: int | None = None,
    ) -> KafkaDelivery | RefusedDelivery:
        try:
            future = self._client.send(
                topic, key=key, value=value, headers=list(headers), partition=partition
            )
        except kafka.errors.KafkaTimeoutError as error:
            raise self._missing(topic) from error
        except kafka.errors.KafkaError as error:
            named = while_sending(error, self._servers, topic)
            if isinstance(named, MessageRefused):
                return RefusedDelivery(named)
            raise named from error
        return KafkaDelivery(future, topic, self._servers)

    def flush(self, timeout_s: float) -> None:
        until_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, until_s - time.monotonic())
            try:
                return self._client.flush(left_s)
            except kafka.errors.UnknownError as error:
                # A batch was too large for its topic and goes on as its halves, which the client
                # forgets to wait for.
                if not left_s:
                    raise BrokerUnreachable(self._servers, str(error)) from error
                time.sleep(_SPLIT_S)
            except kafka.errors.KafkaError as error:
                raise BrokerUnreachable(self._servers, str(error)) from error

    def close(self) -> None:
        with contextlib.suppress(kafka.errors.KafkaError):
            self._client.close(_CLOSE_S)
            return
        # It keeps its thread when it could not flush, and would flush again at the end of all.
        self._client._sender.force_close()  # type: ignore[attr-defined]
        self._client._unregister_cleanup()  # type: ignore[attr-defined]
        self._client._closed = True  # type: ignore[attr-defined]
