"""Reads a usage event: bytes and headers in, a UsageEvent or a RefusedEvent out.

The order of checks is fixed, so that an event with several faults always has the same reason:
readable JSON, envelope, id, time, cost, quantity, then the texts.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from chargeback_worker.errors import Misconfigured
from chargeback_worker.money import COST_LIMIT_NANO, QUANTITY_LIMIT_NANO
from chargeback_worker.period import YEAR_MAX, YEAR_MIN, format_us, to_us
from chargeback_worker.usage import formats
from chargeback_worker.usage.digests import content_digest, identity_digest
from chargeback_worker.usage.fields import MISSING, Fields, identifier, label, name, nano
from chargeback_worker.usage.formats import cloudevents
from chargeback_worker.usage.formats.cloudevents import Envelope
from chargeback_worker.usage.instant import BillingDays, Instants
from chargeback_worker.usage.json_object import JsonObject, decode_object
from chargeback_worker.usage.refusal import Reason, Refusal, RefusedEvent, shown

__all__ = [
    "DEFAULT_RESOURCE_TYPE",
    "EVENT_BYTES_MAX",
    "LABELS_MAX",
    "Grain",
    "InvalidLabels",
    "RawEvent",
    "Reader",
    "Reason",
    "Received",
    "RefusedEvent",
    "UnknownTimezone",
    "UsageEvent",
    "content_digest",
    "identity_digest",
]

DEFAULT_RESOURCE_TYPE = "query"
EVENT_BYTES_MAX = 262_144
LABELS_MAX = 8

_TIMESTAMP = "/timestamp"
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = to_us(datetime(YEAR_MIN, 1, 1, tzinfo=UTC))
_FIRST_DAY = YEAR_MIN * 10000 + 101
# A day short of the last year that periods know, so that no time zone leads beyond it.
_LAST_US = to_us(datetime(YEAR_MAX, 12, 31, tzinfo=UTC))
# Sorted, so that the order of keys in an event does not show in what is stored.
_encode_metadata = msgspec.json.Encoder(order="sorted").encode


class UnknownTimezone(Misconfigured):
    """`billing.timezone` names no time zone."""

    def __init__(self, timezone: str) -> None:
        super().__init__(
            f"billing.timezone is {timezone!r}, which is no time zone.",
            "Write a name of the IANA database, for instance Europe/Berlin or UTC.",
        )


class InvalidLabels(Misconfigured):
    """`grain.labels` cannot be used."""

    def __init__(self, labels: tuple[str, ...], fault: str) -> None:
        super().__init__(
            f"grain.labels is {list(labels)!r}: {fault}.",
            f"Name at most {LABELS_MAX} different metadata keys.",
        )


class RawEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as it arrived; `position` is its offset, line number or quarantine id."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    key: bytes | None = None
    position: int = 0


class Received(msgspec.Struct, frozen=True):
    """What stands in for what an event leaves out: its time of receipt, and `usage_id`.

    Without that an event that has no id is refused.
    """

    usage_id: str | None


class UsageEvent(msgspec.Struct, frozen=True, gc=False):
    """One use, read and checked. Amounts are in nano-units, `metadata` is compact JSON text."""

    source: str
    usage_id: str
    time_us: int
    day: int
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    quantity: int
    cost: int
    labels: tuple[str | None, ...]
    resource_id: str | None
    metadata: str | None
    identity: bytes
    content: bytes


@dataclass(frozen=True)
class Grain:
    """What usage is kept by; fixed in the database at its first start."""

    timezone: str
    labels: tuple[str, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if len(self.labels) > LABELS_MAX:
            raise InvalidLabels(self.labels, f"there are {len(self.labels)}")
        if len(set(self.labels)) < len(self.labels):
            raise InvalidLabels(self.labels, "one is there twice")
        if "" in self.labels:
            raise InvalidLabels(self.labels, "one is empty")
        object.__setattr__(self, "labels", tuple(sorted(self.labels)))

    def zone(self) -> ZoneInfo:
        """The billing time zone. Raises UnknownTimezone."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UnknownTimezone(self.timezone) from None


