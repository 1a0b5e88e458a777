"""`chargeback close`, `reopen` and `periods`: ending a month, and how all of them stand."""

from typing import Annotated, Any

import typer

from chargeback_worker import app
from chargeback_worker.app.closing import close_by_hand
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
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.pipeline.close import dry_run
from chargeback_worker.pipeline.closing.settlement import Settlement, terms_of
from chargeback_worker.pipeline.reopen import reopen as reopen_step
from chargeback_worker.reports.periods import close_document, list_periods, show_period

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
            found = dry_run(opened.store, month, terms_of(opened.settings), opened.closing_now_us())
            _show_dry_run(month, found, output)
            return
        done = close_by_hand(opened, month, opened.act(reason), forced=force)
    row = close_document(done.close, closed_before=done.closed_before)
    show({"close": row}, output, rows=[row], columns=_CLOSE)
    if done.closed_before:
        note(f"{month} was closed before; nothing was changed.")
    elif output is Format.TABLE:
        note(f"See: chargeback invoices list --period {month}")


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
        document = show_period(
            opened.store,
            month,
            now_us=app.now_us(),
            close_delay=opened.settings.billing.close_delay,
        )
    show(document, output, rows=[document["period"]], columns=_PERIODS)
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
