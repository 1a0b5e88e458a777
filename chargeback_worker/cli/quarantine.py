"""`chargeback quarantine`: refused events, looked at, tried again, or given up."""

from collections import Counter
from typing import Annotated, Any

import typer

from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.output import (
    Column,
    Cursor,
    Format,
    Limit,
    Output,
    escaped,
    moment,
    note,
    note_next_page,
    number,
    show,
    text,
)
from chargeback_worker.cli.progress import progress
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.pipeline.dismiss import dismiss as dismiss_step
from chargeback_worker.pipeline.ingest import Outcome
from chargeback_worker.reports.quarantine import quarantined, quarantined_event
from chargeback_worker.store.quarantine import Held, count_replayable
from chargeback_worker.usage.refusal import Reason as Refusal

quarantine = typer.Typer(help="Usage events that were refused.", no_args_is_help=True)

PAYLOAD_SHOWN_MAX = 4_000
REPLAYED_SHOWN_MAX = 1_000
_PLACE = (
    Column("door", "Door", spare=1),
    Column("name", wide=True),
    Column("partition", wide=True),
    number("position", "Position", text),
)
_COLUMNS = (
    number("quarantine_id", "Id", text),
    Column("state", "State", spare=2),
    Column("reason", "Reason"),
    Column("detail", "What is wrong"),
    *_PLACE,
    number("size_bytes", "Bytes", spare=3),
    Column("received_at", "Received", moment, spare=4),
    Column("replayable", wide=True),
    Column("outcome", wide=True),
    Column("resolved_at", wide=True),
    Column("digest", wide=True),
)
_REPLAYED = (number("quarantine_id", "Id", text), Column("outcome", "Outcome"))
Id = Annotated[int, typer.Argument(metavar="ID", help="As the list shows it.")]


@quarantine.command("list", epilog="Example: chargeback quarantine list --reason not_json")
def list_(
    context: typer.Context,
    state: Annotated[Held, typer.Option(help="Only those that are so.")] = Held.HELD,
    every: Annotated[bool, typer.Option("--all", help="Of every state.")] = False,
    reason: Annotated[
        Refusal | None, typer.Option(metavar="CODE", help="Only of this reason's code.")
    ] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
    output: Output = Format.TABLE,
) -> None:
    """List refused events and why they were, newest first."""
    with session(context).opened() as opened:
        document = quarantined(
            opened.store,
            state=None if every else state,
            reason=None if reason is None else reason.value,
            limit=limit,
            cursor=cursor,
        )
    show(document, output, rows=document["quarantine"], columns=_COLUMNS)
    note_next_page(document, output)


@quarantine.command("show", epilog="Example: chargeback quarantine show 17")
def show_(context: typer.Context, quarantine_id: Id, output: Output = Format.TABLE) -> None:
    """Show one refused event with what it holds, control characters escaped."""
    with session(context).opened() as opened:
        document = quarantined_event(opened.store, quarantine_id)
    found = document["quarantined"]
    show(document, output, rows=[found], columns=_COLUMNS, people=lambda: _people(found))


def _people(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if name != "event":
            shown = "no" if value is False else text(value)
            typer.echo(f"{name + ':':<15} {shown}")
    event = found["event"]
    if event is None:
        typer.echo("It was erased; its digest and reason stay.")
        return
    typer.echo(f"{'key:':<15} {_short(event['key'])}")
    for name, value in event["headers"].items():
        typer.echo(f"header {escaped(name)}: {_short(value)}")
    typer.echo(f"value:\n{_short(event['value'])}")
    if not found["replayable"]:
        note("Only the head of it was kept; it cannot be replayed.")


def _short(value: str | None) -> str:
    if value is None:
        return "(none)"
    cut = escaped(value[:PAYLOAD_SHOWN_MAX])
    more = len(value) - PAYLOAD_SHOWN_MAX
    return f"{cut}\n… {more:,} more characters; all of it: -o json" if more > 0 else cut


@quarantine.command(epilog="Example: chargeback quarantine replay 17 18")
def replay(
    context: typer.Context,
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID...", help="Which; all held ones if none.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Try refused events again, for instance after a setting was changed.

    Each is counted once or stays where it is. It can be broken off and run again. Of many, the
    first are listed and all are counted. Exit code 5 if all of them are refused again.
    """
    rows: list[dict[str, Any]] = []
    tally: Counter[str] = Counter({outcome.value: 0 for outcome in Outcome})
    with session(context).opened() as opened:
        with opened.store.read() as transaction:
            count = len(ids) if ids else count_replayable(transaction)
        with progress("Replaying", count) as at:
            for done in opened.replay(list(dict.fromkeys(ids)) if ids else None):
                tally.update(outcome.value for _, outcome in done)
                listed = done[: REPLAYED_SHOWN_MAX - len(rows)]
                rows += [{"quarantine_id": one, "outcome": how.value} for one, how in listed]
                at(tally.total())
    show({"replayed": rows, "tally": tally}, output, rows=rows, columns=_REPLAYED)
    if tally.total() > len(rows):
        counted = ", ".join(f"{number:,} {how}" for how, number in tally.items())
        note(f"Only the first {len(rows):,} are listed. All {tally.total():,}: {counted}.")
    if tally.total() and tally.total() == tally[Outcome.QUARANTINED.value]:
        raise typer.Exit(ExitCode.REFUSED)


@quarantine.command(epilog='Example: chargeback quarantine dismiss 17 --reason "a test message"')
def dismiss(
    context: typer.Context,
    quarantine_id: Id,
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Give up on a refused event: its bytes are erased for good, digest and reason stay."""
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("dismiss a quarantined event")
        ask(f"Erase the quarantined event {quarantine_id} for good?", yes)
        dismiss_step(opened.store, quarantine_id, act)
        document = quarantined_event(opened.store, quarantine_id)
    show(document, output, rows=[document["quarantined"]], columns=_COLUMNS)
