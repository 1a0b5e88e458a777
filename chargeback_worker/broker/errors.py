"""What a broker can answer instead of messages; each error writes its own sentence."""

from chargeback_worker.broker import TopicPartition
from chargeback_worker.errors import Conflict, Invalid, Misconfigured, Unavailable


class BrokerUnreachable(Unavailable):
    """No broker answered in time."""

    def __init__(self, servers: str, detail: str) -> None:
        super().__init__(
            f"The broker at {servers} did not answer: {detail}",
            hint="check kafka.bootstrap_servers, and that the broker runs and is reached from here",
        )
        self.servers = servers


class ConsumerBroken(Unavailable):
    """The consumer failed before; only a new one can go on."""

    def __init__(self, detail: str) -> None:
        super().__init__(f"This consumer failed and has to be made anew: {detail}")


class DeliveryFailed(Unavailable):
    """It is not known whether the message was stored."""

    def __init__(self, topic: str, detail: str) -> None:
        super().__init__(f"A message to topic {topic} was not acknowledged: {detail}")


class MessageRefused(Invalid):
    """The broker will never take this message."""

    def __init__(self, topic: str, detail: str) -> None:
        super().__init__(
            f"Topic {topic} refuses the message for ever: {detail}",
            hint=f"raise max.message.bytes of {topic}, or make the message smaller",
        )


class MissingTopic(Misconfigured):
    """The topic does not exist, and topics are not made by accident."""

    def __init__(self, topic: str, servers: str) -> None:
        super().__init__(
            f"There is no topic {topic} at {servers}.",
            hint="chargeback topics create",
        )
        self.topic = topic


class AccessDenied(Misconfigured):
    """The broker knows us and does not allow this, or does not know us."""

    def __init__(self, servers: str, detail: str) -> None:
        super().__init__(
            f"The broker at {servers} does not allow this: {detail}",
            hint="check the security settings of kafka.* and the rights of this user",
        )


class UnusableOption(Misconfigured):
    """An option of the Kafka client is unknown, fixed by us, or of a wrong value."""

    def __init__(self, option: str, detail: str) -> None:
        super().__init__(f"The Kafka option {option!r} cannot be used: {detail}")
        self.option = option


class MemberFenced(Conflict):
    """Another process runs under our name in the group."""

    def __init__(self, group_id: str, instance_id: str | None) -> None:
        super().__init__(
            f"Another process of group {group_id} has taken over as member {instance_id!r}.",
            hint="give every process its own kafka.group_instance_id",
        )


class OffsetOutOfRange(Conflict):
    """The broker does not hold the offset where reading should go on."""

    def __init__(self, partition: TopicPartition, offset: int) -> None:
        super().__init__(
            f"{partition} holds nothing at offset {offset}, where reading should go on: messages "
            "were dropped before they were read, or the topic is another one.",
            hint="chargeback offsets show, then offsets accept-gap or adopt-topic",
        )
        self.partition = partition
        self.offset = offset


class LogTruncated(Conflict):
    """The broker lost messages that were already read."""

    def __init__(self, partition: TopicPartition, offset: int | None) -> None:
        where = "an unknown offset" if offset is None else f"offset {offset}"
        super().__init__(
            f"{partition} was cut back to {where}, below what was already read from it.",
            hint="chargeback offsets show, then offsets accept-gap",
        )
        self.partition = partition
        self.offset = offset


class UndecodableBatch(Conflict):
    """What lies at this position cannot be read as messages. `last` is its end where known."""

    def __init__(
        self, partition: TopicPartition, offset: int, detail: str, last: int | None = None
    ) -> None:
        whole = f"{offset}-{last}" if last is not None and last > offset else f"{offset}"
        skip = f"To go past all of it: chargeback offsets skip {partition}:{whole} --reason TEXT"
        super().__init__(
            f"The batch at {partition}:{offset} cannot be decoded: {detail}", hint=skip
        )
        self.partition = partition
        self.offset = offset
        self.last = last
