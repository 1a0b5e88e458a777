"""`chargeback db`: the schema of the database."""

import typer

from chargeback_worker.cli.output import Column, Format, Output, show
from chargeback_worker.cli.session import session
from chargeback_worker.store import Store, schema

database = typer.Typer(help="The schema of the database.", no_args_is_help=True)

_COLUMNS = (
    Column("database", "Database"),
    Column("server", "Server"),
    Column("before", "Before"),
    Column("schema", "Schema"),
    Column("wanted", "This release makes"),
)


@database.command(epilog="Example: chargeback db upgrade")
def upgrade(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Make the tables, or bring them to this release's schema, in one transaction."""
    with session(context).store() as store:
        before = schema.upgrade(store)
        _show(store, schema.check(store), before.found, output)


@database.command(epilog="Example: chargeback db check")
def check(context: typer.Context, output: Output = Format.TABLE) -> None:
    """See whether this release fits the database; exit code 3 if it does not."""
    with session(context).store() as store:
        found = schema.check(store)
        _show(store, found, found.found, output)


def _show(store: Store, found: schema.SchemaVersion, before: str | None, output: Format) -> None:
    with store.read() as transaction:
        server = transaction.dialect.server(transaction.connection)
    row = {
        "database": store.name,
        "server": server,
        "before": before,
        "schema": found.found,
        "wanted": found.wanted,
    }
    show({"database": row}, output, rows=[row], columns=_COLUMNS)
