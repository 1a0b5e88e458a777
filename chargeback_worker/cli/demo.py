"""`chargeback demo`: the main job on this machine alone, with what a person wants to see of it.

It runs the real roles and steps on SQLite and a small broker; nothing here knows better than they.
"""

import os
import shlex
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from chargeback_worker import app as application
from chargeback_worker.app import App, now_us
from chargeback_worker.broker import Delivery, Message, Producer, TopicPartition
from chargeback_worker.broker.embedded import EmbeddedBroker
from chargeback_worker.cli.demo_view import equation, invoices_of, say, usage_by_team
from chargeback_worker.cli.progress import progress
from chargeback_worker.cli.run import ALL_ROLES, run_worker
from chargeback_worker.errors import Conflict, Invalid, Unavailable
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.reports.verify import verify
from chargeback_worker.settings import load
from chargeback_worker.simulation import Anomalies, Expected, Simulated, simulate
from chargeback_worker.store import cursors, outbox
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.worker.consumer import UsageConsumer
from chargeback_worker.worker.lifecycle import Beat
from chargeback_worker.worker.logs import configure
from chargeback_worker.worker.publisher import InvoicePublisher

PARTITIONS = 4
_MARK = ".chargeback-demo"
_UNDER_WAY = 5_000
_PATIENCE_S = 300.0


