"""The options by which a command is told of which days, and days in words."""

from typing import Annotated

import typer

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import BillingRange, Period

Days = Annotated[
    str | None,
    typer.Option("--period", help="A month as 2026-10, or days as 2026-10-01/2026-11-01."),
]
Start = Annotated[str | None, typer.Option("--from", help="The first day.")]
End = Annotated[str | None, typer.Option("--to", help="The day after the last.")]


def read_range(period: str | None, start: str | None, end: str | None) -> BillingRange:
    """The days that the options name, in either way. Raises InvalidRange."""
    if period is not None and start is None and end is None:
        return BillingRange.parse(period)
    if period is None and start is not None and end is not None:
        return BillingRange.between(start, end)
    raise typer.BadParameter(
        "give the days either as --period 2026-10 or as --from 2026-10-01 --to 2026-11-01"
    )


def days_in_words(document: Document) -> str:
    """A month by its name, other days by the first and the one after the last."""
    days = BillingRange(document["period_start"], document["period_end"])
    month = Period.of(days.start)
    return str(month) if month.days() == days else f"{days.start} to {days.end} (exclusive)"
