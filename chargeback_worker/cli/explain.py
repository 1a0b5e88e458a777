"""`chargeback explain`: why a line says what it says, down to the usage ids."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from chargeback_worker.cli.explained import line_tree, lines_tree
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    exact_usd,
    note_next_page,
    number,
    quantity,
    show,
    text,
)
from chargeback_worker.cli.session import session
from chargeback_worker.cli.tree import show_tree
from chargeback_worker.errors import Invalid
from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.explain.invoice import explain_invoice
from chargeback_worker.reports.explain.unallocated import explain_unallocated

UNALLOCATED = "unallocated"
_LINES = (
    number("line", "", text),
    Column("resource_type"),
    Column("rule"),
    number("exact_usd", "Exact USD", exact_usd),
    number("total_price", "USD", exact_usd),
    Column("in_words"),
)
_LINES_OF_NOBODY = (
    number("line", "", text),
    Column("origin_period"),
    Column("revision"),
    Column("resource_type"),
    Column("rule"),
    number("exact_usd", "Exact USD", exact_usd),
    Column("why.sentence"),
)
_TOTALS = (
    number("pool", "", text),
    number("pool_cost_usd", "", exact_usd),
    number("whole_cost_usd", "", exact_usd),
    Column("share"),
    Column("total_key"),
    Column("day"),
    Column("billing_period"),
    Column("team_id"),
    Column("user_id"),
    Column("owner"),
    Column("agent_id"),
    Column("resource_type"),
    Column("labels"),
    number("cost_usd", "", exact_usd),
    number("quantity", "", quantity),
    number("record_count", ""),
)


class PeriodMissing(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "Of which month nobody bears what is not said.",
            "Name it: chargeback explain unallocated --period 2026-10",
        )


class PeriodNotAsked(Invalid):
    def __init__(self, name: str) -> None:
        super().__init__(
            f"The invoice {name!r} has its period; --period goes with 'unallocated' alone.",
            f"Leave it out: chargeback explain {name}",
        )


def explain(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="N", help="An invoice's number or id, or the word unallocated."),
    ],
    line: Annotated[
        int | None, typer.Option(help="One line in full, down to the usage ids.")
    ] = None,
    period: Annotated[
        str | None, typer.Option(help="The month of what is unallocated, as 2026-10.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most rows of a step.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the page ended: a next_cursor of it.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Explain an invoice, or what nobody bears: which rule, which share, which usage.

    Each step sums to the one above, to the nano-dollar.
    """
    with session(context).opened() as opened:
        terms = terms_of(opened.settings)
        if name == UNALLOCATED:
            if period is None:
                raise PeriodMissing
            month = BillingRange.parse(period).period()
            document = explain_unallocated(
                opened.store, month, terms, line=line, limit=limit, cursor=cursor
            )
        elif period is not None:
            raise PeriodNotAsked(name)
        else:
            document = explain_invoice(
                opened.store, name, terms, line=line, limit=limit, cursor=cursor
            )
    _show(document, output)
    note_next_page(document, output)


def _show(document: Document, output: Format) -> None:
    found = document["explanation"]
    if "settlement" in found:
        show(
            document,
            output,
            rows=list(_totals(found["settlement"]["pools"])),
            columns=_TOTALS,
            people=lambda: show_tree(line_tree(found)),
        )
        return
    show(
        document,
        output,
        rows=found["lines"],
        columns=_LINES if "invoice" in found else _LINES_OF_NOBODY,
        people=lambda: show_tree(lines_tree(found)),
    )


def _totals(pools: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The usage totals of all pools, each with what its pool gives."""
    for place, pool in enumerate(pools):
        share = pool["share"]
        for total in pool["behind"]["usage_totals"]:
            yield {
                "pool": place,
                "pool_cost_usd": pool["cost_usd"],
                "whole_cost_usd": pool["whole"]["cost_usd"],
                "share": f"{text(share['numerator'])}/{text(share['denominator'])}",
                **total,
            }
