"""`chargeback report`: what a team, a user or a cost centre used, was allocated and was billed."""

from collections.abc import Iterator
from typing import Annotated, Any, Protocol

import typer

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.cli.allocate import ALLOCATIONS
from chargeback_worker.cli.days import Days, End, Start, days_in_words, read_range
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    exact_usd,
    number,
    show,
    show_table,
    usd,
)
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import BillingRange
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.allocations import USAGE_IDS_MAX
from chargeback_worker.reports.owner import cost_centre_report, team_report, user_report
from chargeback_worker.store import Store

report = typer.Typer(
    help="What a team, a user or a cost centre used, was allocated and was billed.",
    no_args_is_help=True,
)

_SUMS = (
    number("used_usd", "Used USD", exact_usd),
    number("allocated_usd", "Allocated USD", exact_usd),
    number("billed_usd", "Billed USD", usd),
)
_BY_TYPE = (Column("resource_type", "Resource type"), *_SUMS)
_TEAMS = (Column("team_id", "Team"), Column("name", "Name"), *_SUMS)
_INVOICES = (
    Column("invoice_number", "Invoice"),
    Column("period", "Period"),
    Column("receiver", "Receiver"),
    Column("status", "Status"),
    number("total_usd", "Total USD", usd),
)
_SHARES = (
    Column("invoice_number", "Invoice"),
    Column("period", "Period"),
    Column("receiver", "Receiver"),
    Column("status", "Status"),
    number("subtotal_usd", "Share USD", usd),
)


@report.command(epilog="Example: chargeback report team research --period 2026-10")
def team(
    context: typer.Context,
    team_id: Annotated[str, typer.Argument(metavar="TEAM", help="The team's id.")],
    period: Days = None,
    start: Start = None,
    end: End = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what a team used, what was allocated to it and what it was billed."""
    days = read_range(period, start, end)
    _show(context, team_report, team_id, days, output, heading="Team")


@report.command(epilog="Example: chargeback report user ada --period 2026-10 -o json")
def user(
    context: typer.Context,
    user_id: Annotated[str, typer.Argument(metavar="USER", help="The user's id.")],
    period: Days = None,
    start: Start = None,
    end: End = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what a user used and was allocated, and their share of what was billed.

    A team is billed for its users: their share is the lines of its invoices that are theirs.
    """
    days = read_range(period, start, end)
    _show(context, user_report, user_id, days, output, heading="User")


@report.command(
    "cost-centre", epilog="Example: chargeback report cost-centre CC-7 --period 2026-10"
)
def cost_centre(
    context: typer.Context,
    cost_centre: Annotated[
        str, typer.Argument(metavar="COST_CENTRE", help="As the directory names it.")
    ],
    period: Days = None,
    start: Start = None,
    end: End = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what the teams of a cost centre used, were allocated and were billed.

    Which teams these are, the directory of now says.
    """
    days = read_range(period, start, end)
    _show(context, cost_centre_report, cost_centre, days, output, heading="Cost centre")


class _Report(Protocol):
    def __call__(
        self, store: Store, days: BillingRange, terms: Snapshot, name: str, /, *, usage_ids_max: int
    ) -> Document: ...


def _show(
    context: typer.Context,
    report_of: _Report,
    name: str,
    days: BillingRange,
    output: Format,
    *,
    heading: str,
) -> None:
    # Only JSON shows the ids of the usage.
    ids_max = USAGE_IDS_MAX if output is Format.JSON else 0
    with session(context).opened() as opened:
        terms = terms_of(opened.settings)
        document = report_of(opened.store, days, terms, name, usage_ids_max=ids_max)
    found = document["report"]
    rows = list(_by_type(found))
    whose = f"{heading} {escaped(name)}"
    show(document, output, rows=rows, columns=_BY_TYPE, people=lambda: _people(found, rows, whose))


def _by_type(found: Document) -> Iterator[dict[str, Any]]:
    for resource_type, sums in found["by_resource_type"].items():
        yield {"resource_type": resource_type, **sums}


def _people(found: Document, rows: list[dict[str, Any]], whose: str) -> None:
    typer.echo(f"{whose}, {days_in_words(found)}")
    show_table(rows, _BY_TYPE)
    typer.echo(
        f"In all: used USD {exact_usd(found['usage_summary']['total_cost_usd'])},"
        f" allocated USD {exact_usd(found['total_cost_usd'])},"
        f" billed USD {usd(found['billed_usd'])}"
    )
    if "teams" in found:
        show_table(found["teams"], _TEAMS, "\nTeams")
    show_table(found["allocations"], ALLOCATIONS, f"\nAllocations ({_how(found)})")
    show_table(found["invoices"], _INVOICES, "\nInvoices")
    if found.get("billed_shares"):
        show_table(found["billed_shares"], _SHARES, "\nShares of invoices to teams")


def _how(found: Document) -> str:
    return "stored" if found["stored"] else "computed, not stored"
