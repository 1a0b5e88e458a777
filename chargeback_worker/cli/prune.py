"""`chargeback prune`: usage records that are older than they are kept."""

from collections.abc import Mapping
from typing import Annotated

import typer

from chargeback_worker.cli.output import Column, Format, Output, moment, note, number, show
from chargeback_worker.cli.progress import progress
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import format_us
from chargeback_worker.pipeline.prune import prune as prune_step
from chargeback_worker.pipeline.prune import to_prune
from chargeback_worker.store.pruned import Prunable

_PRUNED = (
    Column("period", "Period"),
    Column("closed_at", "Closed", moment),
    number("records", "Usage records"),
    number("dropped", "Dropped"),
    Column("done", wide=True),
    Column("dry_run", wide=True),
)


def prune(
    context: typer.Context,
    rehearse: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be dropped.")
    ] = False,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Drop usage records of months closed longer ago than retention.records.

    Identities, totals, bookings and invoices stay, so that nothing counts twice and no amount
    changes. It can be broken off and run again, beside a worker too.
    """
    with session(context).opened() as opened:
        keep = opened.settings.retention.records
        act = opened.act(reason)
        found = [] if keep is None else to_prune(opened.store, keep, act.now_us)
        records = sum(one.records for one in found)
        dropped: dict[str, int] = {}
        done: set[str] = set()
        if keep is not None and found and not rehearse:
            ask(f"Drop {records:,} usage records for good?", yes)
            with progress("Pruning", records) as at:
                for step in prune_step(opened.store, keep, act):
                    dropped[str(step.period)] = step.dropped
                    done |= {str(step.period)} if step.done else set()
                    at(sum(dropped.values()))
    rows = [_prunable(one, dropped, done, rehearse) for one in found]
    show({"pruned": rows}, output, rows=rows, columns=_PRUNED)
    if keep is None:
        note("retention.records is off: all usage records are kept.")
    elif rehearse:
        note("Nothing was written.")
    elif not all(row["done"] for row in rows):
        note("Not all was dropped: a period was changed meanwhile. Run it again.")


def _prunable(
    one: Prunable, dropped: Mapping[str, int], done: set[str], rehearse: bool
) -> Document:
    period = str(one.period)
    return {
        "period": period,
        "closed_at": format_us(one.closed_us),
        "records": one.records,
        "dropped": dropped.get(period, 0),
        "done": period in done,
        "dry_run": rehearse,
    }
