"""`chargeback directory`: who belongs to which team."""

from typing import Annotated, Any

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    moment,
    note,
    number,
    show,
    show_table,
    text,
)
from chargeback_worker.cli.question import Reason
from chargeback_worker.cli.session import session
from chargeback_worker.cli.written.file import read_written_file
from chargeback_worker.invoicing.document import Document
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.reports.directory import show_directory

directory = typer.Typer(help="The teams and their members.", no_args_is_help=True)

_MEMBERS = (
    Column("team_id", "Team"),
    Column("team_name", "Name", spare=3),
    Column("cost_centre", "Cost centre", spare=2),
    Column("tax_rate", "Tax rate", spare=4),
    Column("user_id", "User"),
    Column("name", "Name", spare=1),
    Column("from", "From"),
    Column("to", "To"),
    Column("primary", "Primary"),
    Column("billing_address", wide=True),
)


@directory.command(epilog="Example: chargeback directory apply config/directory.example.yaml")
def apply(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="YAML or JSON; - is standard input.")],
    reason: Reason = None,
    output: Output = Format.TABLE,
) -> None:
    """Put the directory of a file in place of the one before, whole or not at all.

    Months that are closed keep the one of their close; the same again changes nothing.
    """
    written = read_written_file(file)
    with session(context).opened() as opened, written.told():
        applied = apply_directory(opened.store, written.document, opened.act(reason))
        document = show_directory(opened.store)
    row = _summary(document["directory"])
    show(document, output, rows=[row], columns=_SUMMARY)
    if not applied.changed:
        note("It stood like this already; nothing was changed.")


@directory.command("show", epilog="Example: chargeback directory show -o json")
def show_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show the teams with their members, and from when to when they are in it."""
    with session(context).opened() as opened:
        document = show_directory(opened.store)
    found = document["directory"]
    rows = _rows(found)
    show(document, output, rows=rows, columns=_MEMBERS, people=lambda: _people(found, rows))


_SUMMARY = (
    number("version", "Version", text),
    number("teams", "Teams"),
    number("members", "Members"),
    Column("updated_at", "Written", moment),
)


def _summary(found: Document) -> dict[str, Any]:
    return {
        "version": found["version"],
        "teams": len(found["teams"]),
        "members": sum(len(team["members"]) for team in found["teams"]),
        "updated_at": found["updated_at"],
    }


def _rows(found: Document) -> list[dict[str, Any]]:
    """A row for each membership, and one for a team that has none."""
    rows = []
    for team in found["teams"]:
        of_team = {
            "team_id": team["team_id"],
            "team_name": team["name"],
            "cost_centre": team["cost_centre"],
            "tax_rate": team["tax_rate"],
            "billing_address": team["billing_address"],
        }
        nobody = {"user_id": None, "name": None, "from": None, "to": None, "primary": False}
        rows += [of_team | member for member in team["members"] or [nobody]]
    return rows


def _people(found: Document, rows: list[dict[str, Any]]) -> None:
    show_table(rows, _MEMBERS)
    typer.echo(f"Version {found['version']}, {len(found['teams'])} teams")
