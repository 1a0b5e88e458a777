"""What the errors of kafka-python mean in our words, by what we were doing."""

import kafka
import kafka.errors

from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import (
    AccessDenied,
    BrokerUnreachable,
    ConsumerBroken,
    DeliveryFailed,
    LogTruncated,
    MemberFenced,
    MessageRefused,
    OffsetOutOfRange,
    UndecodableBatch,
    UnusableOption,
)
from chargeback_worker.errors import ChargebackError

_DENIED = (kafka.errors.AuthorizationError, kafka.errors.SaslAuthenticationFailedError)
_MISUSED = (kafka.errors.KafkaConfigurationError, ValueError, TypeError, OSError)
_REFUSED_FOR_EVER = (
    kafka.errors.MessageSizeTooLargeError,
    kafka.errors.RecordListTooLargeError,
    kafka.errors.InvalidRecordError,
    kafka.errors.InvalidTimestampError,
    kafka.errors.InvalidTopicError,
    kafka.errors.PolicyViolationError,
)


def while_connecting(error: Exception, servers: str) -> Exception:
    """Also for questions to the cluster."""
    if isinstance(error, _DENIED):
        return AccessDenied(servers, str(error))
    if isinstance(error, _MISUSED):
        return UnusableOption("kafka.*", str(error))
    if isinstance(error, kafka.errors.KafkaError):
        return BrokerUnreachable(servers, str(error))
    return error


def while_sending(error: kafka.errors.KafkaError, servers: str, topic: str) -> ChargebackError:
    if isinstance(error, _REFUSED_FOR_EVER):
        return MessageRefused(topic, str(error))
    if isinstance(error, _DENIED):
        return AccessDenied(servers, str(error))
    return DeliveryFailed(topic, str(error))


def while_reading(error: BaseException, servers: str, client: kafka.KafkaConsumer) -> BaseException:
    if isinstance(error, ChargebackError | AssertionError) or not isinstance(error, Exception):
        return error
    if isinstance(error, kafka.errors.OffsetOutOfRangeError) and error.args:
        ((partition, offset),) = list(error.args[0].items())[:1]
        return OffsetOutOfRange(TopicPartition(*partition), offset)
    if isinstance(error, kafka.errors.LogTruncationError):
        ((partition, end),) = list(error.divergent_offsets.items())[:1]
        return LogTruncated(TopicPartition(*partition), end and end.offset)
    if isinstance(error, kafka.errors.FencedInstanceIdError):
        return MemberFenced(client.config["group_id"], client.config["group_instance_id"])
    if isinstance(error, _DENIED):
        return AccessDenied(servers, str(error))
    if getattr(error, "retriable", False):
        return BrokerUnreachable(servers, str(error))
    return _undecodable(error, client) or ConsumerBroken(f"{type(error).__name__}: {error}")


def _undecodable(error: Exception, client: kafka.KafkaConsumer) -> UndecodableBatch | None:
    # The client names neither partition nor offset, but keeps the batch that it stumbled over.
    batch = getattr(client._fetcher, "_next_partition_records", None)  # type: ignore[attr-defined]
    if batch is None:
        return None
    detail = f"{type(error).__name__}: {error}"
    place = TopicPartition(*batch.topic_partition)
    offset, last = batch.next_fetch_offset, _last_offset(error)
    if last is not None and last > offset:
        detail += f" (it ends at offset {last})"
    return UndecodableBatch(place, offset, detail, last)


def _last_offset(error: BaseException) -> int | None:
    """Where the batch ends: only the generator that failed over it knows."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "_unpack_records":
            last = getattr(trace.tb_frame.f_locals.get("batch"), "last_offset", None)
            return last if isinstance(last, int) else None
        trace = trace.tb_next
    return None
