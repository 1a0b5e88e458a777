"""`chargeback allocate`: who bears which cost, by which rule."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any

import typer

from chargeback_worker.cli.days import Days, End, Start, days_in_words, read_range
from chargeback_worker.cli.output import (
    Column,
    Format,
    KeyCursor,
    Limit,
    Output,
    exact_usd,
    moment,
    note,
    note_next_page,
    number,
    show,
    show_table,
)
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Document
from chargeback_worker.money import divide_half_even, fixed
from chargeback_worker.pipeline.allocate import allocate_days
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.allocations import USAGE_IDS_MAX, list_allocations

# A fraction of larger numbers says less than a percentage.
_FRACTION_MAX = 1_000


def share_in_words(value: str) -> str:
    """A share that people can read: `1/3`, or a percentage."""
    share = Fraction(value)
    if share.denominator <= _FRACTION_MAX:
        return str(share)
    millionths = divide_half_even(share.numerator * 10**6, share.denominator)
    return f"{fixed(millionths * 10**5, 4)} %"


def parts_in_words(by_resource_type: Any) -> str:
    """`compute 1.500000000, query 3.000000000`."""
    parts = by_resource_type.items()
    return ", ".join(f"{name} {exact_usd(part['cost'])}" for name, part in parts)


def with_nobody(rows: Iterable[Document]) -> list[Document]:
    """The rows for people: what nobody bears says so."""
    return [
        row if row["team_id"] or row["user_id"] else {**row, "team_id": "(nobody)"} for row in rows
    ]


ALLOCATIONS = (
    Column("allocation_details.rule", "Rule"),
    Column("allocation_details.kind", "Kind"),
    Column("team_id", "Team"),
    Column("user_id", "User"),
    number("total_cost_usd", "USD", exact_usd),
    Column("allocation_details.by_resource_type", "Of which", parts_in_words, spare=4),
    Column("allocation_details.share", "Share", share_in_words, right=True, spare=5),
    number("usage_record_count", "Records", spare=3),
    Column("created_at", "Made", moment, spare=6),
    Column("allocation_id", wide=True),
    Column("rule_id", wide=True),
    Column("rule_version", wide=True),
    Column("period_start", wide=True),
    Column("period_end", wide=True),
)


def allocate(
    context: typer.Context,
    period: Days = None,
    start: Start = None,
    end: End = None,
    rule: Annotated[str | None, typer.Option(help="Show only what this rule allocates.")] = None,
    team: Annotated[
        str | None, typer.Option(help="Show only this team's; '' for those without a team.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(help="Show only this user's; '' for those without a user.")
    ] = None,
    limit: Limit = 200,
    cursor: KeyCursor = None,
    output: Output = Format.TABLE,
) -> None:
    """Allocate the cost of a month, or of any days, by all rules, and show who bears it.

    Of an open month the result is kept until the next run or the close. A closed month shows what
    was booked in it. Other days are computed by their own rules and nothing is kept.
    """
    days = read_range(period, start, end)
    with session(context).opened() as opened:
        terms = terms_of(opened.settings)
        if cursor is None:
            allocate_days(opened.store, days, terms, opened.act())
        document = list_allocations(
            opened.store,
            days,
            terms,
            rule_id=rule,
            team=team,
            user=user,
            limit=limit,
            cursor=cursor,
            usage_ids_max=USAGE_IDS_MAX if output is Format.JSON else 0,
        )
    rows = document["allocations"]
    show(document, output, rows=rows, columns=ALLOCATIONS, people=lambda: _people(document))
    note_next_page(document, output)


def _people(document: Document) -> None:
    show_table(with_nobody(document["allocations"]), ALLOCATIONS)
    typer.echo(
        f"USD {exact_usd(document['total_cost_usd'])} in all; of the whole range"
        f" USD {exact_usd(document['unallocated'])} are borne by nobody"
    )
    if not document["stored"]:
        note(f"Computed for {days_in_words(document)}; nothing was stored.")
