"""What the demo says: tables and the equation, in the words of the README."""

import typer

from chargeback_worker.app import App
from chargeback_worker.cli.output import Column, count, grouped, number, show_table, usd
from chargeback_worker.invoicing.document import Amount
from chargeback_worker.money import NANO_PER_CENT, fixed
from chargeback_worker.period import Period
from chargeback_worker.reports.invoices import find_invoices
from chargeback_worker.reports.usage_summary import usage_by
from chargeback_worker.simulation import Expected
from chargeback_worker.store.closes import Close
from chargeback_worker.store.cursors import Tally


def say(what: str, sentence: str) -> None:
    typer.echo(f"{what:<10} {sentence}")


def usage_by_team(app: App, month: Period) -> None:
    rows = [
        {
            "team": row.key[0] or "(no team)",
            "cost": Amount(row.cost),
            "records": row.records,
        }
        for row in usage_by(app.store, month.days(), "team_id")
    ]
    say("Usage", f"of {month} by team")
    show_table(
        rows,
        (
            Column("team", "Team"),
            number("records", "Events", count),
            number("cost", "USD, exact", _exact),
        ),
    )


def _exact(value: Amount) -> str:
    return grouped(fixed(value.nano))


def invoices_of(app: App, month: Period) -> None:
    rows = [
        {
            "number": invoice.invoice_number,
            "receiver": invoice.receiver.key,
            "status": invoice.status.value,
            "lines": len(invoice.lines),
            "late": sum(line.cause is not None for line in invoice.lines),
            "total": Amount(invoice.total),
        }
        for invoice in reversed(find_invoices(app.store, period=month, limit=1_000)[0])
    ]
    say("Invoices", f"of {month}, written when it was closed and published to the topic")
    show_table(
        rows,
        (
            Column("number", "Number"),
            Column("receiver", "Receiver"),
            Column("status", "Status"),
            number("lines", "Lines", count),
            number("late", "of them late", count),
            number("total", "USD", usd),
        ),
    )


def equation(tally: Tally, sent: Expected, done: Close) -> None:
    """Nothing disappears: the events and the money, each with its numbers.

    What was sent was counted apart, before anything read it; a difference would be our fault.
    """
    told = Tally(**sent.outcomes)
    assert tally == told, f"sent {told}, counted {tally}"
    assert done.booked == sent.cost, (done.booked, sent.cost)
    say(
        "Events",
        f"{tally.consumed:,} in = {tally.accepted:,} accepted + {tally.duplicate:,} duplicate"
        f" + {tally.conflict:,} conflict + {tally.quarantined:,} quarantined",
    )
    cents = _cents(done.invoiced + done.unallocated)
    say("Money", f"USD {grouped(fixed(done.booked))} of cost, {cents} in cents,")
    say(
        "",
        f"{cents} = {_cents(done.invoiced)} invoiced + {_cents(done.unallocated)} unallocated"
        " (shared cost that no rule gives to anybody)",
    )


def _cents(nano: int) -> str:
    assert nano % NANO_PER_CENT == 0, nano
    return grouped(fixed(nano, 2))
