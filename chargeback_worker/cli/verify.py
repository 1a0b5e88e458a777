"""`chargeback verify`: everything computed again from the records."""

from typing import Annotated

import typer

from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.output import Column, Format, Output, number, show, show_table, usd
from chargeback_worker.cli.session import session
from chargeback_worker.period import Period
from chargeback_worker.reports.verify import VerifyResult
from chargeback_worker.reports.verify import verify as verify_report

_CHECKS = (
    Column("check", "Check"),
    Column("holds", "What holds"),
    number("rows", "Rows"),
    number("mismatches", "Mismatches"),
)
_MISMATCHES = (
    Column("check", "Check"),
    Column("subject", "Where"),
    Column("expected", "Expected"),
    Column("found", "Found"),
    Column("hint", "What to do"),
)


def verify(
    context: typer.Context,
    period: Annotated[
        str | None, typer.Option(help="Only what this month bills, as 2026-10.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Compute all totals, bookings, invoices and tallies anew, and name whatever differs.

    It writes nothing. Exit code 5 if anything differs.
    """
    wanted = None if period is None else Period.parse(period)
    with session(context).opened() as opened:
        result = verify_report(opened.store, wanted)
    document = result.to_document()
    rows = document["verify"]["mismatches"]
    show(document, output, rows=rows, columns=_MISMATCHES, people=lambda: _people(result))
    if not result.clean:
        raise typer.Exit(ExitCode.REFUSED)


def _people(result: VerifyResult) -> None:
    found = result.to_document()["verify"]
    show_table(found["checks"], _CHECKS)
    for row in found["uninvoiced"]:
        typer.echo(
            f"{usd(row['uninvoiced_usd'])} USD of {row['period']}, close {row['revision']}, is on"
            f" no invoice: chargeback invoices list --period {row['period']} --status cancelled"
        )
    for row in found["pruned"]:
        typer.echo(row["sentence"])
    if result.clean:
        typer.echo("Everything agrees.")
        return
    show_table(found["mismatches"], _MISMATCHES)
    count = sum(check["mismatches"] for check in found["checks"])
    typer.echo(f"{count:,} {'mismatch' if count == 1 else 'mismatches'}.")