class Reader:
    """Reads events for one grain."""

    def __init__(
        self,
        grain: Grain,
        *,
        max_future: timedelta = timedelta(hours=24),
        max_age: timedelta | None = None,
        event_bytes_max: int = EVENT_BYTES_MAX,
    ) -> None:
        self._source = grain.source
        self._labels = grain.labels
        self._instants = Instants()
        self._days = BillingDays(grain.zone())
        self._max_future_us = max_future // _MICROSECOND
        self._max_age_us = None if max_age is None else max_age // _MICROSECOND
        self._event_bytes_max = event_bytes_max

    def read(
        self, raw: RawEvent, now_us: int, received: Received | None = None
    ) -> UsageEvent | RefusedEvent:
        """What the event says, or why it is refused.

        `received` is given by a door whose events may leave it to their receipt what they are
        called and when they were.
        """
        try:
            return self._read(raw, now_us, received)
        except Refusal as refusal:
            return RefusedEvent(refusal.reason, refusal.detail, refusal.pointer)

    def _read(self, raw: RawEvent, now_us: int, received: Received | None) -> UsageEvent:
        fields, envelope = self._open(raw)
        usage_id = identifier(fields.usage_id, "the id")
        source = self._source
        if usage_id is None and (envelope is None or envelope.id in MISSING):
            usage_id = None if received is None else received.usage_id
        if usage_id is None:
            source, usage_id = _identity_of(envelope)
        timestamp = fields.timestamp
        if timestamp in MISSING:
            timestamp = None if envelope is None else envelope.time
        if received is not None and timestamp in MISSING:
            told_us = None
            time_us, day = now_us, self._days.of(now_us)
        else:
            time_us, day = self._time(timestamp, now_us)
            told_us = time_us
        if fields.cost is None:
            raise Refusal(Reason.MISSING_COST, "It has no cost_usd.", "/cost_usd")
        cost = nano(fields.cost, "cost_usd", COST_LIMIT_NANO)
        quantity = (
            0 if fields.quantity is None else nano(fields.quantity, "quantity", QUANTITY_LIMIT_NANO)
        )
        resource_type = name(fields.resource_type, "the resource type", DEFAULT_RESOURCE_TYPE)
        agent = identifier(fields.agent, "agent_id")
        metadata = _metadata(fields.metadata, fields.rest)
        labels: tuple[str | None, ...] = ()
        if self._labels:
            labels = tuple([label(metadata.get(key), key) for key in self._labels])
        # What is taken out of metadata is a field of the record from here on.
        team = identifier(
            metadata.pop("team_id", None) if fields.team in MISSING else fields.team, "team_id"
        )
        user = identifier(
            metadata.pop("user_id", None) if fields.user in MISSING else fields.user, "user_id"
        )
        return UsageEvent(
            source,
            usage_id,
            time_us,
            day,
            team,
            user,
            agent,
            resource_type,
            quantity,
            cost,
            labels,
            identifier(fields.resource_id, "resource_id"),
            _encode_metadata(metadata).decode() if metadata else None,
            identity_digest(source, usage_id),
            # A time of receipt is another with each try, so it takes no part.
            content_digest(told_us, team, user, agent, resource_type, quantity, cost, labels),
        )

    def _open(self, raw: RawEvent) -> tuple[Fields, Envelope | None]:
        """The fields as they were written, and the envelope around them."""
        value = raw.value
        if value is None:
            raise Refusal(
                Reason.TOMBSTONE, "It has no value at all (a tombstone); usage is never deleted so."
            )
        if len(value) > self._event_bytes_max:
            raise Refusal(
                Reason.TOO_LARGE,
                f"It has {len(value)} bytes, more than the {self._event_bytes_max} allowed.",
            )
        document = decode_object(value)
        if "specversion" in document or raw.headers:
            envelope = cloudevents.open_envelope(document, raw.headers)
            if envelope is not None:
                return formats.read(envelope.data), envelope
        return formats.read(document), None

    def _time(self, timestamp: object, now_us: int) -> tuple[int, int]:
        """The instant and its billing day."""
        if timestamp in MISSING:
            raise Refusal(Reason.MISSING_TIMESTAMP, "It has no timestamp.", _TIMESTAMP)
        try:
            time_us = self._instants.us(timestamp)
        except Refusal as refusal:
            refusal.pointer = _TIMESTAMP
            raise
        if not _FIRST_US <= time_us <= _LAST_US or time_us > now_us + self._max_future_us:
            raise self._out_of_range(timestamp, time_us, now_us)
        if self._max_age_us is not None and time_us < now_us - self._max_age_us:
            raise Refusal(
                Reason.TOO_OLD,
                f"timestamp is {shown(timestamp)}, "
                f"before {format_us(now_us - self._max_age_us)} (ingest.max_age).",
                _TIMESTAMP,
            )
        day = self._days.of(time_us)
        if day < _FIRST_DAY:
            raise self._out_of_range(timestamp, time_us, now_us)
        return time_us, day

    def _out_of_range(self, timestamp: object, time_us: int, now_us: int) -> Refusal:
        fault = f"before {YEAR_MIN}" if time_us < now_us else "too far ahead (ingest.max_future)"
        detail = f"timestamp is {shown(timestamp)}, {fault}."
        return Refusal(Reason.TIME_OUT_OF_RANGE, detail, _TIMESTAMP)


def _identity_of(envelope: Envelope | None) -> tuple[str, str]:
    """Source and id of the envelope, for data without an id of its own."""
    if envelope is None:
        raise Refusal(
            Reason.NO_ID,
            "It has no id: no usage_id, no call_id, and no CloudEvent around it.",
            "/usage_id",
        )
    usage_id = identifier(envelope.id, "the id of the CloudEvent")
    source = identifier(envelope.source, "the source of the CloudEvent")
    if usage_id is None or source is None:
        lacking = "id" if usage_id is None else "source"
        raise Refusal(
            Reason.NO_ID,
            f"It has no id: no usage_id, no call_id, and its CloudEvent has no {lacking}.",
        )
    return source, usage_id


def _metadata(metadata: object, rest: JsonObject) -> JsonObject:
    """All that has no field of its own; metadata stands before a top-level field of that name."""
    if type(metadata) is dict:
        if not rest:
            return metadata
        rest.update(metadata)
    elif metadata is not None:
        detail = f"metadata is {shown(metadata)}, not an object."
        raise Refusal(Reason.WRONG_TYPE, detail, "/metadata")
    return rest
