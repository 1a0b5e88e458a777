"""PostgreSQL by psycopg 3: connecting, locks, and the ways of this database; usage is beside it."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from chargeback_worker.errors import ChargebackError, Misconfigured
from chargeback_worker.store.dialects import NewRecord, postgresql_keys, postgresql_usage
from chargeback_worker.store.dialects.guards import GUARDS, Guard
from chargeback_worker.store.dialects.key_filter import KeyFilter
from chargeback_worker.store.dialects.postgresql_copy import lines
from chargeback_worker.store.dialects.postgresql_errors import refusal_of
from chargeback_worker.store.dialects.postgresql_sleepers import Sleepers
from chargeback_worker.usage.total import UsageSum

CONNECT_TIMEOUT_S = 10
_OLDEST = 14
# The first of the two keys of every advisory lock on a period; the second is the period.
_PERIOD_LOCKS = 0x63626B70
_LEFT = (
    "What the rows were before is in the server's files until VACUUM has passed and their pages are"
    " written anew; WAL, replicas and backups hold it for as long as they are kept."
)


class PostgreSQL:
    """See `Dialect` for what each method promises."""

    name = "postgresql"
    one_worker = False
    driver_error: type[Exception] = psycopg.Error

    def __init__(self) -> None:
        self._known: KeyFilter | None = None
        self._sleepers = Sleepers()

    def create_engine(self, url: sa.URL) -> sa.Engine:
        engine = sa.create_engine(
            url.set(drivername="postgresql+psycopg"),
            isolation_level="READ COMMITTED",
            pool_pre_ping=False,
            hide_parameters=True,
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_S,
                "application_name": "chargeback",
                "client_encoding": "UTF8",
                # A server that vanished without a word is given up within a minute.
                "keepalives_idle": 30,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 45_000,
            },
        )
        return engine

    def reading(self, engine: sa.Engine) -> sa.Engine:
        return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    def writing(self, database: str) -> AbstractContextManager[None]:
        return nullcontext()

    def end_when_idle(self, connection: sa.Connection, idle_s: int) -> None:
        connection.exec_driver_sql(
            f"SET LOCAL idle_in_transaction_session_timeout = {idle_s * 1000}"
        )

    def end_sleepers(self, engine: sa.Engine) -> Sequence[str]:
        with engine.begin() as connection:
            return self._sleepers.end(connection)

    def only_worker(self, url: sa.URL) -> AbstractContextManager[None]:
        return nullcontext()

    def server(self, connection: sa.Connection) -> str:
        number = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one())
        version = connection.exec_driver_sql("SHOW server_version").scalar_one()
        if number // 10000 < _OLDEST:
            raise Misconfigured(
                f"PostgreSQL {version} is too old; {_OLDEST} is needed.", "Upgrade the server."
            )
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise Misconfigured(
                f"The database has the encoding {encoding}; ids of users may be any text.",
                "Create it with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
            )
        return f"PostgreSQL {version}"

    def may_make_tables(self, connection: sa.Connection) -> bool:
        asked = "SELECT has_schema_privilege(current_schema(), 'CREATE')"
        return bool(connection.exec_driver_sql(asked).scalar_one())

    def connections(self, connection: sa.Connection) -> tuple[int, int] | None:
        used, most = connection.exec_driver_sql(
            "SELECT (SELECT sum(numbackends) FROM pg_stat_database),"
            " current_setting('max_connections')::int"
            " - current_setting('superuser_reserved_connections')::int"
        ).one()
        return int(used), most

    def now_us(self, connection: sa.Connection) -> int:
        # clock_timestamp, not now(): a transaction may have waited for a lock since it began.
        return int(
            connection.exec_driver_sql(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
            ).scalar_one()
        )

    def among(
        self, column: sa.ColumnElement[str], texts: Collection[str]
    ) -> sa.ColumnElement[bool]:
        return column == sa.any_(sa.literal(sorted(texts), ARRAY(sa.Text)))

    def table_of(
        self, columns: Sequence[sa.Column[Any]], rows: Sequence[tuple[int, ...]]
    ) -> sa.FromClause:
        # A parameter for each column: one for each field would take longer to write than to run.
        lists = (
            sa.literal(list(values), ARRAY(column.type))
            for column, values in zip(columns, zip(*rows, strict=True), strict=True)
        )
        names = [sa.column(column.name, column.type) for column in columns]
        return sa.func.unnest(*lists).table_valued(*names).render_derived()

    def contains(self, column: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
        return sa.func.strpos(column, text) > 0

    def item(self, column: sa.ColumnElement[Any], place: int) -> sa.ColumnElement[Any]:
        found: sa.ColumnElement[Any] = sa.cast(column, JSON)[place].astext
        return found

    def first_rows(self, statement: sa.Select[Any]) -> sa.ColumnElement[bool]:
        place: sa.ColumnElement[Any] = sa.literal_column("ctid")
        # An array is looked up row by row; IN might read the whole table for it.
        places = sa.func.array(statement.with_only_columns(place).scalar_subquery())
        return place == sa.any_(places)

    def share_periods(self, connection: sa.Connection, periods: Sequence[int]) -> None:
        for period in sorted(periods):
            connection.exec_driver_sql(
                "SELECT pg_advisory_xact_lock_shared(%s, %s)", (_PERIOD_LOCKS, period)
            )

    def own_period(self, connection: sa.Connection, period: int) -> None:
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s, %s)", (_PERIOD_LOCKS, period))

    def own_totals(self, connection: sa.Connection) -> None:
        connection.exec_driver_sql("LOCK TABLE usage_total IN SHARE ROW EXCLUSIVE MODE")

    def overwrite_erased(self, connection: sa.Connection) -> None:
        """Nothing to do: what a row was before is in the table's files until VACUUM."""

    def forget(self, engine: sa.Engine) -> Sequence[str]:
        return (_LEFT,)

    def contents(
        self, connection: sa.Connection, identities: Sequence[bytes]
    ) -> dict[bytes, bytes]:
        with _digest_cursor(connection) as cursor:
            return postgresql_keys.contents(cursor, identities, self._known)

    def insert_records(
        self, connection: sa.Connection, records: Sequence[NewRecord]
    ) -> dict[bytes, bytes]:
        with _digest_cursor(connection) as cursor:
            return postgresql_usage.insert_records(cursor, records)

    def key_segment_is_full(self, connection: sa.Connection) -> bool:
        with _digest_cursor(connection) as cursor:
            return postgresql_keys.is_full(cursor)

    def begin_key_segment(self, connection: sa.Connection) -> bool:
        with _digest_cursor(connection) as cursor:
            return postgresql_keys.begin_segment(cursor)

    def learn_keys(self, engine: sa.Engine) -> Iterator[None]:
        if self._known is None:
            self._known = KeyFilter()
        # Sealed segments never change: no statement needs to see the same as the one before it.
        autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        with autocommit.connect() as connection, _digest_cursor(connection) as cursor:
            yield from postgresql_keys.learn(cursor, self._known)

    def add_to_totals(self, connection: sa.Connection, sums: Sequence[UsageSum]) -> None:
        with _digest_cursor(connection) as cursor:
            postgresql_usage.add_to_totals(cursor, sums)

    def insert_rows(
        self,
        connection: sa.Connection,
        columns: Sequence[sa.Column[Any]],
        chunks: Iterable[Sequence[tuple[Any, ...]]],
    ) -> None:
        names = ", ".join(f'"{column.name}"' for column in columns)
        target = f"{columns[0].table.fullname} ({names})"
        statement = f"COPY {target} FROM STDIN"
        with _raw(connection).cursor() as cursor:
            try:
                with cursor.copy(statement) as copy:
                    for chunk in chunks:
                        copy.write("".join(lines(columns, chunk)).encode())
            except psycopg.Error as error:
                # As SQLAlchemy would have raised it: callers need not know of COPY.
                raise sa.exc.DBAPIError.instance(
                    statement, None, error, psycopg.Error, hide_parameters=True
                ) from error

    def count_up(
        self, connection: sa.Connection, table: sa.Table, keys: Sequence[str]
    ) -> dict[str, int]:
        counted = connection.exec_driver_sql(
            f"INSERT INTO {table.name} (key, last) SELECT unnest(%s::text[]), 1"
            f" ON CONFLICT (key) DO UPDATE SET last = {table.name}.last + 1 RETURNING key, last",
            (list(keys),),
        )
        return {row.key: row.last for row in counted}

    def guard_statements(self) -> Sequence[str]:
        made = [statement for guard in GUARDS for statement in _triggers(guard)]
        return [*made, *postgresql_keys.GUARD_STATEMENTS]

    def refusal(
        self, error: Exception, database: str, *, writes: bool = True
    ) -> ChargebackError | None:
        return refusal_of(error, database, writes=writes)


