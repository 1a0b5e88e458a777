"""The broker: it answers, its topics keep and take what they must, and the group reads."""

from collections.abc import Iterator
from datetime import timedelta

from chargeback_worker.broker import TopicDescription
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, failed, ok, warn
from chargeback_worker.errors import Misconfigured
from chargeback_worker.settings import duration_text
from chargeback_worker.usage.event import EVENT_BYTES_MAX

RETENTION_LOW_MS = 7 * 24 * 3600 * 1000
# An invoice with a few hundred lines has so many bytes; an event at most EVENT_BYTES_MAX.
INVOICE_BYTES = 256 * 1024
_NO_LIMIT = str(2**63 - 1)
_NO_LIMITS = (_NO_LIMIT, "-1")
_MOVING = ("PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling")


def broker_answers(patient: Patient) -> Iterator[Finding]:
    topics = patient.world.broker.topics()
    patient.has_broker = True
    servers = ", ".join(patient.settings.kafka.bootstrap_servers)
    yield ok("broker", f"{servers}, {len(topics)} topics")


def topics_fit(patient: Patient) -> Iterator[Finding]:
    if not patient.has_broker:
        return
    kafka = patient.settings.kafka
    for topic, least in (
        (kafka.usage_topic, EVENT_BYTES_MAX),
        (kafka.invoices_topic, INVOICE_BYTES),
    ):
        found = patient.world.broker.describe(topic)
        if found is None:
            error = MissingTopic(topic, ",".join(kafka.bootstrap_servers))
            yield failed("topic", Fault.TOPIC_MISSING, error)
            continue
        patient.topics[topic] = found
        yield ok("topic", _described(found))
        yield from _keeps_messages(found)
        yield from _takes_messages(found, least)
        yield from _survives(found)
        if topic == kafka.usage_topic:
            yield from _knows_how_old(found)


def _described(topic: TopicDescription) -> str:
    replicas = "" if topic.replicas is None else f", {topic.replicas} replicas"
    said = sorted(topic.config.items())
    config = ", ".join(f"{name}={value}" for name, value in said if value not in _NO_LIMITS)
    return f"{topic.name}, {topic.partitions} partitions{replicas}{config and f' ({config})'}"


class TopicForgets(Misconfigured):
    """A topic whose messages replace each other."""

    def __init__(self, topic: str, policy: str) -> None:
        super().__init__(
            f"The topic {topic} has cleanup.policy {policy}: of messages with one key all but the"
            " last are deleted.",
            f"Set cleanup.policy of {topic} to delete.",
        )


class TopicNotWritable(Misconfigured):
    """A topic that asks for more copies than it has."""

    def __init__(self, topic: str, least: int, replicas: int) -> None:
        super().__init__(
            f"The topic {topic} has min.insync.replicas {least} and {replicas} replicas: nobody can"
            " write to it with acks=all.",
            f"Lower min.insync.replicas of {topic}, or add replicas.",
        )


def _keeps_messages(topic: TopicDescription) -> Iterator[Finding]:
    policy = topic.config.get("cleanup.policy", "")
    if "compact" in policy:
        yield failed("topic", Fault.TOPIC_FORGETS, TopicForgets(topic.name, policy))
    kept_ms = int(topic.config.get("retention.ms", -1))
    if 0 <= kept_ms < RETENTION_LOW_MS:
        kept = duration_text(timedelta(milliseconds=kept_ms))
        detail = f"{topic.name} keeps its messages for {kept} only"
        fix = "Raise retention.ms to longer than any outage may last."
        yield warn("topic", Fault.TOPIC_KEEPS_BRIEFLY, detail, fix)
    kept_bytes = int(topic.config.get("retention.bytes", -1))
    if kept_bytes >= 0:
        detail = f"{topic.name} keeps {kept_bytes:,} bytes of each partition only, however old"
        fix = f"Set retention.bytes of {topic.name} to -1, or be sure that they outlast any outage."
        yield warn("topic", Fault.TOPIC_KEEPS_FEW_BYTES, detail, fix)


def _knows_how_old(topic: TopicDescription) -> Iterator[Finding]:
    """Our own messages carry the time at which they are sent; an emitter may give any."""
    kept_ms = int(topic.config.get("retention.ms", -1))
    taken_ms = int(topic.config.get("message.timestamp.before.max.ms", _NO_LIMIT))
    told = topic.config.get("message.timestamp.type") == "CreateTime"
    if told and 0 <= kept_ms < taken_ms:
        kept = duration_text(timedelta(milliseconds=kept_ms))
        detail = f"{topic.name} goes by the time that an emitter gives: what it dates back by more"
        detail += f" than {kept} is taken, and deleted though nobody has read it"
        fix = f"Set message.timestamp.type of {topic.name} to LogAppendTime: we read the event's"
        fix += " own time."
        yield warn("topic", Fault.TOPIC_TRUSTS_TIMES, detail, fix)


def _takes_messages(topic: TopicDescription, least: int) -> Iterator[Finding]:
    taken = int(topic.config.get("max.message.bytes", least))
    if taken < least:
        detail = f"{topic.name} takes messages of {taken:,} bytes only"
        fix = f"Raise max.message.bytes of {topic.name} to {least} or more."
        yield warn("topic", Fault.TOPIC_TAKES_LITTLE, detail, fix)


def _survives(topic: TopicDescription) -> Iterator[Finding]:
    replicas, least = topic.replicas, int(topic.config.get("min.insync.replicas", 1))
    if replicas is None:
        return
    if least > replicas:
        error = TopicNotWritable(topic.name, least, replicas)
        yield failed("topic", Fault.TOPIC_CANNOT_BE_WRITTEN, error)
    elif replicas == 1:
        detail = f"{topic.name} has one replica: a broker that is lost takes its messages with it"
        fix = "Give it three, with min.insync.replicas=2, unless this is for trying out."
        yield warn("topic", Fault.TOPIC_HAS_ONE_COPY, detail, fix)


def group_reads(patient: Patient) -> Iterator[Finding]:
    """Who is in the group. That nobody is, is for `ingest` to judge: it knows what is unread."""
    kafka = patient.settings.kafka
    topic = patient.topics.get(kafka.usage_topic)
    found = patient.world.broker.describe_group(kafka.group_id) if topic is not None else None
    if topic is None or found is None:
        return
    static = sum(member.instance_id is not None for member in found.members)
    members = len(found.members)
    detail = f"{kafka.group_id} is {found.state}, {members} members, {static} of them static"
    if found.state in _MOVING:
        fix = "Look again in a minute; if it goes on, see that no worker starts again and again."
        yield warn("group", Fault.GROUP_MOVES, detail, fix)
        return
    yield ok("group", detail)
    if members > topic.partitions:
        detail = f"{members} members share {topic.partitions} partitions: some have nothing to read"
        servers = ",".join(kafka.bootstrap_servers)
        fix = f"Run fewer workers, or add partitions: kafka-topics --bootstrap-server {servers}"
        fix += f" --alter --topic {topic.name} --partitions {members}"
        yield warn("group", Fault.GROUP_HAS_IDLE_MEMBERS, detail, fix)
