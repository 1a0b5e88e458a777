"""`chargeback invoices`: what was issued."""

from typing import Annotated, Any

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    KeyCursor,
    Limit,
    Output,
    escaped,
    exact_usd,
    moment,
    note_next_page,
    number,
    quantity,
    show,
    show_table,
    text,
    usd,
)
from chargeback_worker.cli.session import session
from chargeback_worker.period import BillingRange
from chargeback_worker.reports.invoices import list_invoices, show_invoice

invoices = typer.Typer(help="The invoices.", no_args_is_help=True)

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
        str | None, typer.Option(help="Only with this status: pending, sent, paid …")
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
    found = document["invoice"]
    rows = found["line_items"]
    show(document, output, rows=rows, columns=_LINES, people=lambda: _people(found))


def _people(found: dict[str, Any]) -> None:
    typer.echo(
        f"Invoice {found['invoice_number']} ({found['kind']}, {found['status']})"
        f" to {escaped(found['receiver'])} for {found['period']}"
    )
    typer.echo(
        f"id {found['invoice_id']}, revision {found['revision']}, due {text(found['due_date'])}"
    )
    if found["references"]:
        typer.echo(f"It refers to {text(found['references'])}")
    show_table(found["line_items"], _LINES)
    sums = {"Subtotal": "subtotal_usd", "Tax": "tax_usd", "Total": "total_usd"}
    shown = {name: usd(found[field]) for name, field in sums.items()}
    width = max(map(len, shown.values()))
    for name, amount in shown.items():
        typer.echo(f"{name:<9}{found['currency']} {amount:>{width}}")
