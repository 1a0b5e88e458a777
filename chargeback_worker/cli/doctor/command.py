"""The command: all checks in an order where one rests on those before it."""

from collections.abc import Iterator, Sequence

import typer

from chargeback_worker import app
from chargeback_worker.cli.doctor.at_work import roles_run
from chargeback_worker.cli.doctor.books import books_are_of_their_topics, keys_fit, nothing_waits
from chargeback_worker.cli.doctor.broker import broker_answers, group_reads, topics_fit
from chargeback_worker.cli.doctor.clocks import broker_keeps_our_time, database_keeps_our_time
from chargeback_worker.cli.doctor.database import database_answers
from chargeback_worker.cli.doctor.finding import Check, Fault, Finding, Level, Patient, failed, ok
from chargeback_worker.cli.doctor.grain import totals_are_few
from chargeback_worker.cli.doctor.ingest import nothing_is_refused, positions_move
from chargeback_worker.cli.doctor.machine import (
    codecs_are_there,
    disk_has_room,
    time_zone_is_known,
    versions,
)
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.output import Column, Format, Output, escaped, show
from chargeback_worker.cli.session import Session, session
from chargeback_worker.errors import ChargebackError
from chargeback_worker.settings import BadSettings, Settings
from chargeback_worker.store import Store
from chargeback_worker.usage.event import Grain

# Each with the fault that it is where the check itself gets no answer.
CHECKS: tuple[tuple[str, Fault, Check], ...] = (
    ("time zone", Fault.TIME_ZONE_UNKNOWN, time_zone_is_known),
    ("disk", Fault.DISK_MISSING, disk_has_room),
    ("database", Fault.DATABASE_AWAY, database_answers),
    ("clock", Fault.DATABASE_AWAY, database_keeps_our_time),
    ("broker", Fault.BROKER_AWAY, broker_answers),
    ("clock", Fault.BROKER_AWAY, broker_keeps_our_time),
    ("topic", Fault.BROKER_AWAY, topics_fit),
    ("group", Fault.BROKER_AWAY, group_reads),
    ("ingest", Fault.BROKER_AWAY, positions_move),
    ("quarantine", Fault.DATABASE_AWAY, nothing_is_refused),
    ("books", Fault.BOOKS_UNKNOWN, books_are_of_their_topics),
    ("waiting", Fault.DATABASE_AWAY, nothing_waits),
    ("worker", Fault.DATABASE_AWAY, roles_run),
    ("grain", Fault.DATABASE_AWAY, totals_are_few),
    ("keys", Fault.DATABASE_AWAY, keys_fit),
)

_COLUMNS = (
    Column("level", ""),
    Column("check", "Check"),
    Column("detail", "Found"),
    Column("fault", "Fault"),
    Column("fix", "What to do"),
)


def doctor(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Look at everything that the worker needs, and change nothing.

    Versions, settings, time zone, disk, database, schema, clocks, broker, topics and group, lag,
    refused usage, months, messages, roles and keys. Exit code 3 if a setting is at fault, 4 if
    something does not answer, else 0.
    """
    findings = list(_findings(session(context)))
    rows = [
        {
            "check": one.check,
            "level": one.level,
            "detail": one.detail,
            "fault": one.fault,
            "fix": one.fix,
        }
        for one in findings
    ]
    document = {"checks": rows}
    show(document, output, rows=rows, columns=_COLUMNS, people=lambda: _people(findings))
    worst = max(one.code for one in findings)
    if worst:
        raise typer.Exit(worst)


def _people(findings: Sequence[Finding]) -> None:
    for one in findings:
        typer.echo(f"{one.level:<5} {one.check:<10} {escaped(one.detail)}")
        if one.level is not Level.OK and one.fix:
            typer.echo(f"{'':<16} -> {escaped(one.fix)}")


def _findings(session: Session) -> Iterator[Finding]:
    yield versions()
    yield codecs_are_there()
    try:
        settings = session.settings()
        store = Store(settings.database.url)
    except BadSettings as error:
        for fault in error.faults:
            yield Finding(
                "settings",
                Level.FAIL,
                str(fault),
                error.hint,
                Fault.SETTINGS_WRONG,
                ExitCode.CONFIGURATION,
            )
        return
    except ChargebackError as error:
        yield failed("settings", Fault.SETTINGS_WRONG, error)
        return
    yield ok("settings", str(session.config) if session.config else "from the environment")
    yield from _examined(settings, store)


def _examined(settings: Settings, store: Store) -> Iterator[Finding]:
    grain = Grain(settings.billing.timezone, tuple(settings.grain.labels), settings.ingest.source)
    world = app.App(settings, store, grain)
    patient = Patient(settings, world)
    try:
        for name, fault, check in CHECKS:
            yield from _checked(patient, name, fault, check)
    finally:
        if "broker" in world.__dict__:
            world.broker.close()
        store.close()


def _checked(patient: Patient, name: str, fault: Fault, check: Check) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except ChargebackError as error:
        yield failed(name, fault, error)
