"""Fixtures that every folder of tests may use; servers start when a test first asks for one."""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings

from chargeback_worker.store import Store, schema
from tests.support.brokers import BrokerServer, broker_ladder, embedded_ladder, kafka_ladder
from tests.support.browser import Browser, browser_ladder
from tests.support.ladder import Ladder, required_parts
from tests.support.memory import folder_in_memory
from tests.support.postgres import PostgresServer, postgres_ladder
from tests.support.prometheus import Prometheus, prometheus_ladder

for _name in list(os.environ):
    # Settings of the machine must not reach a test; those of the ladder are meant for it.
    if _name.startswith("CHARGEBACK_") and not _name.startswith(
        ("CHARGEBACK_TEST_", "CHARGEBACK_REQUIRE")
    ):
        del os.environ[_name]

# Databases, topics and folders of tests are made by the thousand, and end with them. On a disk most
# of that is the work of a file system; what a killed server has written stays there in memory too.
if "TMPDIR" not in os.environ and (_memory := folder_in_memory()):
    os.environ["TMPDIR"] = _memory
    tempfile.tempdir = None

# A test that takes the broker away would otherwise fill its report with the client's complaints.
logging.getLogger("kafka").setLevel(logging.CRITICAL)

# Time decides nothing: not how long a try may take, nor how long it may take to draw one.
# And a failure is told as it was found: to try what else of it could vary takes minutes, in which
# the test would end by its timeout, without the example.
settings.register_profile(
    "chargeback",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[phase for phase in Phase if phase is not Phase.explain],
)
settings.load_profile("chargeback")

_kafka = kafka_ladder()
_embedded = embedded_ladder()
_broker = broker_ladder(_kafka, _embedded)
_postgresql = postgres_ladder()
_browser = browser_ladder()
_prometheus = prometheus_ladder()
_numbers = count()
_told: list[dict[str, list[str]]] = []
_shown: dict[str, Ladder[Any]] = {
    "kafka": _kafka,
    "broker": _broker,
    "postgresql": _postgresql,
    "browser": _browser,
    "prometheus": _prometheus,
}


def pytest_configure(config: pytest.Config) -> None:
    if unknown := sorted(required_parts() - _shown.keys()):
        raise pytest.UsageError(
            f"CHARGEBACK_REQUIRE names {unknown[0]!r}; known: {', '.join(_shown)}"
        )
    for part in sorted(required_parts()):
        if not _shown[part].rungs:
            raise pytest.UsageError(f"CHARGEBACK_REQUIRE names {part}; {_shown[part].planned}")


def pytest_report_header() -> list[str]:
    lines = [f"{part}: {ladder.planned}" for part, ladder in _shown.items()]
    required = ", ".join(sorted(required_parts())) or "nothing"
    lines.append(f"files: in {tempfile.gettempdir()}")
    return [*lines, f"required (CHARGEBACK_REQUIRE): {required}"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("really used")
    # Where tests run in several processes, each has told what it used when it ended.
    told = [*_told, _used()]
    for part in told[0]:
        used = {line for one in told for line in one[part]}
        for line in sorted(used) or ["not asked for"]:
            terminalreporter.line(f"{part}: {line}")


def _used() -> dict[str, list[str]]:
    return {
        part: [*filter(None, [ladder.used]), *(f"failed: {why}" for why in ladder.failures)]
        for part, ladder in {**_shown, "embedded": _embedded}.items()
    }


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["used"] = _used()
    for ladder in (_broker, _kafka, _embedded, _postgresql, _browser, _prometheus):
        ladder.close()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _told.append(getattr(node, "workeroutput", {}).get("used") or _used())


@pytest.fixture(scope="session")
def kafka() -> BrokerServer:
    """Apache Kafka. `stop`, `kill`, `start` and `restart` keep its port and its data."""
    return _kafka.get()


@pytest.fixture(scope="session")
def embedded_broker() -> BrokerServer:
    """The packaged broker of the demo."""
    return _embedded.get()


@pytest.fixture(scope="session")
def any_broker() -> BrokerServer:
    """Apache Kafka where there is one, else the embedded broker."""
    return _broker.get()


@pytest.fixture(scope="session")
def postgresql() -> PostgresServer:
    """A PostgreSQL server on which tests make databases of their own."""
    return _postgresql.get()


@pytest.fixture(scope="session")
def browser() -> Browser:
    """A real browser, for HTML documents."""
    return _browser.get()


@pytest.fixture(scope="session")
def prometheus() -> Prometheus:
    """A real Prometheus and its promtool."""
    return _prometheus.get()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'chargeback.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of an empty database of its own, on each kind of store in turn."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_url")
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with its tables, to be copied."""
    path = tmp_path_factory.mktemp("template") / "chargeback.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def ready_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database of its own with its tables, on each kind of store in turn.

    It is a copy of one that was made once: the migrations take longer than most tests.
    """
    if request.param == "sqlite":
        url: str = request.getfixturevalue("sqlite_url")
        shutil.copy(request.getfixturevalue("sqlite_template"), url.removeprefix("sqlite:///"))
        yield url
        return
    server: PostgresServer = request.getfixturevalue("postgresql")
    with server.database(_upgrade) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_kind(request: pytest.FixtureRequest) -> str:
    """Each kind of store in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def new_store(
    store_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[], AbstractContextManager[Store]]:
    """Opens stores of that kind with their tables: each time a new one."""
    if store_kind == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        return lambda: _copied(template, tmp_path)
    server: PostgresServer = request.getfixturevalue("postgresql")
    return lambda: _on_server(server)


@contextmanager
def _copied(template: Path, folder: Path) -> Iterator[Store]:
    path = Path(shutil.copy(template, folder / f"{next(_numbers)}.db"))
    store = Store(f"sqlite:///{path}")
    try:
        yield store
    finally:
        store.close()
        path.unlink()


@contextmanager
def _on_server(server: PostgresServer) -> Iterator[Store]:
    with server.database(_upgrade) as url:
        store = Store(url)
        try:
            yield store
        finally:
            store.close()


def _upgrade(url: str) -> None:
    store = Store(url)
    schema.upgrade(store)
    store.close()


@pytest.fixture
def store(ready_url: str) -> Iterator[Store]:
    """A store of its own, on each kind of database in turn."""
    store = Store(ready_url)
    yield store
    store.close()
