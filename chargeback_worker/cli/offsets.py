"""`chargeback offsets`: where reading stands, and the ways past what it stopped at."""

from collections.abc import Mapping
from typing import Annotated

import typer

from chargeback_worker import app
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    escaped,
    note,
    number,
    show,
    text,
)
from chargeback_worker.cli.question import Reason, Yes, ask
from chargeback_worker.cli.session import session
from chargeback_worker.errors import ChargebackError, Conflict
from chargeback_worker.invoicing.document import Document
from chargeback_worker.pipeline import offsets as steps
from chargeback_worker.reports.offsets import offsets as offsets_report
from chargeback_worker.store import cursors
from chargeback_worker.store.cursors import Door

_START = "Start the worker again: it reads on from there only then."

offsets = typer.Typer(help="Where reading of the usage stands.", no_args_is_help=True)

_COLUMNS = (
    number("cursor_id", "", text),
    Column("door", "Door"),
    Column("name", "Topic or file", lambda name: escaped(name)[:32]),
    number("partition", "Partition", text),
    number("next_position", "Next"),
    number("end_position", "End", spare=3),
    number("lag", "Lag"),
    number("accepted", "Accepted", spare=1),
    number("duplicate", "Duplicate", spare=1),
    number("conflict", "Conflict", spare=1),
    number("quarantined", "Quarantined", spare=1),
    number("skipped", "Skipped", spare=2),
    number("consumed", "", wide=True),
    Column("retired", "Put away", spare=4),
    Column("stopped", "Stopped by"),
    Column("topic_id", wide=True),
    Column("first_position", wide=True),
    Column("attempts", wide=True),
    Column("suspect_position", wide=True),
    Column("updated_at", wide=True),
)


class NoTopicId(Conflict):
    """The broker gives its topics no ids, so that a new one cannot be told from the old."""

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"The broker gives the topic {topic!r} no id; there is nothing to adopt.",
            "See: chargeback offsets show",
        )


@offsets.command("show", epilog="Example: chargeback offsets show -o json")
def show_(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show every partition and file with its position, what was counted, and what stops it."""
    with session(context).opened() as opened:
        document = offsets_report(opened.store, ends=_ends(opened))
    show(document, output, rows=document["offsets"], columns=_COLUMNS)


def _ends(opened: app.App) -> Mapping[tuple[str, int], int]:
    """The ends of partitions; where only files are read, no broker is asked."""
    with opened.store.read() as transaction:
        if all(cursor.retired for cursor in cursors.listed(transaction, Door.TOPIC)):
            return {}
    try:
        return opened.usage_ends()
    except ChargebackError as error:
        note(f"Without the ends of partitions: {error.message}")
        return {}


@offsets.command(
    "accept-gap",
    epilog='Example: chargeback offsets accept-gap --reason "retention passed while we were down"',
)
def accept_gap(
    context: typer.Context, reason: Reason = None, yes: Yes = False, output: Output = Format.TABLE
) -> None:
    """Go on after records that are lost for good, wherever the next position is gone.

    A worker that has stopped there goes on when it is started again.
    """
    with session(context).opened() as opened:
        topic = opened.settings.kafka.usage_topic
        act = opened.act(reason)
        act.require_reason("accept a gap")
        bounds = opened.usage_bounds()
        ask(f"Go on without what is missing in topic {topic}?", yes)
        moved = steps.accept_gap(opened.store, topic, bounds, act)
        document = _only(opened, {cursor.cursor_id for cursor in moved})
    show(document, output, rows=document["offsets"], columns=_COLUMNS)
    note(_START if moved else "No position was gone; nothing was changed.")


@offsets.command(epilog='Example: chargeback offsets skip usage-events:3:1041 --reason "damaged"')
def skip(
    context: typer.Context,
    place: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC:PARTITION:OFFSET[-LAST]",
            help="The record read next, and the last of its batch if that is broken.",
        ),
    ],
    reason: Reason = None,
    yes: Yes = False,
    output: Output = Format.TABLE,
) -> None:
    """Go past a record or a broken batch that stops its partition, without reading it.

    A worker that has stopped there goes on when it is started again.
    """
    topic, partition, offset, last = _place(place)
    with session(context).opened() as opened:
        act = opened.act(reason)
        act.require_reason("skip a record")
        if last > offset:
            _, end = opened.usage_bounds().get(partition, (0, 0))
            if last >= end:
                raise typer.BadParameter(f"{topic}:{partition} ends before offset {end}")
        ask(f"Skip {place} without counting it?", yes)
        moved = steps.skip(opened.store, topic, partition, offset, act, last=last)
        document = _only(opened, {moved.cursor_id})
    show(document, output, rows=document["offsets"], columns=_COLUMNS)
    note(_START)


def _place(text: str) -> tuple[str, int, int, int]:
    topic, _, numbers = text.partition(":")
    partition, _, offsets = numbers.partition(":")
    first, dash, last = offsets.partition("-")
    last = last if dash else first
    if not (topic and all(number.isdecimal() for number in (partition, first, last))):
        raise typer.BadParameter(
            f"{text!r} is not TOPIC:PARTITION:OFFSET, for instance usage-events:3:1041, nor"
            " TOPIC:PARTITION:OFFSET-LAST"
        )
    if int(last) < int(first):
        raise typer.BadParameter(f"{last} is before {first}")
    return topic, int(partition), int(first), int(last)


@offsets.command(
    "adopt-topic",
    epilog='Example: chargeback offsets adopt-topic --reason "made anew with 12 partitions"',
)
def adopt_topic(
    context: typer.Context, reason: Reason = None, yes: Yes = False, output: Output = Format.TABLE
) -> None:
    """Read a topic that was made anew from its beginning; what comes again counts once."""
    with session(context).opened() as opened:
        topic = opened.settings.kafka.usage_topic
        act = opened.act(reason)
        act.require_reason("adopt a topic")
        described = opened.broker.describe(topic)
        if described is None:
            raise MissingTopic(topic, ",".join(opened.settings.kafka.bootstrap_servers))
        if described.topic_id is None:
            raise NoTopicId(topic)
        ask(f"Put away the positions of the former topic {topic}?", yes)
        retired = steps.adopt_topic(opened.store, topic, described.topic_id, act)
        document = offsets_report(opened.store, kind=Door.TOPIC)
    show(document, output, rows=document["offsets"], columns=_COLUMNS)
    note(f"Positions of {retired} partitions were put away.")
    if retired:
        note(_START)


def _only(opened: app.App, cursor_ids: set[int]) -> Document:
    found = offsets_report(opened.store)["offsets"]
    return {"offsets": [row for row in found if row["cursor_id"] in cursor_ids]}
