"""Which schema a database has, and bringing it to ours: alembic, with the guards made anew last."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from chargeback_worker.errors import Misconfigured
from chargeback_worker.store import Store, Transaction
from chargeback_worker.store.tables import installation

# Held while migrating, so that two processes that start at once migrate once.
_MIGRATION_LOCK = 0x63626B71


class SchemaMissing(Misconfigured):
    """The database holds no tables of ours yet."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"The database {database} is empty.", "Create its tables: chargeback db upgrade"
        )


class SchemaOutdated(Misconfigured):
    """The database was made by an older release."""

    def __init__(self, database: str, found: str, wanted: str) -> None:
        super().__init__(
            f"The database {database} has schema {found}; this release needs {wanted}.",
            "Back it up, then: chargeback db upgrade",
        )


class SchemaTooNew(Misconfigured):
    """The database was upgraded by a release that this one cannot work beside."""

    def __init__(self, database: str, found: str, known: str) -> None:
        super().__init__(
            f"The database {database} has schema {found}, newer than {known}, which this release"
            " knows, and no longer fit for it.",
            "Run the release that upgraded it, or a newer one.",
        )


class ForeignDatabase(Misconfigured):
    """Tables of others are in the way."""

    def __init__(self, database: str, table: str) -> None:
        super().__init__(
            f"The database {database} holds a table {table!r} that is not ours.",
            "Give the chargeback worker a database of its own.",
        )


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """`found` is None in an empty database."""

    found: str | None
    wanted: str


def version(transaction: Transaction) -> SchemaVersion:
    """The schema of the database, and ours."""
    found = MigrationContext.configure(transaction.connection).get_current_revision()
    return SchemaVersion(found, _ours())


@cache
def _ours() -> str:
    # Each script of a migration is read for it, which takes longer than to ask a database.
    ours = ScriptDirectory.from_config(_config()).get_current_head()
    assert ours is not None
    return ours


def check(store: Store) -> SchemaVersion:
    """Make sure that this release may work on this database. Raises Misconfigured."""
    with store.read() as transaction:
        transaction.dialect.server(transaction.connection)
        seen = version(transaction)
        if seen.found is None:
            raise SchemaMissing(store.name)
        if int(seen.found) < int(seen.wanted):
            raise SchemaOutdated(store.name, seen.found, seen.wanted)
        oldest = transaction.execute(
            sa.select(installation.c.value).where(installation.c.name == "oldest_revision")
        ).scalar_one()
        if int(oldest) > int(seen.wanted):
            raise SchemaTooNew(store.name, seen.found, seen.wanted)
    return seen


def upgrade(store: Store) -> SchemaVersion:
    """Bring the database to our schema, in one transaction; the guards are made anew at its end.

    An alembic batch change on SQLite drops triggers without a word, hence always and last.
    Returns what was found before. Does nothing to a newer database.
    """
    with store.begin() as transaction:
        connection = transaction.connection
        transaction.dialect.server(connection)
        if transaction.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
        before = version(transaction)
        if before.found is not None and int(before.found) > int(before.wanted):
            return before
        if before.found is None:
            _refuse_foreign(store, connection)
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        for statement in transaction.dialect.guard_statements():
            connection.exec_driver_sql(statement)
    return before


def _refuse_foreign(store: Store, connection: sa.Connection) -> None:
    tables = sa.inspect(connection).get_table_names()
    if tables:
        raise ForeignDatabase(store.name, sorted(tables)[0])


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
