"""The books: SQLite or PostgreSQL behind one set of functions, one file a subject.

Owns: the schema and its migrations, every line of SQL, transactions, what the database refuses by
itself. Does not own: what any number means, or when something may happen; steps in `pipeline`
decide that and reports in `reports` read it.

Invariants: a function here takes an open `Transaction` and never commits; identity is unique for
ever; totals of a closed period, bookings, issued invoices and the audit never change, by trigger;
an error of the database that is not our bug is Unavailable or Misconfigured, named.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from chargeback_worker.errors import Misconfigured, Unavailable
from chargeback_worker.store.dialects import Dialect, dialect_for

IDLE_S = 30
"""A writing transaction that has waited for so long for its next statement is ended by a database
that others use too. A process that was stopped in one would hold its locks for ever, and with them
ingest, or the close of a month."""


class UnreadableUrl(Misconfigured):
    """The text of database.url is no URL."""

    def __init__(self) -> None:
        super().__init__(
            "database.url is not a database URL.",
            "Write sqlite:///FILE or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
        )


class NoConnectionFree(Unavailable):
    """All connections are in use, and none came back in time."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"No connection to the database {database} came free in time.",
            "See in the database which sessions are open, and what they wait for.",
        )


@dataclass(frozen=True, slots=True)
class Transaction:
    """One open transaction; what is done with it happens whole or not at all."""

    connection: sa.Connection
    dialect: Dialect

    def execute(
        self,
        statement: sa.Executable,
        parameters: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
    ) -> sa.CursorResult[Any]:
        return self.connection.execute(statement, parameters)

    def now_us(self) -> int:
        """The database's clock, in microseconds."""
        return self.dialect.now_us(self.connection)

    def end_when_idle(self, idle_s: int) -> None:
        """From here on, a database that others use too ends it where so long no statement comes."""
        self.dialect.end_when_idle(self.connection, idle_s)


class Store:
    """A database by its URL. Connects when first used, not before."""

    def __init__(self, url: str) -> None:
        try:
            self._url = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise UnreadableUrl from None
        self.dialect = dialect_for(self._url)
        self.engine = self.dialect.create_engine(self._url)
        self._reading = self.dialect.reading(self.engine)

    @property
    def name(self) -> str:
        """The database for people, without its password, also where that stands in the query."""
        return self._url.set(query={}).render_as_string(hide_password=True)

    @contextmanager
    def begin(self, *, idle_s: int | None = None) -> Iterator[Transaction]:
        """One writing transaction: committed at the end, rolled back on any exception.

        It is ended after `IDLE_S` without a statement, or after `idle_s` where that is given: where
        more is computed between two statements.

        Raises Unavailable where the database did not answer; whether a commit took effect can then
        be unknown, and every step can be done again.
        """
        with self.dialect.writing(self.name), self._transaction(self.engine) as transaction:
            transaction.end_when_idle(IDLE_S if idle_s is None else idle_s)
            yield transaction

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """One reading transaction: all its statements see the same state."""
        with self._transaction(self._reading) as transaction:
            yield transaction

    def learn_keys(self) -> Iterator[None]:
        """Make looking up stored keys cheaper for this store, in small steps; nothing depends on
        it. Raises Unavailable."""
        with self._refusing(self.engine):
            yield from self.dialect.learn_keys(self.engine)

    def end_sleepers(self) -> Sequence[str]:
        """End transactions of clients that sleep in the midst of a statement and hold up others,
        where the database cannot do so by itself; a sentence for each. To be called now and then:
        asleep is who has not moved between two looks. Raises Unavailable."""
        with self._refusing(self.engine):
            return self.dialect.end_sleepers(self.engine)

    def forget(self) -> Sequence[str]:
        """Rid the files of erased bytes as far as that can be had; sentences on what is left."""
        with self.dialect.writing(self.name), self._refusing(self.engine):
            return self.dialect.forget(self.engine)

    def only_worker(self) -> AbstractContextManager[None]:
        """Held while a worker runs, where the database bears one at a time. Raises Conflict."""
        return self.dialect.only_worker(self._url)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[Transaction]:
        with self._refusing(engine), engine.connect() as connection:
            try:
                with connection.begin():
                    yield Transaction(connection, self.dialect)
            except (sa.exc.DBAPIError, self.dialect.driver_error) as error:
                # The bulk writes go past SQLAlchemy, which cannot know that the connection is
                # lost; a lost one must not return to the pool.
                if self._refusal(error, engine) is not None and not connection.closed:
                    connection.invalidate()
                raise

    @contextmanager
    def _refusing(self, engine: sa.Engine) -> Iterator[None]:
        """Errors of the database that are not our bug, by their own names."""
        try:
            yield
        except (sa.exc.DBAPIError, self.dialect.driver_error) as error:
            refusal = self._refusal(error, engine)
            if refusal is None:
                raise
            raise refusal from error
        except sa.exc.TimeoutError as error:
            raise NoConnectionFree(self.name) from error

    def _refusal(self, error: Exception, engine: sa.Engine) -> Exception | None:
        original = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        if not isinstance(original, Exception):
            return None
        return self.dialect.refusal(original, self.name, writes=engine is self.engine)
