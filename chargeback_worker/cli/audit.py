"""`chargeback audit`: who changed what, when and why."""

from datetime import date, datetime
from typing import Annotated

import typer

from chargeback_worker.cli.output import (
    Column,
    Cursor,
    Format,
    Limit,
    Output,
    moment,
    note_next_page,
    number,
    show,
    text,
)
from chargeback_worker.cli.session import session
from chargeback_worker.reports.audit import audited

_COLUMNS = (
    number("audit_id", "Id", text),
    Column("at", "At", moment),
    Column("actor", "Who"),
    Column("action", "Did"),
    Column("subject", "To"),
    Column("before", wide=True),
    Column("after", "Now"),
    Column("reason", "Why"),
)


def audit(
    context: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="2026-10-01, or a time as 2026-10-01T08:00:00Z."),
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
    output: Output = Format.TABLE,
) -> None:
    """List what people and the scheduler changed, newest first. Nothing of it is ever altered."""
    begin = None if since is None else _since(since)
    with session(context).opened() as opened:
        document = audited(opened.store, since=begin, limit=limit, cursor=cursor)
    show(document, output, rows=document["audit"], columns=_COLUMNS)
    note_next_page(document, output)


def _since(text: str) -> date | datetime:
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        begin = datetime.fromisoformat(text)
    except ValueError:
        begin = None
    if begin is None or begin.tzinfo is None:
        raise typer.BadParameter(
            f"{text!r} is neither a date as 2026-10-01 nor a time with its zone"
            " as 2026-10-01T08:00:00Z",
            param_hint="--since",
        )
    return begin
