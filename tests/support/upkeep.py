"""What the tests of prune, rebuild and erase look at: the money, and every byte of a database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

import sqlalchemy as sa

from chargeback_worker.invoicing.document import encode
from chargeback_worker.pipeline.prune import AT_ONCE, Progress, prune
from chargeback_worker.reports.allocations import list_allocations
from chargeback_worker.reports.periods import list_periods
from chargeback_worker.reports.usage_summary import usage_summary
from chargeback_worker.store import Store, Transaction, periods
from chargeback_worker.store.tables import metadata
from tests.support.command import Command
from tests.support.damage import unguarded_for_good
from tests.support.feed import Feed, usage
from tests.support.ledger import TERMS, act, written
from tests.support.made_months import FAR_US

NOTHING = timedelta(0)
_WAITS_S = 60


def pruned(store: Store, keep: timedelta = NOTHING, *, at_once: int = AT_ONCE) -> list[Progress]:
    return list(prune(store, keep, act(FAR_US), at_once=at_once))


def money(store: Store) -> dict[str, Any]:
    """What anybody is told of money: invoices, messages, months, allocations, summaries."""
    with store.read() as transaction:
        months = [row.period for row in periods.listed(transaction)]
    found: dict[str, Any] = dict(written(store))
    found["periods"] = encode(list_periods(store, now_us=FAR_US, close_delay=NOTHING))
    for month in months:
        allocations = list_allocations(store, month.days(), TERMS, usage_ids_max=0)
        found[f"allocations of {month}"] = encode({**allocations, "pruned": None})
        found[f"summary of {month}"] = encode(usage_summary(store, month.days()))
    return found


def dumped(store: Store, but: tuple[str, ...] = ()) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with store.read() as transaction:
        return {
            table.name: sorted(map(tuple, transaction.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
            if table.name not in but
        }


def damage(store: Store, *statements: str) -> None:
    """Do by hand what the guards refuse, and leave it so."""
    with unguarded_for_good(store) as transaction:
        for statement in statements:
            transaction.execute(sa.text(statement))


def damaged(chargeback: Command, *statements: str) -> None:
    """The same to the database of a command."""
    store = Store(chargeback.options[1])
    damage(store, *statements)
    store.close()


def fields(lines: str) -> list[list[str]]:
    """The words of each line."""
    return [line.split() for line in lines.splitlines()]


def file_bytes(store: Store) -> bytes:
    """All files of a SQLite database."""
    path = Path(store.name.removeprefix("sqlite:///"))
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


class Held(Store):
    """A store whose writing transaction, once `holds` is set, waits for `go` before it commits."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.holds = False
        self.wrote, self.go = Event(), Event()

    @contextmanager
    def begin(self, *, idle_s: int | None = None) -> Iterator[Transaction]:
        with super().begin(idle_s=idle_s) as transaction:
            yield transaction
            if self.holds:
                self.hold()

    def hold(self) -> None:
        self.wrote.set()
        self.go.wait()


def url_of(store: Store) -> str:
    return store.engine.url.render_as_string(hide_password=False)


def wait_until_one_waits(store: Store) -> None:
    """Until a transaction on that PostgreSQL database waits for another one."""
    waiting = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + _WAITS_S
    while time.monotonic() < deadline:
        with store.read() as transaction:
            if transaction.execute(waiting).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@contextmanager
def ingesting(store: Store, *, day: str) -> Iterator[Event]:
    """A worker that ingests to the end of the block, by a connection and partition of its own.

    The event it yields is set once it has committed something.
    """
    stop, going = Event(), Event()
    fault: list[BaseException] = []

    def run() -> None:
        own = Store(url_of(store))
        try:
            feed = Feed(own, partition=7, now_us=FAR_US)
            number = 0
            while not stop.is_set():
                values = [usage(f"flow-{number + n}", "0.25", day=day) for n in range(20)]
                feed.send(*values, values[0], b"no usage")
                number += 20
                going.set()
        except BaseException as error:
            fault.append(error)
        finally:
            going.set()
            own.close()

    thread = Thread(target=run)
    thread.start()
    try:
        going.wait()
        yield going
    finally:
        stop.set()
        thread.join()
    assert fault == []