class FolderTaken(Conflict):
    """The demo makes its folder anew each time, and will not do so to somebody else's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} exists and was not made by the demo.", "Name another: --folder DIRECTORY"
        )


class FolderUnusable(Invalid):
    """The folder cannot be made, or what was in it not be removed."""

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(
            f"The folder {folder} cannot be made anew: {fault}.",
            "Name one that may be written to: --folder DIRECTORY",
        )


class DemoStalled(Unavailable):
    def __init__(self, what: str) -> None:
        super().__init__(f"The demo waited {_PATIENCE_S:.0f} s in vain for {what}.")


def demo(
    context: typer.Context,
    events: Annotated[int, typer.Option(min=1, max=5_000_000, help="How many to make.")] = 50_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same usage.")] = 1,
    folder: Annotated[Path, typer.Option(help="Where its files go; made anew.")] = Path(
        "chargeback-demo"
    ),
    serve: Annotated[
        bool | None,
        typer.Option(
            "--serve/--no-serve",
            help="Let the worker run on until Ctrl-C; by default on a terminal only.",
        ),
    ] = None,
) -> None:
    """Watch the main job: usage from a topic, a month closed, its invoices published."""
    began = time.monotonic()
    _make_anew(folder)
    configure("error", "auto", stream=sys.stderr, environ=os.environ)
    with EmbeddedBroker(folder / "broker") as servers:
        config = _write_config(folder, servers)
        settings = load({}, {}, config=config)
        with application.opened(settings) as app:
            say("Started", f"a broker (Kafka protocol) on {servers}, made for trying out")
            say("", f"a store: {settings.database.url}")
            for topic in (settings.kafka.usage_topic, settings.kafka.invoices_topic):
                app.broker.create_topic(topic, PARTITIONS)
            say("", f"topics {settings.kafka.usage_topic} and {settings.kafka.invoices_topic}")
            _main_job(app, events, seed)
            say("Done", f"in {time.monotonic() - began:.0f} s; all files are in {folder}/")
            _next_steps(config, _last_month(app))
            if sys.stdout.isatty() if serve is None else serve:
                _serve(app)


def _serve(app: App) -> None:
    say("Serving", "the worker runs on: send it more with simulate --to-topic; Ctrl-C ends it")
    ended = run_worker(app, ALL_ROLES, listens=_say_where)
    if ended is not None:
        raise ended


def _main_job(app: App, events: int, seed: int) -> None:
    """Each part says what it did, in numbers that the next one starts from."""
    month = _last_month(app)
    before = _close(app, _month_before(month))
    say("Closed", f"{before.close.period}, before any usage: what still comes of it is late")
    expected = _send_and_ingest(app, month, events, seed)
    tally = _tally(app)
    usage_by_team(app, month)
    closed = _close(app, month)
    _publish(app)
    invoices_of(app, month)
    equation(tally, expected, closed.close)
    _read_back(app)
    result = verify(app.store)
    if not result.clean:
        raise typer.Exit(5)
    say("Verified", "everything was recomputed from the records and agrees")


def _say_where(url: str) -> None:
    say("API", f"{url}/api/chargeback/periods, all of it: {url}/docs")


def _last_month(app: App) -> Period:
    """The last month that is over."""
    return _month_before(app.today())


def _month_before(period: Period) -> Period:
    return Period(period.year - (period.month == 1), (period.month - 2) % 12 + 1)


def _send_and_ingest(app: App, month: Period, events: int, seed: int) -> Expected:
    """Agents send while the ingest role reads, as it would be; returns what was sent."""
    topic, expected = app.settings.kafka.usage_topic, Expected()
    consumer = UsageConsumer(app.store, app.broker, app.settings, app.reader, app.metrics, now_us)
    with _role(consumer.run, "ingest"), progress("events stored", events) as told:
        producer = app.broker.producer()
        under_way: list[Delivery] = []
        for one in simulate(month, events, seed=seed, anomalies=Anomalies(), zone=app.zone):
            under_way.append(_send(producer, topic, one))
            expected.add(one.truth)
            if len(under_way) == _UNDER_WAY:
                _await(under_way)
                told(_tally(app).consumed)
        _await(under_way)
        producer.close()
        _wait(lambda: _reached(app, events, told), "ingest to come to the end of the topic")
    say("Ingested", f"{events:,} events that agents sent to the topic {topic}")
    return expected


def _send(producer: Producer, topic: str, one: Simulated) -> Delivery:
    return producer.send(topic, key=one.key, value=one.value, headers=one.headers)


def _await(under_way: list[Delivery]) -> None:
    for delivery in under_way:
        delivery.result(60)
    under_way.clear()


def _reached(app: App, events: int, told: Any) -> bool:
    consumed = _tally(app).consumed
    told(consumed)
    return consumed >= events


def _tally(app: App) -> Tally:
    with app.store.read() as transaction:
        return sum((row.tally for row in cursors.listed(transaction, Door.TOPIC)), Tally())


def _close(app: App, period: Period) -> CloseResult:
    return close(app.store, period, terms_of(app.settings), app.act(), owner=app.instance)


def _publish(app: App) -> None:
    publisher = InvoicePublisher(
        app.store,
        app.broker,
        app.settings.kafka.invoices_topic,
        app.instance,
        app.metrics,
        now_us,
        app.compare_books,
    )
    with _role(publisher.run, "publisher"):
        _wait(lambda: _outbox_is_empty(app), "the invoices to be published")


def _outbox_is_empty(app: App) -> bool:
    with app.store.read() as transaction:
        return not outbox.backlog(transaction).messages


def _read_back(app: App) -> None:
    messages = _all_messages(app, app.settings.kafka.invoices_topic)
    say("Read back", f"{len(messages)} messages from the topic, for instance")
    for message in messages[:2] + messages[-1:]:
        headers = {name: (text or b"").decode() for name, text in message.headers}
        body = (message.value or b"").decode()
        say("", f"{message.partition}@{message.offset} key {(message.key or b'').decode()}")
        say("", f"  {headers['ce_type']} seq {headers['seq']} {body[:76]}…")


def _all_messages(app: App, topic: str) -> list[Message]:
    """The messages of a topic in the order in which they were sent, as far as there is one."""
    reader = app.broker.reader()
    places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
    try:
        reader.assign(places)
        reader.seek_to_beginning(places)
        ends = reader.end_offsets(places)
        found: list[Message] = []

        def read_on() -> bool:
            for messages in reader.poll(0.2, 1_000).values():
                found.extend(messages)
            return all((reader.position(place) or 0) >= ends[place] for place in places)

        _wait(read_on, "the messages to be read back")
    finally:
        reader.close()
    return sorted(found, key=lambda message: (message.timestamp_ms, message.partition))


@contextmanager
def _role(run: Any, name: str) -> Iterator[None]:
    """A role in a thread of its own, ended when the block is left; its error is raised here."""
    stop, failed = threading.Event(), []

    def beat(waits_for: str | None = None) -> None:
        """Nobody watches the roles of a demo."""

    heard: Beat = beat

    def body() -> None:
        try:
            run(stop, heard)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
        if failed:
            raise failed[0]


def _wait(reached: Any, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not reached():
        if time.monotonic() > deadline:
            raise DemoStalled(what)
        time.sleep(0.1)


def _make_anew(folder: Path) -> None:
    try:
        if folder.exists():
            if not (folder / _MARK).exists():
                raise FolderTaken(folder)
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise FolderUnusable(folder, error.strerror or str(error)) from error


def _write_config(folder: Path, servers: str) -> Path:
    path = folder / "chargeback.toml"
    database = (folder / "chargeback.db").resolve()
    path.write_text(
        "# Made by `chargeback demo`; the next commands work on what it left.\n"
        f'[database]\nurl = "sqlite:///{database.as_posix()}"\n\n'
        f'[kafka]\nbootstrap_servers = "{servers}"\n\n'
        "[api]\nport = 0\n\n[metrics]\nport = 0\n"
    )
    return path


def _next_steps(config: Path, month: Period) -> None:
    say("Next", "look around with")
    for command in (
        f"usage summary --period {month} --team research",
        f"invoices show INV-{month.number}-0001",
        "quarantine list",
        "periods",
        "verify",
    ):
        say("", f"  {shlex.quote(_program())} --config {shlex.quote(str(config))} {command}")


def _program() -> str:
    """How this program was called."""
    return os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else sys.argv[0]
