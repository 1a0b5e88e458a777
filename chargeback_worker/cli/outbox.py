"""`chargeback outbox`: what waits to be published, and going on with what the broker refused."""

from typing import Annotated

import typer

from chargeback_worker.cli.output import (
    Column,
    Format,
    KeyCursor,
    Limit,
    Output,
    moment,
    note,
    note_next_page,
    number,
    show,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.pipeline.release import release as release_step
from chargeback_worker.reports.outbox import list_waiting

outbox = typer.Typer(help="Messages that wait to be published.", no_args_is_help=True)

_COLUMNS = (
    Column("receiver", "Receiver"),
    Column("state", "State"),
    number("messages", "Messages"),
    Column("invoice_number", "First", spare=1),
    Column("seq", wide=True),
    Column("type", wide=True),
    Column("ce_id", wide=True),
    Column("period", "Period", spare=3),
    Column("revision", wide=True),
    number("size_bytes", "Bytes", spare=2),
    Column("created_at", "Written", moment, spare=4),
    Column("reason", "Why the broker refuses it"),
)
_RELEASED = (Column("receiver", "Receiver"),)


@outbox.command("list", epilog="Example: chargeback outbox list --parked")
def list_(
    context: typer.Context,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only those of which the broker refuses a message.")
    ] = False,
    limit: Limit = 200,
    cursor: KeyCursor = None,
    output: Output = Format.TABLE,
) -> None:
    """List whose messages are not published yet, each with its first one.

    A receiver is parked when the broker refuses that one for ever: what follows it waits, and so
    does the end of its month. All others go on.
    """
    with session(context).opened() as opened:
        document = list_waiting(opened.store, only_parked=parked, limit=limit, cursor=cursor)
    show(document, output, rows=document["outbox"], columns=_COLUMNS)
    note_next_page(document, output)


@outbox.command(
    epilog='Example: chargeback outbox release team:search --reason "max.message.bytes raised"'
)
def release(
    context: typer.Context,
    receivers: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECEIVER...", help="Which; all that are parked if none."),
    ] = None,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Publish again what the broker refused, once the cause is mended, and what waits behind it.

    A worker with the role publisher does it within seconds, in the order of each receiver. What is
    refused once more is parked again.
    """
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("publish again what the broker refused")
        ask(f"Try {', '.join(receivers) if receivers else 'all that are parked'} again?", yes)
        released = release_step(opened.store, act, receivers or None)
    rows = [{"receiver": key} for key in released]
    show({"released": rows}, output, rows=rows, columns=_RELEASED)
    if not released:
        note("No receiver is parked; nothing was changed.")
    elif output is Format.TABLE:
        note("See what becomes of it: chargeback outbox list")
