"""What children do: fill a database with a month, allocate it, close it."""

from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping, Values, grouping
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.settle import settle
from chargeback_worker.period import to_us
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.close import finish_closing, start_closing
from chargeback_worker.store import (
    Store,
    installation,
    origins,
    periods,
    rules,
    schema,
    snapshots,
    totals,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain
from tests.benchmarks import (
    database_step,
    meanwhile,
    month,
    preload,
    quarantine,
    reading,
    receivers,
    records,
    shown_cost,
    topic,
)
from tests.benchmarks.child import Clock, Found, Job
from tests.benchmarks.month import LABELS, PERIOD, Month

_TERMS = Snapshot(labels=LABELS)
_ACT = Act("bench", to_us(datetime(2026, 11, 22, 12, tzinfo=UTC)))
_TOTALS_AT_ONCE = 20_000


def fill(url: str, pairs: int, of_pair: int, records: int) -> Found:
    """The month's totals, as ingest would have summed them, its rules and its directory."""
    store = Store(url)
    schema.upgrade(store)
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("UTC", LABELS))
        installation.settle_first_period(transaction, None, PERIOD)
        periods.find_or_make(transaction, PERIOD, ZoneInfo("UTC"))
        rules.insert(transaction, month.rules(), _ACT)
    apply_directory(store, month.directory_document(pairs), _ACT)
    made = Month(pairs, of_pair, records).totals()
    while chunk := list(islice(made, _TOTALS_AT_ONCE)):
        with store.begin() as transaction:
            totals.add(transaction, (total.sum() for total in chunk))
    _settle_down(store)
    store.close()
    return {}


def allocate(url: str, *, apart: bool = False) -> Found:
    """Read a month and settle it; `apart` keeps every total apart, as a method could ask for."""
    store, clock = Store(url), Clock()
    with store.read() as transaction:
        snapshot = snapshots.of_now(transaction, PERIOD.days(), _TERMS)
        clock.lap("decide")
        kept = _everything_kept() if apart else grouping(snapshot, PERIOD.days())
        groups = origins.counted(transaction, PERIOD, [PERIOD], kept)
        clock.lap("read")
        owed = settle(groups, snapshot, {}, origin=PERIOD, closing=PERIOD)
        clock.lap("settle")
        used = origins.cost_in(transaction, PERIOD)
    assert sum(row.cost for row in owed) == used, used
    store.close()
    return {**clock.found, "groups": len(groups), "rows": len(owed)}


def close(url: str) -> Found:
    """Close the month, and see that it asks for nothing of any single record."""
    store, statements = Store(url), list[str]()

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(store.engine, "before_cursor_execute", note)
    clock = Clock()
    # All of it is done by transactions that write, so this engine sees every statement.
    start_closing(store, PERIOD, _TERMS, _ACT, owner="bench")
    done = finish_closing(store, PERIOD, _TERMS, _ACT, owner="bench").close
    clock.lap("close")
    of_records = [statement for statement in statements if "usage_record" in statement]
    assert statements, "no statement was seen"
    assert not of_records, of_records
    store.close()
    return {**clock.found, "invoices": done.invoices, "statements": len(statements)}


def _settle_down(store: Store) -> None:
    """Let the database have done what it does by itself when it is idle."""
    if store.dialect.name == "postgresql":
        autocommit = store.engine.execution_options(isolation_level="AUTOCOMMIT")
        with autocommit.connect() as connection:
            connection.exec_driver_sql("VACUUM ANALYZE usage_total")


def _everything_kept() -> Grouping:
    whole = Values(whole=True)
    return Grouping(tuple(PERIOD.days().each()), whole, (whole,) * len(LABELS))


def _apart(url: str) -> Found:
    return allocate(url, apart=True)


JOBS: dict[str, Job] = {
    "fill": fill,
    "put_records": records.put,
    "allocate": allocate,
    "apart": _apart,
    "close": close,
    "fill_receivers": receivers.fill,
    "close_receivers": receivers.close,
    "copy_rows": receivers.copy,
    "ingest_meanwhile": meanwhile.ingest,
    "publish": topic.publish,
    "check_topic": topic.check,
    "produce": topic.produce,
    "prepare": database_step.prepare,
    "step": database_step.step,
    "bare": database_step.write,
    "preload": preload.preload,
    "fill_topic": reading.fill_topic,
    "consume": reading.consume,
    "shown": lambda _, *sizes: shown_cost.shown(*sizes),
    "hold": quarantine.hold,
    "take": quarantine.take,
    "replay": quarantine.replay,
}
