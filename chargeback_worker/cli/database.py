"""`chargeback db`: the schema of the database, and going on with one that came from a backup."""

from typing import Any

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    note,
    number,
    show,
    show_table,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.invoice import invoice_number
from chargeback_worker.pipeline.resume import Resumed
from chargeback_worker.pipeline.resume import resume as resume_step
from chargeback_worker.store import Store, schema

database = typer.Typer(
    help="The schema of the database, and going on after a restore.", no_args_is_help=True
)

_COLUMNS = (
    Column("database", "Database"),
    Column("server", "Server"),
    Column("before", "Before"),
    Column("schema", "Schema"),
    Column("wanted", "This release makes"),
)
_VOID = (
    Column("period", "Period"),
    Column("void_from", "Void from"),
    Column("void_to", "to"),
    number("count", "Numbers"),
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


@database.command(epilog='Example: chargeback db resume --reason "restored last night\'s backup"')
def resume(
    context: typer.Context, reason: Reason = None, yes: Yes = False, output: Output = Format.TABLE
) -> None:
    """Go on with a database that came from a backup and is older than its topics.

    Reads the invoices topic whole, so that no number and no seq that is on it is used again, and
    lets closing and publishing go on. Numbers that only the topic knows are void from then on.
    Where nothing is held, nothing is changed.
    """
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("go on with books that are older than their topics")
        topic = opened.settings.kafka.invoices_topic
        ask(f"Go on with {opened.store.name} beside topic {topic}?", yes)
        done = resume_step(opened.store, opened.world, act)
    row = None if done is None else _document(done)
    void = [] if row is None else row["numbers"]
    show({"resume": row}, output, rows=void, columns=_VOID, people=lambda: _people(row))
    if row is None:
        note("Nothing is held; nothing was changed.")


def _document(done: Resumed) -> dict[str, Any]:
    return {
        "because": done.hold.because,
        "messages": done.messages,
        "unknown": done.unknown,
        "numbers": [
            {
                "period": str(period),
                "void_from": invoice_number(period, before + 1),
                "void_to": invoice_number(period, last),
                "count": last - before,
            }
            for period, (before, last) in done.numbers.items()
        ],
        "closes": done.closes,
        "keys": done.keys,
        "told": done.told,
    }


def _people(row: dict[str, Any] | None) -> None:
    if row is None:
        return
    if row["numbers"]:
        show_table(row["numbers"], _VOID)
    typer.echo(
        f"{row['messages']:,} messages read, {row['unknown']:,} of them unknown to these books;"
        f" seq raised for {row['keys']:,} receivers and months,"
        f" the status of {row['told']:,} invoices told once more"
    )
    if row["closes"]:
        closes = escaped(", ".join(row["closes"]))
        typer.echo(f"Closes that only the topic knows: {closes}")
    typer.echo("Closing and publishing go on.")


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
