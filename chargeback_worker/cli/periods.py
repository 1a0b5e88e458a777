"""`chargeback close`, `reopen` and `periods`: ending a month, and how all of them stand."""

from typing import Annotated, Any

import typer

from chargeback_worker import app
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    exact_usd,
    moment,
    note,
    number,
    show,
    show_table,
    text,
    usd,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import BillingRange, Period, format_us
from chargeback_worker.pipeline.close import CloseResult, dry_run
from chargeback_worker.pipeline.close import close as close_step
from chargeback_worker.pipeline.closing.settlement import Settlement, terms_of
from chargeback_worker.pipeline.due import note_ends
from chargeback_worker.pipeline.reopen import reopen as reopen_step
from chargeback_worker.reports.periods import list_periods
from chargeback_worker.store import cursors
from chargeback_worker.store.cursors import Door

_CLOSE = (
    Column("period", "Period"),
    number("revision", "Revision", text, spare=1),
    number("booked_usd", "Booked USD", exact_usd),
    number("subtotal_usd", "Invoiced USD", usd),
    number("unallocated_usd", "Unallocated USD", usd),
    number("invoices", "Invoices"),
    Column("closed_at", "Closed", moment, spare=3),
    Column("actor", "By", spare=2),
    Column("forced", wide=True),
    Column("reason", wide=True),
    Column("closed_before", wide=True),
    Column("dry_run", wide=True),
)
_WOULD_ISSUE = (
    Column("receiver", "Receiver"),
    Column("kind", "Kind"),
    number("subtotal", "Subtotal USD", usd),
    number("tax", "Tax USD", usd),
    number("total", "Total USD", usd),
)
_PERIODS = (
    Column("period", "Period"),
    Column("state", "State"),
    number("revision", "Revision", text, spare=3),
    number("usage_cost_usd", "Usage USD", exact_usd),
    number("booked_usd", "Booked USD", exact_usd, spare=2),
    number("invoiced_usd", "Invoiced USD", usd),
    number("uninvoiced_usd", "Uninvoiced USD", usd, spare=7),
    number("unallocated_usd", "Unallocated USD", usd, spare=1),
    number("invoices", "Invoices", spare=4),
    number("late_records", "Late records", spare=6),
    Column("waits_for", "Waits for", lambda found: "; ".join(map(text, found))),
    Column("due_at", "Due", moment, spare=5),
    Column("closed_at", "Closed", moment, spare=8),
    number("awaiting_approval", "To approve", text, spare=9),
    Column("unpublished_messages", wide=True),
    Column("parked_messages", wide=True),
)


class IngestUnknown(Unavailable):
    """Without the broker nobody can say whether all usage has been read."""

    def __init__(self, period: Period, fault: str) -> None:
        super().__init__(
            f"Whether all usage of {period} is ingested cannot be seen. {fault}",
            "Start the broker and try again, or close without this check:"
            f" chargeback close {period} --force --reason TEXT",
        )


def close(
    context: typer.Context,
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="A month, as 2026-10.")],
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="Only show what it would book and issue.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Close before all usage is ingested; needs --reason."),
    ] = False,
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Close a month: allocate its cost, issue all its invoices, and fix it for ever.

    The month has to be over, and ingest to have read its topic to the end. To close it again
    changes nothing.
    """
    month = BillingRange.parse(period).period()
    with session(context).opened() as opened:
        if rehearse:
            found = dry_run(opened.store, month, terms_of(opened.settings), app.now_us())
            _show_dry_run(month, found, output)
            return
        done = _closed(opened, month, force=force, reason=reason)
    row = _close_document(done)
    show({"close": row}, output, rows=[row], columns=_CLOSE)
    if done.closed_before:
        note(f"{month} was closed before; nothing was changed.")
    elif output is Format.TABLE:
        note(f"See: chargeback invoices list --period {month}")


def _closed(opened: app.App, month: Period, *, force: bool, reason: str | None) -> CloseResult:
    act = opened.act(reason)
    if force:
        act.require_reason("close a period before all its usage is stored")
    if not opened.is_closed(month):
        opened.compare_books_of_a_topic()
        if not force:
            note_ends(opened.store, month, lambda: _ends(opened, month), act.now_us)
    terms = terms_of(opened.settings)
    return close_step(
        opened.store, month, terms, act, owner=f"{opened.instance}:close", forced=force
    )


def _ends(opened: app.App, month: Period) -> dict[tuple[str, int], int]:
    """How far ingest must come; nowhere in a database that is filled from files alone."""
    with opened.store.read() as transaction:
        if all(cursor.retired for cursor in cursors.listed(transaction, Door.TOPIC)):
            return {}
    try:
        return opened.usage_ends()
    except ChargebackError as error:
        raise IngestUnknown(month, error.message) from error


def _close_document(done: CloseResult) -> Document:
    close = done.close
    return {
        "period": str(close.period),
        "revision": close.revision,
        "booked_usd": Amount(close.booked),
        "subtotal_usd": Amount(close.invoiced),
        "unallocated_usd": Amount(close.unallocated),
        "invoices": close.invoices,
        "closed_at": format_us(close.closed_us),
        "actor": close.actor,
        "forced": close.forced,
        "reason": close.reason,
        "closed_before": done.closed_before,
        "dry_run": False,
    }


def _show_dry_run(month: Period, found: Settlement, output: Format) -> None:
    books = found.books
    row: Document = dict.fromkeys(column.field for column in _CLOSE)
    row |= {
        "period": str(month),
        "revision": found.revision,
        "booked_usd": Amount(books.booked),
        "subtotal_usd": Amount(books.subtotal),
        "unallocated_usd": Amount(books.unallocated),
        "invoices": len(books.invoices),
        "dry_run": True,
    }
    issued = [_issued(invoice) for invoice in books.invoices]

    def people() -> None:
        show_table(issued, _WOULD_ISSUE)
        show_table([row], _CLOSE[:6])
        typer.echo("Nothing was written.")

    document = {"close": row, "invoices": issued}
    show(document, output, rows=[row], columns=_CLOSE, people=people)


def _issued(invoice: Invoice) -> dict[str, Any]:
    return {
        "receiver": invoice.receiver.key,
        "kind": invoice.kind,
        "subtotal": Amount(invoice.subtotal),
        "tax": Amount(invoice.tax),
        "total": Amount(invoice.total),
    }


def reopen(
    context: typer.Context,
    period: Annotated[str, typer.Argument(metavar="PERIOD", help="A closed month, as 2026-10.")],
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Let a closed month take usage again; closing it again bills only what differs.

    Its invoices stand. It is closed again by command only.
    """
    month = BillingRange.parse(period).period()
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("reopen a period")
        opened.compare_books_of_a_topic()
        ask(f"Reopen {month}, so that its next close corrects what it billed?", yes)
        reopen_step(opened.store, month, act)
        document = list_periods(
            opened.store,
            now_us=app.now_us(),
            close_delay=opened.settings.billing.close_delay,
        )
    row = next(row for row in document["periods"] if row["period"] == str(month))
    show({"period": row}, output, rows=[row], columns=_PERIODS)
    if output is Format.TABLE:
        note(f"When its usage, rules and directory are right: chargeback close {month}")


def periods(context: typer.Context, output: Output = Format.TABLE) -> None:
    """List the months with their states, their money, and what each waits for."""
    with session(context).opened() as opened:
        document = list_periods(
            opened.store,
            now_us=app.now_us(),
            close_delay=opened.settings.billing.close_delay,
        )
    show(document, output, rows=document["periods"], columns=_PERIODS)
