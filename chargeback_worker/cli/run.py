"""`chargeback run`: the worker, with the roles it is asked for."""

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

import structlog
import typer

from chargeback_worker.app import App, now_us
from chargeback_worker.cli.output import note
from chargeback_worker.cli.session import session
from chargeback_worker.cli.workers import run_workers
from chargeback_worker.errors import ChargebackError, Unavailable
from chargeback_worker.pipeline import heartbeat
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.pipeline.due import Cause, Due, Waiting, due
from chargeback_worker.pipeline.mark_overdue import mark_overdue
from chargeback_worker.reports.figures import figures
from chargeback_worker.store import heartbeats
from chargeback_worker.store.audit import Act
from chargeback_worker.worker.consumer import UsageConsumer
from chargeback_worker.worker.health import Health
from chargeback_worker.worker.interpreter import suit_batches
from chargeback_worker.worker.lifecycle import Beat, Role, monotonic_s, run_roles
from chargeback_worker.worker.logs import configure
from chargeback_worker.worker.monitor import Monitor
from chargeback_worker.worker.processes import end_with_parent
from chargeback_worker.worker.publisher import InvoicePublisher
from chargeback_worker.worker.scheduler import Scheduler
from chargeback_worker.worker.start import Start

_log = structlog.get_logger(__name__)

HEARTBEAT_S = 10.0


class RoleName(StrEnum):
    """What one process can do."""

    ALL = "all"
    INGEST = "ingest"
    SCHEDULER = "scheduler"
    PUBLISHER = "publisher"
    API = "api"


ALL_ROLES = frozenset(RoleName) - {RoleName.ALL}


def run(
    context: typer.Context,
    role: Annotated[
        list[RoleName] | None, typer.Option(help="What this process does; may be repeated.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Start and watch so many processes, with --role ingest.")
    ] = 1,
    worker_number: Annotated[
        int | None, typer.Option(hidden=True, help="Which of several this process is.")
    ] = None,
) -> None:
    """Run the worker until SIGTERM, which ends it in order.

    A broker that does not answer is waited for, at the start too: /readyz says so. Exit code 3 for
    a fault of the configuration, 4 where the database does not answer at the start, 5 where the
    topic was made anew or cut short, or another process took our name in the group: what to do is
    in the last line. 70: a role hung.
    """
    if worker_number is not None:
        end_with_parent()
    settings = session(context).settings()
    configure(
        settings.log.level,
        settings.log.format,
        stream=sys.stderr,
        environ=os.environ,
        worker=worker_number,
    )
    wanted = set(role or [RoleName.ALL])
    if RoleName.ALL in wanted:
        wanted = set(ALL_ROLES)
    if workers > 1:
        if wanted != {RoleName.INGEST}:
            raise typer.BadParameter(
                "Several workers only ingest: add --role ingest, and run the other roles apart.",
                param_hint="--workers",
            )
        return run_workers(session(context), workers)
    with session(context).opened() as app, app.store.only_worker():
        start = _start(app) if wanted != {RoleName.API} else None
        suit_batches()
        ended = run_worker(app, wanted, watched=worker_number is not None, start=start)
    if isinstance(ended, ChargebackError):
        raise ended
    if ended is not None:
        note(f"Error: {type(ended).__name__}: {ended}")
        raise typer.Exit(1)


def _start(app: App) -> Start | None:
    """What roles have to wait for; None where all is there. Raises what no waiting mends."""
    kafka = app.settings.kafka

    def check() -> None:
        app.require_topics(kafka.usage_topic, kafka.invoices_topic)

    try:
        check()
    except Unavailable as error:
        return Start(check, error)
    return None


def run_worker(
    app: App,
    wanted: Set[RoleName],
    *,
    watched: bool = False,
    start: Start | None = None,
    listens: Callable[[str], None] = lambda url: None,
) -> BaseException | None:
    """Run those roles and the metrics port until a signal; what ended them otherwise.

    A process that is `watched` by another leaves it to that one to lose patience. `listens` is told
    where the API is.
    """
    health = Health(monotonic_s)
    settings, names = app.settings, [name.value for name in _ROLES if name in wanted]
    process = _Process(app, health, names, listens)
    roles = [_ROLES[name](app, process) for name in _ROLES if name in wanted]
    process.limits.update({role.name: role.stuck_after_s for role in roles})
    if start is not None:
        # The API asks the database alone.
        roles = [role if role.name == RoleName.API else start.before(role) for role in roles]
    app.metrics.watch_store(
        lambda: figures(app.store, now_us(), settings.billing.close_delay), now_us
    )
    app.metrics.watch_roles(process.working)
    monitor = Monitor(app.metrics, process.not_ready, process.stuck)
    port = monitor.start(settings.metrics.host, settings.metrics.port)
    _log.info("worker started", action="started", roles=names, metrics_port=port)
    try:
        roles_and_heart = [*roles, Role("heartbeat", _heart(app, health))]
        return run_roles(roles_and_heart, health, patient=watched)
    finally:
        monitor.close()


