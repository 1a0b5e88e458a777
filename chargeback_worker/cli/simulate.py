"""`chargeback simulate`: made-up usage, into a file or onto the topic, and what is true of it."""

import gzip
import io
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, cast

import typer

from chargeback_worker import app
from chargeback_worker.broker import Broker, Delivery
from chargeback_worker.broker.errors import MissingTopic
from chargeback_worker.cli.files import written_whole
from chargeback_worker.cli.output import (
    Column,
    Format,
    Output,
    exact_usd,
    note,
    number,
    show,
    show_table,
    text,
)
from chargeback_worker.cli.progress import progress
from chargeback_worker.cli.session import session
from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import Period, billing_day
from chargeback_worker.settings import Settings
from chargeback_worker.simulation import Anomalies, Expected, Simulated, simulate

IN_FLIGHT_MAX = 5_000
DELIVERY_S = 90.0
_TOLD_EVERY = 1_000
_COLUMNS = (Column("what", "What"), Column("of", "Of"), Column("value", "", text, right=True))
Send = Callable[[Simulated], None]


def simulated(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, help="How many events, anomalies among them.")],
    seed: Annotated[int, typer.Option(help="The same seed makes the same events.")] = 1,
    month: Annotated[
        str | None, typer.Option(help="As 2026-10; the last whole month where none is given.")
    ] = None,
    anomalies: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What goes wrong: some of duplicate,late,conflict,poison, each with a share of"
            " the events where wanted (duplicate=0.05); all for the usual shares of all.",
        ),
    ] = None,
    to_topic: Annotated[bool, typer.Option("--to-topic", help="Produce to the usage topic.")] = (
        False
    ),
    to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Write JSON lines; .gz packs them, - is standard output."
        ),
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Make usage that looks like a real organisation's, and tell what is true of it.

    Teams in three time zones with working hours, models of different prices, shared cost, refunds.
    What is told at the end is computed apart, in integers: what ingest has to come to.
    """
    if to_topic == (to is not None):
        raise typer.BadParameter("say where the events go: --to-topic or --to FILE")
    settings = session(context).settings()
    wanted = Period.parse(month) if month else _last_whole_month(settings)
    stream = simulate(
        wanted, events, seed=seed, anomalies=_anomalies(anomalies), zone=settings.billing.zone
    )
    expected = Expected()
    with ExitStack() as stack:
        at = stack.enter_context(progress("Making events", events))
        send = stack.enter_context(_file(to) if to else _topic(settings))
        for made, event in enumerate(stream, 1):
            send(event)
            expected.add(event.truth)
            if made % _TOLD_EVERY == 0:
                at(made)
    place = to or settings.kafka.usage_topic
    document = {"simulated": _document(wanted, seed, place, expected)}
    # Where the events themselves go to standard output, nothing else may.
    if to != "-":
        _show(document, output)
    if wanted > _last_whole_month(settings):
        note(
            f"{wanted} is not over: usage that lies ahead of now by more than ingest.max_future"
            " is refused until then."
        )


def _show(document: Document, output: Format) -> None:
    told = document["simulated"]
    show(document, output, rows=list(_rows(told)), columns=_COLUMNS, people=lambda: _table(told))


def _last_whole_month(settings: Settings) -> Period:
    this = Period.of(billing_day(app.now(), settings.billing.zone))
    return Period.of(this.days().start - timedelta(days=1))


def _anomalies(given: str | None) -> Anomalies:
    if given is None:
        return Anomalies.none()
    return Anomalies() if given.strip() == "all" else Anomalies.parse(given)


@contextmanager
def _topic(settings: Settings) -> Iterator[Send]:
    """Sends to the usage topic; at the end all of it is acknowledged, or an error raised."""
    opened = app.open_broker(settings)
    try:
        topic = settings.kafka.usage_topic
        if opened.describe(topic) is None:
            raise MissingTopic(topic, ",".join(settings.kafka.bootstrap_servers))
        with _acknowledged(opened, topic) as send:
            yield send
    finally:
        opened.close()


@contextmanager
def _acknowledged(broker: Broker, topic: str) -> Iterator[Send]:
    producer = broker.producer()
    # The client takes messages without end and keeps them in memory.
    in_flight: deque[Delivery] = deque()

    def send(event: Simulated) -> None:
        if len(in_flight) >= IN_FLIGHT_MAX:
            in_flight.popleft().result(DELIVERY_S)
        in_flight.append(
            producer.send(topic, key=event.key, value=event.value, headers=event.headers)
        )

    try:
        yield send
        while in_flight:
            in_flight.popleft().result(DELIVERY_S)
    finally:
        producer.close()


@contextmanager
def _file(name: str) -> Iterator[Send]:
    """Writes lines; a file is complete or not there at all."""
    if name == "-":
        yield _writer(sys.stdout.buffer)
        sys.stdout.buffer.flush()
        return
    with written_whole(name, "--to") as raw, _packed(raw, Path(name)) as stream:
        yield _writer(stream)


@contextmanager
def _packed(raw: IO[bytes], path: Path) -> Iterator[IO[bytes]]:
    if path.suffix.lower() != ".gz":
        yield raw
        return
    # Without a name and a time in it, the same seed makes the same bytes.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0) as stream:
        buffered = io.BufferedWriter(cast(io.RawIOBase, stream), 1 << 16)
        yield cast(IO[bytes], buffered)
        buffered.flush()
        buffered.detach()


def _writer(stream: IO[bytes]) -> Send:
    def send(event: Simulated) -> None:
        stream.write(event.line + b"\n")

    return send


def _document(month: Period, seed: int, place: str, expected: Expected) -> Document:
    return {
        "month": str(month),
        "seed": seed,
        "to": place,
        "events": expected.events,
        **expected.outcomes,
        "late": expected.late,
        "cost_usd": Amount(expected.cost),
        "late_cost_usd": Amount(expected.late_cost),
        "by_team": {
            team or "": Amount(cost)
            for team, cost in sorted(expected.by_team.items(), key=lambda item: item[0] or "")
        },
    }


def _rows(document: Document) -> Iterator[Document]:
    for field, value in document.items():
        if field != "by_team":
            yield {"what": field, "of": "", "value": value}
    for team, cost in document["by_team"].items():
        yield {"what": "cost_usd", "of": team, "value": cost}


def _table(document: Document) -> None:
    typer.echo(
        f"{document['events']:,} events of {document['month']} (seed {document['seed']})"
        f" are in {document['to']}. Of them come, once ingested:"
    )
    outcomes = ("accepted", "duplicate", "conflict", "quarantined")
    rows = [{"outcome": name, "events": document[name]} for name in outcomes]
    rows.append({"outcome": "accepted, of the month before", "events": document["late"]})
    show_table(rows, (Column("outcome", "Outcome"), number("events", "Events")))
    teams = [{"team": team, "cost": cost} for team, cost in document["by_team"].items()]
    columns = (
        Column("team", "Team", lambda team: team or "(none)"),
        number("cost", "USD", exact_usd),
    )
    show_table(teams, columns)
    typer.echo(
        f"USD {exact_usd(document['cost_usd'])} in all,"
        f" USD {exact_usd(document['late_cost_usd'])} of it of the month before"
    )
