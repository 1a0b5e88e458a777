"""`chargeback usage summary`: what was used."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from chargeback_worker.cli.days import Days, End, Start, read_range
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    exact_usd,
    number,
    quantity,
    show,
    show_table,
)
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import BillingRange
from chargeback_worker.reports.usage_summary import usage_by, usage_summary
from chargeback_worker.store import Store

usage = typer.Typer(help="What was used.", no_args_is_help=True)

_BREAKDOWNS = {"by_resource_type": "resource type", "by_agent": "agent"}
_COLUMNS = (
    Column("by", "By"),
    Column("key", "Name", lambda key: escaped(key) or "(none)"),
    number("cost", "USD", exact_usd),
    number("quantity", "Quantity", quantity),
)
Team = Annotated[str | None, typer.Option(help="Only this team's; '' for usage without a team.")]
User = Annotated[str | None, typer.Option(help="Only this user's; '' for usage without a user.")]


@usage.command(epilog="Example: chargeback usage summary --period 2026-10 --team research -o json")
def summary(
    context: typer.Context,
    period: Days = None,
    start: Start = None,
    end: End = None,
    team: Team = None,
    user: User = None,
    output: Output = Format.TABLE,
) -> None:
    """Sum up the usage of a month, or of any days, by what was used and who used it.

    It goes by the day of the usage itself, whichever period bills it.
    """
    days = read_range(period, start, end)
    with session(context).opened() as opened:
        document = usage_summary(opened.store, days, team=team, user=user)
        found = document["summary"]
        rows = list(_rows(found))
        if output is not Format.JSON:
            rows = [*_by_owner(opened.store, days, team, user), *rows]
    show(document, output, rows=rows, columns=_COLUMNS, people=lambda: _table(found, rows))


def _table(found: Document, rows: list[dict[str, Any]]) -> None:
    typer.echo(
        f"Usage from {found['period_start']} to {found['period_end']} (exclusive)"
        f"{_of('team', found['team_id'])}{_of('user', found['user_id'])}"
    )
    show_table(rows, _COLUMNS)
    typer.echo(
        f"{found['record_count']:,} usage records, USD {exact_usd(found['total_cost_usd'])} in all"
    )


def _of(what: str, name: str | None) -> str:
    if name is None:
        return ""
    return f", {what} {escaped(name)}" if name else f", without a {what}"


def _rows(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for field, by in _BREAKDOWNS.items():
        yield from _broken_down(by, found[field])
    for label, keys in found.get("by_label", {}).items():
        yield from _broken_down(f"label {label}", keys)


def _broken_down(by: str, keys: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, sums in keys.items():
        yield {"by": by, "key": key, **sums}


def _by_owner(
    store: Store, days: BillingRange, team: str | None, user: str | None
) -> Iterator[dict[str, Any]]:
    """What people ask next: which team or, within one, which user."""
    column = "team_id" if team is None else "user_id"
    for row in usage_by(
        store, days, "team_id" if team is None else "user_id", team=team, user=user
    ):
        yield {
            "by": column.removesuffix("_id"),
            "key": row.key[0] or "",
            "cost": Amount(row.cost),
            "quantity": Amount(row.quantity),
        }
