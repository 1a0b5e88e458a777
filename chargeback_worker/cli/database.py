"""`chargeback db`: the schema, going on after a restore, and totals made anew."""

from typing import Annotated, Any

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    exact_usd,
    note,
    number,
    show,
    show_table,
    text,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.invoicing.invoice import invoice_number
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.rebuild import Rebuilt, RebuiltPeriod, RebuiltTally
from chargeback_worker.pipeline.rebuild import rebuild as rebuild_step
from chargeback_worker.pipeline.resume import Resumed
from chargeback_worker.pipeline.resume import resume as resume_step
from chargeback_worker.store import Store, schema
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.pruned import RecordSums

database = typer.Typer(
    help="The schema of the database, its totals, and going on after a restore.",
    no_args_is_help=True,
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
_REBUILT = (
    Column("period", "Period"),
    Column("state", "State"),
    number("differing", "Totals that differed"),
    Column("written", "Changed", text),
    number("before.cost_usd", "USD before", exact_usd),
    number("after.cost_usd", "USD after", exact_usd),
    number("before.record_count", "Records before", spare=2),
    number("after.record_count", "Records after", spare=1),
    number("before.quantity", "", text, wide=True),
    number("after.quantity", "", text, wide=True),
)
_TALLIES = (
    Column("door", "Door"),
    Column("name", "Name"),
    Column("partition", "Partition", text),
    Column("before", "Before", text),
    Column("after", "After", text),
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


@database.command(epilog="Example: chargeback db rebuild --dry-run")
def rebuild(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Only this month, as 2026-10; it may be a reopened one.")
    ] = None,
    rehearse: Annotated[bool, typer.Option("--dry-run", help="Only show what differs.")] = False,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Make totals of open months, and tallies, anew from the usage records, in one transaction.

    Closed months are never changed; reopened ones only where --period names them, and their next
    close bills the difference. A worker may run on: it waits meanwhile.
    """
    month = None if period is None else BillingRange.parse(period).period()
    with session(context).opened() as opened:
        act = opened.act(reason)
        if not rehearse:
            act.require_reason("rebuild totals")
            ask("Make totals and tallies anew from the usage records?", yes)
        done = rebuild_step(opened.store, act, month, rehearse=rehearse)
    periods = [_rebuilt(row) for row in done.periods]
    tallies = [_tally(row) for row in done.tallies]
    document = {
        "rebuilt": {
            "dry_run": rehearse,
            "periods": periods,
            "tallies": tallies,
            "left_out": [str(of) for of in done.left_out],
        }
    }

    def people() -> None:
        show_table(periods, _REBUILT)
        if tallies:
            show_table(tallies, _TALLIES, title="Tallies that differed")

    show(document, output, rows=periods, columns=_REBUILT, people=people)
    _tell(done, rehearse)


def _tell(done: Rebuilt, rehearse: bool) -> None:
    for left_out in done.left_out:
        note(f"{left_out} is left out: usage records of it were dropped after retention.records.")
    for row in done.periods:
        if row.state is PeriodState.REOPENED and row.differing:
            note(
                f"Totals of {row.period}, which is reopened, were booked before: its next close"
                " bills the difference."
                if row.written
                else f"Totals of {row.period}, which is reopened, differ and were left: chargeback"
                f" db rebuild --period {row.period} --reason TEXT"
            )
    if rehearse:
        note("Nothing was written.")
    elif not done.tallies and not any(row.differing for row in done.periods):
        note("Nothing differed; nothing was changed.")


def _rebuilt(row: RebuiltPeriod) -> Document:
    return {
        "period": str(row.period),
        "state": row.state.value,
        "differing": row.differing,
        "written": row.written,
        "before": _sums(row.before),
        "after": _sums(row.after),
    }


def _sums(of: RecordSums) -> Document:
    return {
        "cost_usd": Amount(of.cost),
        "quantity": Amount(of.quantity),
        "record_count": of.records,
    }


def _tally(row: RebuiltTally) -> Document:
    cursor = row.cursor
    return {
        "door": cursor.kind.value,
        "name": cursor.name,
        "partition": cursor.partition,
        "before": cursor.tally.outcomes(),
        "after": row.after.outcomes(),
    }
