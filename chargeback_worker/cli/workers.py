"""`chargeback run --workers N`: several processes that ingest, watched by the one that starts them.

A child is the same command with one worker and a number. What a start checks is checked here first,
so that a misconfiguration is one error and not one of each child.
"""

import sys
from collections.abc import Sequence

import structlog
import typer

from chargeback_worker.app import App
from chargeback_worker.cli.door import ExitCode
from chargeback_worker.cli.session import Session
from chargeback_worker.errors import Misconfigured, Unavailable
from chargeback_worker.settings import Settings
from chargeback_worker.worker.processes import run_processes

_log = structlog.get_logger(__name__)

# A new start of the same command meets the same fault.
_HOPELESS = (ExitCode.USAGE, ExitCode.CONFIGURATION)


class OneWorkerOnly(Misconfigured):
    """The database bears one worker at a time."""

    def __init__(self, database: str, workers: int) -> None:
        super().__init__(
            f"{database} bears one worker at a time, and {workers} were asked for.",
            "Leave out --workers, or set database.url to a PostgreSQL database.",
        )


def run_workers(call: Session, count: int) -> None:
    """Run that many ingest processes until a signal. Ends with the exit code of a child that found
    a fault which starting it again would not mend."""
    settings = call.settings()
    calls = [call.having(_own_settings(settings, number)) for number in range(count)]
    for one in calls:
        # Not each number fits: a port may be past the last, or be the one of the API.
        one.settings()
    with call.opened() as app:
        _check(app, count)
    ended = run_processes(
        [_command(one, number) for number, one in enumerate(calls)], hopeless=_HOPELESS
    )
    if ended is not None:
        raise typer.Exit(ended)


def _own_settings(settings: Settings, number: int) -> dict[str, object]:
    """What must not be the same for two processes on one machine, or in one group."""
    own: dict[str, object] = {}
    if settings.metrics.port:
        own["metrics.port"] = settings.metrics.port + number
    if settings.kafka.group_instance_id is not None:
        own["kafka.group_instance_id"] = f"{settings.kafka.group_instance_id}-{number}"
    return own


def _command(call: Session, number: int) -> Sequence[str]:
    command = [sys.executable, "-m", "chargeback_worker", *call.options()]
    return [*command, "run", "--role=ingest", f"--worker-number={number}"]


def _check(app: App, count: int) -> None:
    if app.store.dialect.one_worker:
        raise OneWorkerOnly(app.store.name, count)
    kafka = app.settings.kafka
    try:
        app.require_topics(kafka.usage_topic, kafka.invoices_topic)
        described = app.broker.describe(kafka.usage_topic)
    except Unavailable as error:
        # Each child waits for it.
        _log.warning("waiting at the start", action="start_waits", error=str(error))
        return
    if described is not None and described.partitions < count:
        _log.warning(
            "more workers than partitions: some will have nothing to read",
            action="idle_workers",
            workers=count,
            partitions=described.partitions,
            topic=kafka.usage_topic,
        )
