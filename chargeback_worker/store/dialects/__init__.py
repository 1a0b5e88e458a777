"""What SQLite and PostgreSQL do each in their own way; nowhere else is a dialect named.

Owns: connecting and pragmas, locks, the database's clock, writes of many rows, guards
(triggers), and which errors mean "not reachable" or "try again". Does not own: any SQL that both
understand (that is in the file of its subject), or what the numbers mean.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec
import sqlalchemy as sa

from chargeback_worker.errors import ChargebackError, Misconfigured
from chargeback_worker.usage.event import UsageEvent
from chargeback_worker.usage.total import UsageSum


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """An event on its way into the store: what is decided about it, and where it came from."""

    event: UsageEvent
    total: UsageSum
    cursor_id: int
    position: int
    received_us: int


class Dialect(Protocol):
    """Every method that takes a connection works inside its open transaction and never commits."""

    name: str
    one_worker: bool
    """Whether it bears only one worker at a time; `only_worker` then keeps a second one out."""
    driver_error: type[Exception]
    """The root of the driver's own exceptions, which the bulk writes raise as they are."""

    def create_engine(self, url: sa.URL) -> sa.Engine:
        """An engine whose transactions begin as this dialect needs it. Opens nothing."""
        ...

    def reading(self, engine: sa.Engine) -> sa.Engine:
        """The same engine for transactions that only read, from one snapshot."""
        ...

    def writing(self, database: str) -> AbstractContextManager[None]:
        """What a writing transaction holds in this process, around all of it."""
        ...

    def end_when_idle(self, connection: sa.Connection, idle_s: int) -> None:
        """Let the server end this transaction if its client does nothing in it for so long."""
        ...

    def end_sleepers(self, engine: sa.Engine) -> Sequence[str]:
        """End others' transactions whose client sleeps in the midst of a statement, where somebody
        waits for them; a sentence for each. Nobody is asleep at the first look."""
        ...

    def only_worker(self, url: sa.URL) -> AbstractContextManager[None]:
        """Held by a worker for as long as it runs, where a database bears only one at a time."""
        ...

    def server(self, connection: sa.Connection) -> str:
        """Name and version of the database, for people. Raises Misconfigured if it is too old."""
        ...

    def may_make_tables(self, connection: sa.Connection) -> bool:
        """Whether we may: ingest needs a new one now and then, where keys are kept in segments."""
        ...

    def connections(self, connection: sa.Connection) -> tuple[int, int] | None:
        """How many clients are connected, and how many of our kind may be; None where all may."""
        ...

    def now_us(self, connection: sa.Connection) -> int:
        """The database's clock, in microseconds: leases are kept on it."""
        ...

    def among(
        self, column: sa.ColumnElement[str], texts: Collection[str]
    ) -> sa.ColumnElement[bool]:
        """Whether a column is one of any number of texts, which take one parameter together."""
        ...

    def table_of(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[tuple[int, ...]]
    ) -> sa.FromClause:
        """Any number of rows as a table with the names of those columns, to be joined with."""
        ...

    def contains(self, column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
        """Whether a text holds another, character by character."""
        ...

    def item(self, column: sa.ColumnElement[Any], place: int) -> sa.ColumnElement[Any]:
        """What stands at a place of a text that is a JSON list, counted from 0."""
        ...

    def first_rows(self, statement: sa.Select[Any]) -> sa.ColumnElement[bool]:
        """Whether a row is one of those of its own table that a statement finds, by its place.

        To change many rows in small steps; a row that somebody else changes may be left out.
        """
        ...

    def share_periods(self, connection: sa.Connection, periods: Sequence[int]) -> None:
        """Hold off whoever wants to start closing one of these, until this transaction ends."""
        ...

    def own_period(self, connection: sa.Connection, period: int) -> None:
        """Wait until no ingest holds this period, and hold off new ones until the end."""
        ...

    def own_totals(self, connection: sa.Connection) -> None:
        """Wait for all batches that have written totals, and hold off others until the end."""
        ...

    def overwrite_erased(self, connection: sa.Connection) -> None:
        """Let the bytes of what this transaction erases be overwritten, where that can be had."""
        ...

    def forget(self, engine: sa.Engine) -> Sequence[str]:
        """Rid the files of erased bytes as far as that can be had; sentences on what is left."""
        ...

    def contents(
        self, connection: sa.Connection, identities: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        """The content digests of those identities that are stored."""
        ...

    def insert_records(
        self, connection: sa.Connection, records: Sequence[NewRecord]
    ) -> dict[bytes, bytes]:
        """Insert keys and records, each identity once.

        Keys are inserted sorted: two workers that wait for each other do so in one order.

        Returns those that another transaction had stored meanwhile, with their content: they were
        not inserted, all others were.
        """
        ...

    def key_segment_is_full(self, connection: sa.Connection) -> bool:
        """Whether the part of the keys that takes new ones is so large that another should."""
        ...

    def begin_key_segment(self, connection: sa.Connection) -> bool:
        """Begin the next part, if it still is; in a transaction of its own. Whether it was."""
        ...

    def learn_keys(self, engine: sa.Engine) -> Iterator[None]:
        """Keep in memory what makes looking up keys cheaper, in small steps, as far as it helps."""
        ...

    def add_to_totals(self, connection: sa.Connection, sums: Sequence[UsageSum]) -> None:
        """Add to the stored totals, or make them. Sorted by key, so that two workers queue up."""
        ...

    def insert_rows(
        self,
        connection: sa.Connection,
        columns: Sequence[sa.Column[Any]],
        chunks: Iterable[Sequence[tuple[Any, ...]]],
    ) -> None:
        """Insert rows, made while they are taken, each with a value for each of those columns."""
        ...

    def count_up(
        self, connection: sa.Connection, table: sa.Table, keys: Sequence[str]
    ) -> dict[str, int]:
        """Add one to `last` of each key in a table of these two, or make it 1; what it is then.

        Sorted and each once, so that two who count queue up.
        """
        ...

    def guard_statements(self) -> Sequence[str]:
        """Statements that make every guard anew: its trigger is dropped if it is there."""
        ...

    def refusal(
        self, error: Exception, database: str, *, writes: bool = True
    ) -> ChargebackError | None:
        """What a driver's error means to a caller: Unavailable, Misconfigured, or None: our bug.

        `writes`: whether the transaction was one that may write.
        """
        ...


class UnknownDatabase(Misconfigured):
    """A database URL that is neither SQLite nor PostgreSQL."""

    def __init__(self, drivername: str) -> None:
        super().__init__(
            f"database.url names the database {drivername!r}, which is not supported.",
            "Use sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        )


class DriverMissing(Misconfigured):
    """The optional driver of a database is not installed."""

    def __init__(self, database: str, extra: str) -> None:
        super().__init__(
            f"The driver for {database} is not installed.",
            f"Install the extra: chargeback-worker[{extra}].",
        )


def dialect_for(url: sa.URL) -> Dialect:
    """The dialect of a database URL. Raises UnknownDatabase or DriverMissing."""
    match url.get_backend_name():
        case "sqlite":
            from chargeback_worker.store.dialects.sqlite import SQLite

            return SQLite()
        case "postgresql":
            try:
                from chargeback_worker.store.dialects.postgresql import PostgreSQL
            except ImportError:
                raise DriverMissing("PostgreSQL", "postgres") from None
            return PostgreSQL()
        case other:
            raise UnknownDatabase(other)
