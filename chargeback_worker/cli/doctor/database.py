"""The database: it answers, and its schema and grain are ours."""

from collections.abc import Iterator

from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, failed, ok, warn
from chargeback_worker.cli.doctor.machine import sqlite_path
from chargeback_worker.errors import Misconfigured
from chargeback_worker.store import installation, schema
from chargeback_worker.usage.event import Grain

# Each process of ours opens a few more when it is busy.
CROWDED_SHARE = 0.8


def database_answers(patient: Patient) -> Iterator[Finding]:
    path = sqlite_path(patient.settings)
    if path is not None and path.parent.is_dir() and not path.exists():
        detail = f"{path} is not there yet"
        yield warn("database", Fault.DATABASE_MISSING, detail, "Made by: chargeback db upgrade")
        return
    store = patient.world.store
    with store.read() as transaction:
        server = transaction.dialect.server(transaction.connection)
    yield ok("database", f"{store.name}, {server}")
    try:
        found = schema.check(store)
    except schema.SchemaMissing as error:
        yield warn("schema", Fault.SCHEMA_MISSING, error.message, error.hint)
        return
    except Misconfigured as error:
        yield failed("schema", Fault.SCHEMA_UNFIT, error)
        return
    yield ok("schema", f"{found.found}, as this release makes it")
    with store.read() as transaction:
        may = transaction.dialect.may_make_tables(transaction.connection)
        connections = transaction.dialect.connections(transaction.connection)
        grain = installation.read_grain(transaction)
    if not may:
        detail = "our user may not make tables, which ingest needs every four million events"
        fix = "GRANT CREATE ON SCHEMA … TO its user"
        yield warn("schema", Fault.DATABASE_LOCKED_DOWN, detail, fix)
    if connections is not None:
        yield _has_room(*connections)
    if grain is None:
        fix = "The first ingest or run fixes it."
        yield warn("grain", Fault.GRAIN_NOT_FIXED, "nothing is fixed yet", fix)
        return
    patient.has_books = True
    yield _grain_fits(grain, patient.world.grain)


def _has_room(used: int, most: int) -> Finding:
    detail = f"{used} of {most} connections are in use"
    if used <= CROWDED_SHARE * most:
        return ok("database", detail)
    fix = "Raise max_connections, or see who holds them: SELECT * FROM pg_stat_activity"
    return warn("database", Fault.DATABASE_CROWDED, f"{detail}: more may be refused", fix)


def _grain_fits(stored: Grain, wanted: Grain) -> Finding:
    pairs = {
        "billing.timezone": (stored.timezone, wanted.timezone),
        "grain.labels": (stored.labels, wanted.labels),
        "ingest.source": (stored.source, wanted.source),
    }
    for setting, (fixed, given) in pairs.items():
        if fixed != given:
            error = installation.GrainChanged(setting, fixed, given)
            return failed("grain", Fault.GRAIN_DIFFERS, error)
    labels = ", ".join(stored.labels) or "none"
    return ok("grain", f"time zone {stored.timezone}, labels {labels}")