def close_due(app: App) -> CloseResult | None:
    """Close the next period that is due, or find that another has; None if none is, or if it waits.

    To wait for another closer is no failure.
    """
    settings = app.settings
    at_us = app.closing_now_us()
    found = due(app.store, at_us, settings.billing.close_delay, app.usage_ends)
    if isinstance(found, Waiting):
        _tell_waiting(found)
    if not isinstance(found, Due):
        return None
    # The last look before numbers are taken: the database may be another one than at the start.
    app.compare_books()
    act = Act("scheduler", at_us)
    owner = f"{app.instance}:scheduler"
    try:
        return close(
            app.store,
            found.period,
            terms_of(settings),
            act,
            owner=owner,
            put_back=app.metrics.close_failures.inc,
        )
    except CloseInProgress as refusal:
        _tell_waiting(Waiting(found.period, Cause.CLOSING, refusal.message))
        return None


def _tell_waiting(found: Waiting) -> None:
    _log.info(
        "period waits",
        action="period_waits",
        period=str(found.period),
        cause=found.cause.value,
        detail=found.detail,
    )


@dataclass(frozen=True, slots=True)
class _Process:
    """What this process knows of itself, for whoever asks over HTTP."""

    app: App
    health: Health
    names: Sequence[str]
    listens: Callable[[str], None]
    limits: dict[str, float] = field(default_factory=dict)

    def working(self) -> dict[str, bool]:
        """Whether each role is ready."""
        return {
            seen.role: seen.fault is None for seen in self.health.roles() if seen.role in self.names
        }

    def not_ready(self) -> dict[str, str]:
        """What is not ready, by part."""
        faults = {
            seen.role: seen.fault
            for seen in self.health.roles()
            if seen.role in self.names and seen.fault
        }
        try:
            with self.app.store.read() as transaction:
                # A table is read: the time alone, SQLite would tell without its file.
                heartbeats.listed(transaction)
        except ChargebackError as error:
            faults["store"] = error.message
        return faults

    def stuck(self) -> dict[str, str]:
        """What should be started anew, by part."""
        return {
            seen.role: f"not heard of for {seen.age_s:.0f} s"
            for seen in self.health.roles()
            if seen.age_s > self.limits.get(seen.role, float("inf"))
        }


def _api(app: App, process: _Process) -> Role:
    # It takes as long to import as all the rest, and most commands do without.
    from chargeback_worker.api.server import DRAIN_S, Server

    server = Server(app, process)
    port = server.open()
    host = app.settings.api.host
    _log.info("API listens", action="api_listens", host=host, api_port=port)
    process.listens(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    return Role(RoleName.API, server.run, drain_s=DRAIN_S)


def _ingest(app: App, process: _Process) -> Role:
    consumer = UsageConsumer(app.store, app.broker, app.settings, app.reader, app.metrics, now_us)
    return Role(RoleName.INGEST, consumer.run, stuck_after_s=_stuck_after_s(app))


def _scheduler(app: App, process: _Process) -> Role:
    scheduler = Scheduler(
        lambda: close_due(app),
        lambda: mark_overdue(app.store, app.closing_now_us()),
        app.metrics,
        app.compare_books,
    )
    # A month may take long to close, and is waited for; a killed close is finished by the next.
    return Role(RoleName.SCHEDULER, scheduler.run, drain_s=60, stuck_after_s=6 * 3600)


def _publisher(app: App, process: _Process) -> Role:
    publisher = InvoicePublisher(
        app.store,
        app.broker,
        app.settings.kafka.invoices_topic,
        f"{app.instance}:publisher",
        app.metrics,
        now_us,
        app.compare_books,
    )
    return Role(RoleName.PUBLISHER, publisher.run, drain_s=75)


# In the order in which they are ended.
_ROLES: Mapping[RoleName, Callable[[App, _Process], Role]] = {
    RoleName.API: _api,
    RoleName.SCHEDULER: _scheduler,
    RoleName.INGEST: _ingest,
    RoleName.PUBLISHER: _publisher,
}


def _stuck_after_s(app: App) -> float:
    # Past this the group has given the partitions to others anyway.
    return 2 * app.settings.kafka.max_poll_interval.total_seconds()


def _heart(app: App, health: Health) -> Callable[[threading.Event, Beat], None]:
    """Writes what the roles say into the store, for other processes and the metrics."""
    started_us = now_us()

    def run(stop: threading.Event, beat: Beat) -> None:
        while True:
            waits_for = None
            roles = {seen.role: seen.fault or "" for seen in health.roles()}
            roles.pop("heartbeat", None)
            try:
                heartbeat.beat(app.store, app.instance, roles, started_us)
                for ended in app.store.end_sleepers():
                    _log.warning("sleeping transaction ended", action="sleeper_ended", detail=ended)
            except Unavailable as error:
                waits_for = str(error)
            beat(waits_for)
            if stop.wait(HEARTBEAT_S):
                break
        try:
            heartbeat.leave(app.store, app.instance)
        except Unavailable as error:
            _log.warning("heartbeat not removed", action="heartbeat_kept", error=str(error))

    return run
