"""`chargeback invoices`: what was issued, what is asked for, and what becomes of it."""

from typing import Annotated, Any

import typer

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.cli.output import (
    Column,
    Format,
    KeyCursor,
    Limit,
    Output,
    escaped,
    exact_usd,
    moment,
    note,
    note_next_page,
    number,
    quantity,
    show,
    show_table,
    text,
    usd,
)
from chargeback_worker.cli.question import Reason
from chargeback_worker.cli.render import render
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Document, invoice_document
from chargeback_worker.money import (
    NANO,
    NotADecimal,
    OutOfRange,
    TooManyDecimals,
    exact_nano_from_text,
)
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.change_status import change_status
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.create_invoice import BadTaxRate, create_invoice
from chargeback_worker.reports.invoices import list_invoices, read_status, show_invoice
from chargeback_worker.reports.outbox import refusal_of

invoices = typer.Typer(help="The invoices.", no_args_is_help=True)
invoices.command(epilog="Example: chargeback invoices render INV-202610-0001 --format pdf")(render)

_INVOICES = (
    Column("invoice_number", "Number"),
    Column("period", "Period", spare=1),
    Column("receiver", "Receiver"),
    Column("kind", "Kind", spare=2),
    Column("status", "Status"),
    number("subtotal_usd", "Subtotal USD", usd, spare=4),
    number("tax_usd", "Tax USD", usd, spare=3),
    number("total_usd", "Total USD", usd),
    Column("due_date", "Due"),
    Column("published_at", "Published", moment, spare=5),
    Column("invoice_id", wide=True),
    Column("team_id", wide=True),
    Column("user_id", wide=True),
    Column("revision", wide=True),
    Column("currency", wide=True),
    Column("created_at", wide=True),
)
_LINES = (
    number("line", "", text),
    Column("kind", "Kind", spare=2),
    Column("description", "Description"),
    Column("metadata.team_id", wide=True),
    Column("metadata.user_id", wide=True),
    Column("resource_type", wide=True),
    number("quantity", "Quantity", quantity),
    number("unit_price", "Unit price", exact_usd, spare=1),
    number("exact_usd", "Exact USD", exact_usd),
    number("total_price", "USD", usd),
    Column("rule", "Rule", spare=3),
    Column("allocation_id", wide=True),
)


@invoices.command("list", epilog="Example: chargeback invoices list --period 2026-10 -o csv")
def list_(
    context: typer.Context,
    period: Annotated[str | None, typer.Option(help="Only of this month, as 2026-10.")] = None,
    status: Annotated[
        str | None, typer.Option(help="Only with this status: draft, pending, sent, paid …")
    ] = None,
    team: Annotated[str | None, typer.Option(help="Only those this team receives.")] = None,
    user: Annotated[str | None, typer.Option(help="Only those this user receives.")] = None,
    limit: Limit = 200,
    cursor: KeyCursor = None,
    output: Output = Format.TABLE,
) -> None:
    """List invoices, newest first."""
    month = None if period is None else BillingRange.parse(period).period()
    with session(context).opened() as opened:
        document = list_invoices(
            opened.store,
            period=month,
            status=status,
            team=team,
            user=user,
            limit=limit,
            cursor=cursor,
        )
    show(document, output, rows=document["invoices"], columns=_INVOICES)
    note_next_page(document, output)


@invoices.command("show", epilog="Example: chargeback invoices show INV-202610-0001")
def show_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="N", help="The invoice's number or id.")],
    output: Output = Format.TABLE,
) -> None:
    """Show one invoice with its lines."""
    with session(context).opened() as opened:
        document = show_invoice(opened.store, name)
        refusal = refusal_of(opened.store, document["invoice"]["invoice_id"])
    _show(document["invoice"], output)
    if refusal is not None:
        note(f"What is new of it is not published. {refusal} See: chargeback outbox list --parked")


@invoices.command(
    "create", epilog="Example: chargeback invoices create --period 2026-10 --user ada"
)
def create(
    context: typer.Context,
    period: Annotated[str, typer.Option(help="Of this month, as 2026-10.")],
    team: Annotated[str | None, typer.Option(help="To this team.")] = None,
    user: Annotated[
        str | None,
        typer.Option(help="To this user, billed apart; with --team only their share in it."),
    ] = None,
    tax_rate: Annotated[
        str | None, typer.Option(help="Its tax as a fraction: 0.19 is 19 %.")
    ] = None,
    due_days: Annotated[
        int | None, typer.Option(help="Days from issuing it to its due date.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make or renew a draft for a month that is open, or replace a cancelled invoice.

    Of a closed month, the invoice that there is is shown. A draft's cents are provisional, and it
    is issued when its month is closed.
    """
    month = BillingRange.parse(period).period()
    asked = Requested(Pair(team, user), _rate(tax_rate), due_days)
    with session(context).opened() as opened:
        if opened.is_closed(month):
            # It may issue a replacement, with a number.
            opened.compare_books_of_a_topic()
        done = create_invoice(opened.store, month, asked, terms_of(opened.settings), opened.act())
    _show(invoice_document(done.invoice), output)
    if not done.new and done.invoice.issued_at is not None:
        note(f"{month} was billed to {done.invoice.receiver.key} before; nothing was changed.")


@invoices.command(
    "status",
    epilog='Example: chargeback invoices status INV-202610-0001 cancelled --reason "wrong team"',
)
def status_(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="N", help="The invoice's number or id.")],
    status: Annotated[
        str, typer.Argument(help="pending (approves a draft), sent, paid, overdue or cancelled.")
    ],
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Give an invoice another status. To cancel an issued one, say why."""
    wanted = read_status(status)
    with session(context).opened() as opened:
        opened.compare_books_of_a_topic()
        done = change_status(
            opened.store, name, wanted, terms_of(opened.settings), opened.act(reason)
        )
    number = done.invoice.invoice_number
    if done.changed:
        message = f"{number} is {done.invoice.status} now; it was {done.before}."
    else:
        message = f"{number} was {done.before} before; nothing was changed."
    _show(invoice_document(done.invoice), output, message=message)
    note(message)


def _rate(text: str | None) -> int | None:
    """A tax rate in 10**-9. Raises BadTaxRate."""
    if text is None:
        return None
    try:
        return exact_nano_from_text(text, limit=NANO)
    except (NotADecimal, OutOfRange, TooManyDecimals):
        raise BadTaxRate(text) from None


def _show(found: Document, output: Format, **besides: str) -> None:
    """An invoice, in the form of the endpoints that answer with one."""
    show(
        {**besides, "invoice": found},
        output,
        rows=found["line_items"],
        columns=_LINES,
        people=lambda: _people(found),
    )


def _people(found: dict[str, Any]) -> None:
    typer.echo(
        f"Invoice {found['invoice_number']} ({found['kind']}, {found['status']})"
        f" to {escaped(found['receiver'])} for {found['period']}"
    )
    typer.echo(
        f"id {found['invoice_id']}, revision {found['revision']}, due {text(found['due_date'])}"
    )
    if found["references"]:
        typer.echo(f"It refers to {', '.join(found['references'])}")
    if found["replaces"]:
        typer.echo(f"It replaces {found['replaces']}")
    show_table(found["line_items"], _LINES)
    sums = {"Subtotal": "subtotal_usd", "Tax": "tax_usd", "Total": "total_usd"}
    shown = {name: usd(found[field]) for name, field in sums.items()}
    width = max(map(len, shown.values()))
    for name, amount in shown.items():
        typer.echo(f"{name:<9}{found['currency']} {amount:>{width}}")
