"""`chargeback doctor`: what is there, what is missing, and what to do about it."""

from collections.abc import Iterator, Sequence

import typer

from chargeback_worker import app
from chargeback_worker.cli.checks import (
    CHECKS,
    Check,
    Finding,
    Level,
    Patient,
    codecs_are_there,
    failed,
    ok,
    python,
)
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.output import Column, Format, Output, escaped, show
from chargeback_worker.cli.session import Session, session
from chargeback_worker.errors import ChargebackError
from chargeback_worker.settings import BadSettings, Settings
from chargeback_worker.store import Store
from chargeback_worker.usage.event import Grain

_COLUMNS = (
    Column("level", ""),
    Column("check", "Check"),
    Column("detail", "Found"),
    Column("fix", "What to do"),
)


def doctor(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Look at everything that the worker needs, and change nothing.

    Settings, time zone, disk, database and schema, broker and topics, what waits for a person.
    Exit code 3 if a setting is at fault, 4 if something does not answer, else 0.
    """
    findings = list(_findings(session(context)))
    rows = [
        {"check": one.check, "level": one.level, "detail": one.detail, "fix": one.fix}
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
    yield python()
    yield codecs_are_there()
    try:
        settings = session.settings()
        store = Store(settings.database.url)
    except BadSettings as error:
        for fault in error.faults:
            yield Finding("settings", Level.FAIL, str(fault), error.hint, ExitCode.CONFIGURATION)
        return
    except ChargebackError as error:
        yield failed("settings", error)
        return
    yield ok("settings", str(session.config) if session.config else "from the environment")
    yield from _examined(settings, store)


def _examined(settings: Settings, store: Store) -> Iterator[Finding]:
    grain = Grain(settings.billing.timezone, tuple(settings.grain.labels), settings.ingest.source)
    world = app.App(settings, store, grain)
    patient = Patient(settings, world)
    try:
        for name, check in CHECKS:
            yield from _checked(patient, name, check)
    finally:
        if "broker" in world.__dict__:
            world.broker.close()
        store.close()


def _checked(patient: Patient, name: str, check: Check) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except ChargebackError as error:
        yield failed(name, error)
