"""Two months of many receivers: put their usage into a database, close them, copy what was written.

Every team has one to three resource types of its own, so one to three lines. Every tenth is there
in the second month as well, so that its two messages have an order.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import islice
from time import perf_counter
from typing import Any
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline import close as close_step
from chargeback_worker.store import Store, installation, periods, schema, totals
from chargeback_worker.store.audit import Act
from chargeback_worker.usage.event import Grain
from chargeback_worker.usage.total import UsageTotal
from tests.benchmarks.child import Clock, Found

MONTHS = (Period(2026, 10), Period(2026, 11))
RESOURCE_TYPES = ("tokens_in", "tokens_out", "tool_call")
WRITTEN = ("booking", "invoice", "invoice_line", "outbox", "outbox_sequence")
_ONE_IN = 10
_ACT = Act("bench", to_us(datetime(2026, 12, 22, 12, tzinfo=UTC)))
_TOTALS_AT_ONCE = 20_000


def usage(receivers: int) -> Iterator[UsageTotal]:
    for team in range(receivers):
        for line in range(1 + team % len(RESOURCE_TYPES)):
            yield _total(MONTHS[0], team, line)
    for team in range(0, receivers, _ONE_IN):
        yield _total(MONTHS[1], team, 0)


def messages(receivers: int) -> int:
    """How many there are on the topic in the end: one for each invoice, and one for each month."""
    return receivers + len(range(0, receivers, _ONE_IN)) + len(MONTHS)


def _total(period: Period, team: int, line: int) -> UsageTotal:
    amount = (team * 7919 + line * 104_729) % 1_000_003 + 1
    return UsageTotal(
        period=period,
        day=date(period.year, period.month, 1 + team % 28),
        team=f"team-{team:06}",
        user=f"user-{team:06}",
        agent=f"agent-{team:06}",
        resource_type=RESOURCE_TYPES[line],
        labels=(),
        # Above a cent, so that none is without an invoice.
        cost=amount * 1_009 + NANO,
        quantity=amount * NANO,
        records=1,
    )


def fill(url: str, receivers: int) -> Found:
    """The totals, as ingest would have summed them."""
    store = Store(url)
    schema.upgrade(store)
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("UTC", ()))
        installation.settle_first_period(transaction, None, MONTHS[0])
        for period in MONTHS:
            periods.find_or_make(transaction, period, ZoneInfo("UTC"))
    made = usage(receivers)
    while chunk := list(islice(made, _TOTALS_AT_ONCE)):
        with store.begin() as transaction:
            totals.add(transaction, (total.sum() for total in chunk))
    store.close()
    return {}


def close(url: str, month: int) -> Found:
    """Close a month. `write` is what follows its computation: rows, numbers, messages, commit."""
    store, began = Store(url), perf_counter()
    with _computed() as at:
        done = close_step.close(store, MONTHS[month], Snapshot(), _ACT, owner="bench").close
    took = perf_counter() - began
    store.close()
    return {
        "close": took,
        "compute": at[0] - began,
        "write": took - (at[0] - began),
        "invoices": done.invoices,
    }


@contextmanager
def _computed() -> Iterator[list[float]]:
    """When the close has computed what it writes."""
    step, at = vars(close_step), list[float]()
    compute = step["compute"]

    def noted(*arguments: Any, **options: Any) -> Any:
        computed = compute(*arguments, **options)
        at.append(perf_counter())
        return computed

    step["compute"] = noted
    try:
        yield at
    finally:
        step["compute"] = compute


def copy(url: str) -> Found:
    """The rows that the closes wrote, put by COPY into the same tables without their guards."""
    store = Store(url)
    with store.engine.begin() as connection:
        raw: Any = connection.connection.driver_connection
        rows: dict[str, bytes] = {}
        with raw.cursor() as cursor:
            cursor.execute("CREATE SCHEMA bare")
            for table in WRITTEN:
                cursor.execute(f"CREATE TABLE bare.{table} (LIKE public.{table} INCLUDING ALL)")
                with cursor.copy(f"COPY public.{table} TO STDOUT") as out:
                    rows[table] = b"".join(out)
    clock = Clock()
    with store.engine.begin() as connection:
        raw = connection.connection.driver_connection
        with raw.cursor() as cursor:
            for table, written in rows.items():
                with cursor.copy(f"COPY bare.{table} FROM STDIN") as into:
                    into.write(written)
    clock.lap("copy")
    store.close()
    return {**clock.found, "mb": sum(map(len, rows.values())) / 1024**2}
