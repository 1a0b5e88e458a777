"""The migrations make the tables that `tables` describes, the same on both stores."""

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from chargeback_worker.store import Store, schema
from chargeback_worker.store.tables import metadata


@pytest.fixture
def store(database_url: str) -> Any:
    store = Store(database_url)
    yield store
    store.close()


def _shape(engine: sa.Engine) -> dict[str, Any]:
    inspector = sa.inspect(engine)
    shape: dict[str, Any] = {}
    for table in inspector.get_table_names():
        # The segments of keys are known by their parent alone.
        if table == "alembic_version" or table.startswith("usage_key_"):
            continue
        shape[table] = {
            "columns": [
                {**column, "type": str(column["type"]), "comment": None}
                for column in inspector.get_columns(table)
            ],
            "key": inspector.get_pk_constraint(table)["constrained_columns"],
            "unique": sorted(
                tuple(unique["column_names"]) for unique in inspector.get_unique_constraints(table)
            ),
            "checks": sorted(
                str(check["name"]) for check in inspector.get_check_constraints(table)
            ),
            "indexes": sorted(
                (str(index["name"]), tuple(index["column_names"]), bool(index["unique"]))
                for index in inspector.get_indexes(table)
            ),
            "options": {
                name: value
                for name, value in inspector.get_table_options(table).items()
                if name.startswith("sqlite_")
            },
        }
    return shape


def test_a_migrated_database_has_the_tables_of_the_metadata(
    store: Store, database_url: str, tmp_path: Any, request: pytest.FixtureRequest
) -> None:
    schema.upgrade(store)
    migrated = _shape(store.engine)
    with store.begin() as transaction:
        if store.dialect.name == "postgresql":
            transaction.connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            transaction.connection.exec_driver_sql("CREATE SCHEMA public")
            other = store
        else:
            other = Store(f"sqlite:///{tmp_path / 'described.db'}")
    with other.begin() as transaction:
        metadata.create_all(transaction.connection)
    assert _shape(other.engine) == migrated
    other.close()


def test_a_database_of_the_first_release_is_upgraded_with_what_it_holds(store: Store) -> None:
    _make_at(store, "0001")
    with store.begin() as transaction:
        transaction.execute(
            sa.insert(metadata.tables["audit"]).values(
                at_us=1, actor="ada", action="close", subject="period:2026-10"
            )
        )
    with pytest.raises(schema.SchemaOutdated, match="schema 0001; this release needs 0006"):
        schema.check(store)

    assert schema.upgrade(store).found == "0001"

    assert schema.check(store).found == "0006"
    with store.read() as transaction:
        kept = transaction.execute(sa.select(metadata.tables["audit"].c.actor)).scalar_one()
        oldest = transaction.execute(
            sa.text("SELECT value FROM installation WHERE name = 'oldest_revision'")
        ).scalar_one()
    assert (kept, oldest) == ("ada", "4")


def _make_at(store: Store, revision: str) -> None:
    """The tables as an older release left them."""
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    with store.begin() as transaction:
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, revision)
