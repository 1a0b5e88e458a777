"""Events that are read already, into a database: by our step, and by the bare bulk write.

The bare write is given the very rows that our step writes, sorted out and without duplicates, and
writes them into the same tables with their indexes, in as many transactions. It keeps no totals, no
conflicts and no positions, and looks for no key. Writing the rows as text is part of both.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chargeback_worker.pipeline import ingest as ingest_step
from chargeback_worker.pipeline.ingesting.settled import settle
from chargeback_worker.store import Store, cursors, installation, periods, schema
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.usage.event import Grain
from tests.benchmarks import bare, cpu
from tests.benchmarks.child import Found
from tests.benchmarks.usage_stream import MONTH, NOW_US, PARTITIONS, TOTALS_A_DAY, batches, parts

_BYTES_MAX = 1 << 20
_ZONE = ZoneInfo("UTC")
Write = Callable[[Any, Sequence[NewRecord]], None]
"""The bare write of one batch by a driver's connection, which it commits."""


def prepare(url: str) -> Found:
    """The tables and the month, with nothing in them."""
    store = Store(url)
    schema.upgrade(store)
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("UTC"))
        installation.settle_first_period(transaction, None, MONTH)
        periods.find_or_make(transaction, MONTH, _ZONE)
    store.close()
    return {}


def step(url: str, events: int, size: int, seed: int, totals_a_day: int = TOTALS_A_DAY) -> Found:
    """Our step on `events` events, `size` a batch, by a store that has run for some time, so that
    it has learned the keys that are sealed. Another seed has other events."""
    store = Store(url)
    made = list(batches(events, size, seed, totals_a_day))
    ids = _cursors(store, f"step-{seed}")
    began = perf_counter()
    for _ in store.learn_keys():
        pass
    learn_s = perf_counter() - began
    with Measured(store) as measured:
        for batch in made:
            result = ingest_step.ingest(
                store,
                parts(batch, ids),
                zone=_ZONE,
                quarantine_bytes_max=_BYTES_MAX,
                now_us=NOW_US,
            )
            measured.accepted += result.tally.accepted
            measured.events += result.tally.consumed
    store.close()
    return measured.found | {"learn_s": learn_s}


def write(url: str, events: int, size: int, seed: int, totals_a_day: int = TOTALS_A_DAY) -> Found:
    """The rows of the same events by the bare bulk write of that database."""
    store = Store(url)
    bare_write = bare.WRITES[store.dialect.name]
    rows = list(_rows(events, size, seed, totals_a_day))
    with Measured(store) as measured, store.engine.connect() as connection:
        raw = connection.connection.driver_connection
        for records in rows:
            bare_write(raw, records)
        measured.accepted, measured.events = sum(map(len, rows)), events
    store.close()
    return measured.found


@dataclass
class Measured:
    """What a database and this process do while the block runs, as figures of one event."""

    store: Store
    events: int = 0
    accepted: int = 0
    found: Found = field(default_factory=dict)
    _before: dict[str, float] = field(default_factory=dict)
    _began: float = 0.0

    def __enter__(self) -> "Measured":
        # What was made for the measurement is not for the garbage collector to look through.
        gc.collect()
        gc.freeze()
        self._before = _counters(self.store, checkpoint=True)
        self._began = perf_counter()
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        took = perf_counter() - self._began
        gc.unfreeze()
        if failed is not None:
            return
        after = _counters(self.store)
        each = {name: (value - self._before[name]) / self.events for name, value in after.items()}
        self.found = {"rate": self.events / took, "seconds": took, "accepted": self.accepted}
        self.found |= {f"{name}_us": 1e6 * each[name] for name in ("worker", "backend", "server")}
        self.found |= {f"{name}_bytes": each[name] for name in ("wal", "disk")}


def _counters(store: Store, *, checkpoint: bool = False) -> dict[str, float]:
    times = os.times()
    found = {"worker": times.user + times.system, "backend": 0.0, "server": 0.0, "wal": 0.0}
    if store.dialect.name != "postgresql":
        return found | {"disk": _size(store)}
    autocommit = store.engine.execution_options(isolation_level="AUTOCOMMIT")
    with autocommit.connect() as connection:
        if checkpoint:
            with suppress(sa.exc.ProgrammingError):
                # Not everybody may ask for one.
                connection.exec_driver_sql("CHECKPOINT")
        row = connection.exec_driver_sql(
            "SELECT pg_backend_pid(), pg_current_wal_lsn() - '0/0'::pg_lsn,"
            " pg_database_size(current_database())"
        ).one()
    found |= {"wal": float(row[1]), "disk": float(row[2])}
    return found | {"backend": cpu.of_backend(row[0]), "server": cpu.of_server(row[0])}


def _size(store: Store) -> float:
    path = store.engine.url.database
    assert path is not None
    return float(os.path.getsize(path))


def _cursors(store: Store, topic: str) -> list[int]:
    with store.begin() as transaction:
        made = [
            cursors.make(transaction, cursors.Door.TOPIC, topic, number, now_us=NOW_US)
            for number in range(PARTITIONS)
        ]
    return [cursor.cursor_id for cursor in made]


def _rows(events: int, size: int, seed: int, totals_a_day: int) -> Iterator[list[NewRecord]]:
    """The records that our step would make of each batch."""
    seen: dict[bytes, bytes] = {}
    billed_in = {MONTH.number: MONTH.number}
    for batch in batches(events, size, seed, totals_a_day):
        settled = settle(parts(batch, range(PARTITIONS)), seen, billed_in, NOW_US)
        seen |= {record.event.identity: record.event.content for record in settled.records}
        yield settled.records
