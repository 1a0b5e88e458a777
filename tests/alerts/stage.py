"""What alerts are fired on: two workers under load, on Kafka and PostgreSQL."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from tests.alerts.hasty import FACTOR
from tests.alerts.load import Load
from tests.faults.flow import Pace, send
from tests.faults.scene import Ground, Scene, scene, until
from tests.faults.worker import Worker
from tests.support.feed import usage
from tests.support.ladder import free_ports
from tests.support.prometheus import Running
from tests.support.proxy import Proxy

FIRST, SECOND, THIRD, OPEN_DAY = "2026-08", "2026-09", "2026-10", "2026-11-10"
# So long after its end each of them is due, and the next one is not.
ONLY_FIRST, NOW_SECOND, NOW_THIRD = "60d", "30d", "48h"
_PROGRAM = "tests.alerts.hasty"
_WORKER = ("--role", "ingest", "--role", "scheduler", "--role", "publisher")
_ROLES = {"ingest", "scheduler", "publisher", "api"}
_CAUGHT_UP = 1_000


@dataclass
class Stage:
    """`worker` does all but the API, which `api` alone serves: one sees of the other what the
    store tells."""

    ground: Ground
    scene: Scene
    load: Load
    proxy: Proxy
    port: int
    settings: dict[str, str]
    held: list[int] = field(default_factory=list)
    server: Running | None = None
    """Who scrapes them, once somebody does."""
    worker: Worker = field(init=False)
    api: Worker = field(init=False)

    @property
    def targets(self) -> list[str]:
        return [f"127.0.0.1:{self.port}", f"127.0.0.1:{self.port + 1}"]

    def start(self) -> None:
        self.start_worker()
        self.api = self._started("api", self.scene.url, self.port + 1, "--role", "api")

    def start_worker(self) -> None:
        near = make_url(self.scene.url).set(host="127.0.0.1", port=self.proxy.port)
        url = near.render_as_string(hide_password=False)
        self.worker = self._started("worker", url, self.port, *_WORKER)
        assert self.worker.wait_for("assigned"), self.worker.last_words

    def stop(self) -> None:
        for worker in (self.worker, self.api):
            if worker.running:
                worker.stop()

    def restart(self, **settings: str) -> None:
        """Both again, with those settings from here on."""
        self.stop()
        self.settings |= settings
        self.start()
        # The seconds of a start are minutes to rules that go so much faster.
        until(lambda: self.ready() >= {"ingest", "publisher", "api"}, "roles are ready", 120)

    def ready(self) -> set[str]:
        """The roles that were ready at the last scrape."""
        assert self.server is not None
        return {one.labels["role"] for one in self.server.ask("chargeback_role_ready == 1")}

    def ask(self, statement: str, *arguments: object) -> list[tuple[object, ...]]:
        """A statement by hand, past what keeps closed months from being changed."""
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute("SET session_replication_role = replica")
            done = connection.execute(statement.encode(), arguments)
            return done.fetchall() if done.description else []

    def lock(self, table: str) -> None:
        """Let a session of somebody else lock a table against writing, for as long as it lives."""
        locked = threading.Event()

        def hold() -> None:
            with psycopg.connect(self._address()) as connection:
                connection.execute(f"LOCK TABLE {table} IN SHARE MODE".encode())
                self.held.append(connection.info.backend_pid)
                locked.set()
                try:
                    connection.execute("SELECT pg_sleep(3600)")
                except psycopg.errors.AdminShutdown:
                    return

        threading.Thread(target=hold, name="locker", daemon=True).start()
        assert locked.wait(60)

    def unlock(self) -> None:
        while self.held:
            self.ask("SELECT pg_terminate_backend(%s)", self.held.pop())

    def _address(self) -> str:
        given = make_url(self.scene.url).set(drivername="postgresql")
        return given.render_as_string(hide_password=False)

    def _started(self, name: str, url: str, port: int, *roles: str) -> Worker:
        arguments = (_PROGRAM, "run", *roles)
        own: dict[str, Any] = {"CHARGEBACK_METRICS__PORT": str(port), **self.settings}
        worker = self.scene.worker(name, arguments=arguments, url=url, **own)
        assert worker.wait_for("started"), worker.last_words
        return worker


@contextmanager
def stage(ground: Ground, factor: float, rate: float) -> Iterator[Stage]:
    """Three months of usage, of which the first is due, and the load."""
    given: Mapping[str, str] = {
        FACTOR: str(factor),
        "CHARGEBACK_BILLING__FIRST_PERIOD": FIRST,
        "CHARGEBACK_KAFKA__INVOICES_TOPIC": "alerts-invoices",
        "CHARGEBACK_INGEST__BATCH_EVENTS": "50",
        "CHARGEBACK_INGEST__MAX_REFUSED__RUN": "100",
    }
    with scene(ground, Pace(0, 1, 1, 0), settings=given) as made, Proxy(_port(made.url)) as proxy:
        made.broker.create_topic("alerts-invoices", 1)
        topic, servers = made.flow.topic, made.flow.servers
        send(servers, topic, [*_months()])
        load = Load(servers, topic, OPEN_DAY, rate)
        delay = {"CHARGEBACK_BILLING__CLOSE_DELAY": ONLY_FIRST}
        yield Stage(ground, made, load, proxy, free_ports(2), delay)


def settle(stage: Stage) -> None:
    """Wait until all works, and usage is stored as it comes."""

    def works() -> bool:
        assert stage.server is not None
        lag = sum(one.value for one in stage.server.ask("chargeback_consumer_lag"))
        return stage.server.scraped() and stage.ready() >= _ROLES and lag < _CAUGHT_UP

    until(works, "all roles of both workers are ready again", 180)


def _months() -> Iterator[bytes]:
    for month in (FIRST, SECOND, THIRD):
        for team in ("platform", "search", "support", "legal"):
            yield usage(f"{month}-{team}", "12.345678901", day=f"{month}-10", team=team)


def _port(url: str) -> int:
    port = make_url(url).port
    assert port is not None
    return port
