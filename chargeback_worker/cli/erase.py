"""`chargeback erase`: forgetting a person."""

from typing import Annotated, Any

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    counted,
    note,
    number,
    show,
    show_table,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.errors import Invalid
from chargeback_worker.invoicing.document import Document
from chargeback_worker.pipeline.erase import Erased
from chargeback_worker.pipeline.erase import erase as erase_step

_HOLDING = (Column("holds", "Holds"), Column("table", "Table"), number("rows", "Rows"))
_USER = "user:"


class NotAUser(Invalid):
    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text!r} names no person.", "Write the id of a user, as chargeback erase user:ada"
        )


def erase(
    context: typer.Context,
    person: Annotated[str, typer.Argument(metavar="user:ID", help="Whom to forget.")],
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Erase a person's name, and what is kept of their events besides what is billed.

    The name goes out of all versions of the directory, their events out of quarantine, and the
    metadata of their usage. The id stays, as a pseudonym, in books, invoices, messages and audit.
    """
    user = person.removeprefix(_USER)
    if not person.startswith(_USER) or not user:
        raise NotAUser(person)
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("erase a person")
        ask(f"Erase the name and the payloads of {person} for good?", yes)
        done = erase_step(opened.store, user, act)
    document = _erased(done)
    rows = [
        {"holds": holds, "table": table, "rows": of_table}
        for holds, tables in (("id", done.holding_id), ("name", done.holding_name))
        for table, of_table in tables.items()
    ]
    show(document, output, rows=rows, columns=_HOLDING, people=lambda: _people(done, rows))
    note("The name comes back with the next directory that holds it: take it out of its file too.")


def _erased(done: Erased) -> Document:
    return {
        "erased": {
            "user_id": done.user,
            "directory_versions": done.versions,
            "quarantined": done.quarantined,
            "conflicts": done.conflicts,
            "usage_records": done.records,
            "holding_id": dict(done.holding_id),
            "holding_name": dict(done.holding_name),
            "left": list(done.left),
        }
    }


def _people(done: Erased, rows: list[dict[str, Any]]) -> None:
    typer.echo(
        f"Erased of user:{done.user}: the name in {counted(done.versions, 'version')} of the"
        f" directory, {counted(done.quarantined, 'event')} in quarantine,"
        f" {counted(done.conflicts, 'conflicting event')}, the metadata of"
        f" {counted(done.records, 'usage record')}."
    )
    if rows:
        show_table(rows, _HOLDING, title="What still holds the id, or a name")
    for sentence in done.left:
        typer.echo(sentence)
