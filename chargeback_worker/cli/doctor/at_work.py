"""Who is at work: each role that a month needs, and what those that run wait for."""

from collections.abc import Iterator, Sequence

from chargeback_worker import app
from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, ok, warn
from chargeback_worker.store import Store, heartbeats
from chargeback_worker.store.heartbeats import Heartbeat

_HEARD_WITHIN_US = 60_000_000
# The API is nobody's need but of those who ask it.
_NEEDED = ("ingest", "scheduler", "publisher")


def at_work(store: Store) -> Sequence[Heartbeat]:
    """The roles of all processes that were heard of in the last minute."""
    with store.read() as transaction:
        heard = heartbeats.listed(transaction)
    now_us = app.now_us()
    return [beat for beat in heard if beat.at_us > now_us - _HEARD_WITHIN_US]


def roles_run(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    running = at_work(patient.world.store)
    named = ", ".join(f"{beat.role} at {beat.instance}" for beat in running)
    if running:
        yield ok("worker", f"running: {named}")
    for beat in running:
        if beat.detail:
            detail = f"{beat.role} at {beat.instance} waits for {beat.detail}"
            fix = "Mend that; it goes on by itself. /readyz of its metrics port says it too."
            yield warn("worker", Fault.ROLE_WAITS, detail, fix)
    missing = [role for role in _NEEDED if role not in {beat.role for beat in running}]
    if missing:
        detail = f"nobody has the role {' or '.join(missing)}" if running else "none is running"
        roles = "".join(f" --role {role}" for role in missing if running)
        yield warn("worker", Fault.ROLE_MISSING, detail, f"chargeback run{roles}")