def _raw(connection: sa.Connection) -> "psycopg.Connection[Any]":
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _digest_cursor(connection: sa.Connection) -> postgresql_keys.Cursor:
    return postgresql_keys.digest_cursor(_raw(connection))


def _triggers(guard: Guard) -> Iterator[str]:
    refuse = f"RAISE EXCEPTION '{guard.message}' USING ERRCODE = 'integrity_constraint_violation'"
    for event in guard.events:
        name = f"{guard.name}_on_{event.split()[0].lower()}"
        yield f"DROP TRIGGER IF EXISTS {name} ON {guard.table}"
        if guard.per_statement:
            rows = "NEW" if event == "INSERT" else "OLD"
            # OLD and NEW are names of PL/pgSQL itself: the transition table has another.
            of_row = guard.condition.replace(f"{rows}.", "touched.")
            condition = f"EXISTS (SELECT FROM touched WHERE {of_row})"
            timing = f"AFTER {event}"
            scope = f"REFERENCING {rows} TABLE AS touched FOR EACH STATEMENT"
            finish = "RETURN NULL"
        else:
            condition = guard.condition
            timing, scope = f"BEFORE {event}", "FOR EACH ROW"
            finish = f"RETURN {'OLD' if event == 'DELETE' else 'NEW'}"
        yield _function(name, f"IF {condition} THEN {refuse}; END IF; {finish};")
        yield f"CREATE TRIGGER {name} {timing} ON {guard.table} {scope} EXECUTE FUNCTION {name}()"
    if "DELETE" in guard.events:
        # TRUNCATE asks no trigger of rows.
        name = f"{guard.name}_on_truncate"
        yield f"DROP TRIGGER IF EXISTS {name} ON {guard.table}"
        yield _function(name, f"{refuse};")
        yield f"CREATE TRIGGER {name} BEFORE TRUNCATE ON {guard.table} EXECUTE FUNCTION {name}()"


def _function(name: str, body: str) -> str:
    return (
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $guard$"
        f" BEGIN {body} END $guard$"
    )
