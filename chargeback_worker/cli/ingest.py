"""`chargeback ingest`: files of usage, by the same step as the topic."""

from typing import Annotated

import typer

from chargeback_worker import app
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.lines import (
    LINE_BYTES_MAX,
    UsageFile,
    require_readable,
    usage_file,
)
from chargeback_worker.cli.output import Column, Format, Output, note, number, show
from chargeback_worker.cli.progress import progress
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Document
from chargeback_worker.store import cursors
from chargeback_worker.store.cursors import Cursor, Door, Tally

_OUTCOMES = ("accepted", "duplicate", "conflict", "quarantined")
_COLUMNS = (
    Column("file", "File"),
    number("read", "Events"),
    *(number(outcome, outcome.capitalize()) for outcome in _OUTCOMES),
    number("late", "Late"),
    Column("note", "Note"),
    Column("digest", wide=True),
)


def ingest(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="JSON lines, plain or gzip; - is standard input."),
    ],
    output: Output = Format.TABLE,
) -> None:
    """Ingest files of usage events, one JSON object a line.

    It can be broken off and run again: a file goes on where it was left, known by its content, and
    an event that was counted before is a duplicate. What cannot be read goes to quarantine and
    stops nothing. Exit code 5 if all that a file holds was refused.
    """
    require_readable(files)
    done: list[Document] = []
    with session(context).opened() as opened:
        for name in files:
            with usage_file(name) as file:
                done.append(_ingest(opened, file))
    show({"files": done}, output, rows=done, columns=_COLUMNS)
    if any(row["total"]["quarantined"] for row in done):
        note("What was refused, and why: chargeback quarantine list")
    if any(row["total"]["conflict"] for row in done):
        note("A conflict is an event whose id was counted before with another content.")
    if any(_all_refused(row["total"]) for row in done):
        raise typer.Exit(ExitCode.REFUSED)


def _ingest(opened: app.App, file: UsageFile) -> Document:
    with progress(f"{file.name}: reading", file.size) as at:
        digest = file.digest(lambda: at(file.read_at()))
    before = _cursor(opened, digest)
    tally, late = Tally(), 0
    line_max = max(LINE_BYTES_MAX, opened.settings.quarantine.max_bytes + 1)
    with progress(f"{file.name}: ingesting", file.size) as at:
        for result in opened.ingest_file(digest, file.lines(line_max)):
            tally += result.tally
            late += result.late
            at(file.read_at())
    after = _cursor(opened, digest)
    total = after.tally if after else Tally()
    return {
        "file": file.name,
        "digest": digest,
        "resumed_at": before.next_position if before else 0,
        "read": tally.consumed,
        **_outcomes(tally),
        "late": late,
        "note": _note(before, tally),
        "total": {**_outcomes(total), "skipped": total.skipped},
    }


def _cursor(opened: app.App, digest: str) -> Cursor | None:
    with opened.store.read() as transaction:
        return cursors.find(transaction, Door.FILE, digest)


def _outcomes(tally: Tally) -> dict[str, int]:
    return {outcome: getattr(tally, outcome) for outcome in _OUTCOMES}


def _note(before: Cursor | None, tally: Tally) -> str:
    nothing_read = not tally.consumed and not tally.skipped
    if nothing_read:
        return "already ingested to its end; nothing changed" if before else "is empty"
    if before and before.next_position:
        return f"went on after line {before.next_position:,}"
    return ""


def _all_refused(total: dict[str, int]) -> bool:
    return total["quarantined"] > 0 and not any(total[kind] for kind in _OUTCOMES[:3])
