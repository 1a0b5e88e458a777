"""A partition of a topic as the tests of steps need it: values in, positions kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from msgspec.structs import replace

from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.ingest import IngestResult, Part, ReadEvent, ingest, read_events
from chargeback_worker.store import Store, cursors, installation, periods, totals
from chargeback_worker.store.cursors import Cursor, Door
from chargeback_worker.store.tables import billing_period, usage_key, usage_record
from chargeback_worker.usage.event import Grain, RawEvent, Reader
from chargeback_worker.usage.total import UsageTotal

NOW_US = to_us(datetime(2026, 11, 22, 12, tzinfo=UTC))
UTC_GRAIN = Grain("UTC")
BYTES_MAX = 1_048_576


def usage(
    usage_id: str, cost: str = "1", *, day: str = "2026-10-03", team: str | None = "T", **more: Any
) -> bytes:
    """A usage record as JSON; `cost` and a text `quantity` are written as they are."""
    fields = {"usage_id": usage_id, "timestamp": f"{day}T12:00:00Z", "team_id": team, **more}
    fields = {"user_id": "u", **fields}
    quantity = fields.pop("quantity", "1")
    return f'{json.dumps(fields)[:-1]}, "cost_usd": {cost}, "quantity": {quantity}}}'.encode()


@dataclass
class Feed:
    """One partition, read from offset 0; what is sent to it is ingested at once."""

    store: Store
    partition: int = 0
    topic: str = "usage-events"
    grain: Grain = UTC_GRAIN
    now_us: int = NOW_US
    reader: Reader = field(init=False)

    def __post_init__(self) -> None:
        self.reader = Reader(self.grain)
        with self.store.begin() as transaction:
            installation.settle_grain(transaction, self.grain)
            installation.settle_first_period(transaction, None, Period(2026, 10))

    @property
    def zone(self) -> ZoneInfo:
        return self.grain.zone()

    @property
    def cursor(self) -> Cursor:
        return self.door(Door.TOPIC, self.topic, self.partition)

    def door(self, kind: Door, name: str, partition: int = 0) -> Cursor:
        with self.store.begin() as transaction:
            return cursors.make(transaction, kind, name, partition, now_us=self.now_us)

    def part(self, values: Sequence[bytes | RawEvent | None]) -> Part:
        """What the values are as the next ones of the partition."""
        cursor = self.cursor
        return Part(
            cursor.cursor_id,
            self.read(values, cursor.next_position),
            cursor.next_position,
            cursor.next_position + len(values),
        )

    def read(self, values: Sequence[bytes | RawEvent | None], first: int) -> list[ReadEvent]:
        raws = [
            replace(value if isinstance(value, RawEvent) else RawEvent(value), position=first + n)
            for n, value in enumerate(values)
        ]
        return read_events(self.reader, raws, self.now_us)

    def send(self, *values: bytes | RawEvent | None) -> list[str]:
        """Ingest one batch; how each of its events ended."""
        result = self.ingest(self.part(values))
        return [outcome.value for outcome in result.parts[0].outcomes]

    def ingest(self, *parts: Part) -> IngestResult:
        return ingest(
            self.store, parts, zone=self.zone, quarantine_bytes_max=BYTES_MAX, now_us=self.now_us
        )


def set_state(store: Store, period: Period, state: str) -> None:
    """Put a period into a state by hand, with the row it may not have yet."""
    with store.begin() as transaction:
        periods.find_or_make(transaction, period, ZoneInfo("UTC"))
        transaction.execute(
            sa.update(billing_period)
            .where(billing_period.c.period == period.number)
            .values(state=state)
        )


@dataclass(frozen=True)
class Held:
    """What is stored of usage, apart from where and when each event came."""

    keys: frozenset[tuple[bytes, bytes, int]]
    records: tuple[tuple[Any, ...], ...]
    totals: dict[bytes, UsageTotal]


_WHERE_IT_CAME_FROM = ("cursor_id", "position", "received_us")


def held(store: Store) -> Held:
    """All usage in a store, to be compared."""
    columns = [column for column in usage_record.c if column.name not in _WHERE_IT_CAME_FROM]
    with store.read() as transaction:
        keys = transaction.execute(sa.select(usage_key))
        records = transaction.execute(sa.select(*columns).order_by(usage_record.c.identity))
        return Held(
            frozenset(tuple(row) for row in keys),
            tuple(tuple(row) for row in records),
            totals.stored(transaction),
        )
