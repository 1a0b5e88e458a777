"""Planted secrets are in nothing that is told: settings, logs, errors, tracebacks, answers, books.

Each has characters that break addresses, and is searched for by its middle, as it is, in base64, in
hexadecimal and as in an address.
"""

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
import structlog

from chargeback_worker import app
from chargeback_worker.broker.kafka import Patience
from chargeback_worker.settings import load, origins
from tests.support.brokers import BrokerServer
from tests.support.command import Command
from tests.support.ladder import free_port
from tests.support.planted_secrets import Secret, Told

DATABASE = Secret("database", "dbQz7vLmXk42", "p/{}@#:%41 &?=")
SASL = Secret("sasl", "saslWq9RtYp31", "+{}'\"&=")
TLS_KEY = Secret("ssl", "sslHn5GbVc86", " {}:@")
PROXY = Secret("proxy", "proxyJk3SdFw27", "{}@/")
BOOTSTRAP = Secret("bootstrap", "bootUy8ErTz94", "{}-0123456789abcdefghijklmnop")
ALL = (DATABASE, SASL, TLS_KEY, PROXY, BOOTSTRAP)
LIMIT_S = 60

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("config", "show", "--origin"),
    ("config", "show", "-o", "json"),
    ("config", "show", "-o", "csv"),
    ("doctor",),
    ("doctor", "-o", "json"),
    ("periods",),
    ("db", "check"),
    ("verify",),
    ("audit", "-o", "json"),
    ("keys", "list", "-o", "json"),
    ("topics", "create"),
    ("offsets", "show"),
)


@pytest.fixture
def told() -> Told:
    return Told(ALL)


def _sasl(**more: str) -> dict[str, str]:
    options = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "worker",
        "sasl_plain_password": SASL.value,
        "ssl_password": TLS_KEY.value,
        **more,
    }
    return {f"CHARGEBACK_KAFKA__OPTIONS__{name.upper()}": text for name, text in options.items()}


def _away(**more: str) -> dict[str, str]:
    """A configuration in which nothing answers."""
    return {
        "CHARGEBACK_DATABASE__URL": f"postgresql://worker:{DATABASE.encoded}@127.0.0.1:1/books",
        "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "CHARGEBACK_METRICS__PORT": "0",
        "CHARGEBACK_API__PORT": "0",
        **_sasl(),
        **more,
    }


def _said(told: Told, where: str, environ: Mapping[str, str], *commands: tuple[str, ...]) -> None:
    """What commands say, with a traceback too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        for command in commands:
            for debug in ([], ["--debug"]):
                with _logging_as_before():
                    ended = Command(debug)(*command)
                told.add(f"{where}: {' '.join(command)} {''.join(debug)}", ended.out + ended.err)


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """A command sets up the logging of its process, which is that of all tests here."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("kafka", "sqlalchemy", "alembic")}
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)
        structlog.reset_defaults()


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is away is not waited for."""
    monkeypatch.setattr(app, "patience", lambda settings: Patience(answer_s=1))


@pytest.mark.usefixtures("_quick")
def test_no_command_tells_a_secret_where_nothing_answers(told: Told) -> None:
    _said(told, "away", _away(), *COMMANDS)
    assert len(told.said) == 2 * len(COMMANDS)
    assert any("Traceback" in text for text in told.said.values())
    assert told.leaks() == {}


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://worker:{raw}@127.0.0.1:1/books",
        "postgresql://worker:{raw} @127.0.0.1:1/books",
        "postgresql://worker@127.0.0.1:1/books?password={encoded}",
        "postgresql://worker:{encoded}@127.0.0.1:1/books?sslpassword={encoded}&sslkey=/x",
        "postgresql://worker:{encoded}%zz@127.0.0.1:1/books",
        "postgresql://worker:{encoded}%00@127.0.0.1:1/books",
        "postgresql://worker:{encoded}@127.0.0.1:port/books",
        "postgresql://worker:{encoded}@[::1/books",
        "postgresql://worker:{encoded}@127.0.0.1:1/books?connect_timeout=x",
        "mysql://worker:{encoded}@127.0.0.1/books",
        "worker:{encoded}@127.0.0.1/books",
        "{encoded}",
    ],
)
def test_an_address_that_cannot_be_read_is_told_without_its_password(told: Told, form: str) -> None:
    url = form.format(raw=DATABASE.value, encoded=DATABASE.encoded)
    environ = {"CHARGEBACK_DATABASE__URL": url}
    _said(told, "address", environ, ("config", "show"), ("db", "check"), ("periods",))
    assert told.leaks() == {}


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("DATABASE__URL", DATABASE),
        ("KAFKA__OPTIONS__SASL_PLAIN_PASSWORD", SASL),
        ("KAFKA__OPTIONS__SSL_PASSWORD", TLS_KEY),
        ("KAFKA__OPTIONS__PROXY_URL", PROXY),
        ("BOOTSTRAP_KEY", BOOTSTRAP),
    ],
)
def test_a_secret_that_is_given_for_the_path_of_its_file_is_not_told(
    told: Told, name: str, secret: Secret, sqlite_url: str
) -> None:
    """Who confuses the two has it in the error, and that in the log."""
    for number, value in enumerate((secret.value, f"/{secret.value}", f"x://u:{secret.value}@h")):
        environ = {f"CHARGEBACK_{name}_FILE": value, "CHARGEBACK_API__PORT": "0"}
        if name != "DATABASE__URL":
            environ["CHARGEBACK_DATABASE__URL"] = sqlite_url
        wanted = ("run", "--role", "api") if name == "BOOTSTRAP_KEY" else ("config", "show")
        _said(told, str(number), environ, wanted)
    assert any(f"{name}_FILE" in text for text in told.said.values())
    assert told.leaks() == {}


def test_settings_at_fault_are_told_without_secrets(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "chargeback.toml"
    file.write_text(
        f"[database]\nurll = {json.dumps(DATABASE.value)}\n"
        f"[kafka.options]\nsasl_plain_pasword = {json.dumps(SASL.value)}\n"
        f"ssl_pasword = {json.dumps(TLS_KEY.value)}\nproxy_url = {json.dumps(PROXY.value)}\n"
    )
    environ = {
        "CHARGEBACK_CONFIG": str(file),
        "CHARGEBACK_DATABASE__URLL": DATABASE.value,
        "CHARGEBACK_KAFKA__OPTIONS__SASL_PLAIN_PASWORD": SASL.value,
    }
    _said(told, "at fault", environ, ("config", "show"), ("periods",), ("run",))
    assert told.leaks() == {}


def test_settings_that_are_read_show_no_secret(told: Told, tmp_path: Path) -> None:
    """From files too, in `repr`, and of a misspelt option that kafka-python does not know."""
    files = {}
    for secret in (SASL, TLS_KEY):
        path = tmp_path / secret.name
        path.write_text(f"{secret.value}\n")
        files[secret.name] = str(path)
    address = tmp_path / "url"
    address.write_text(f"postgresql://worker:{DATABASE.encoded}@h/books\n")
    environ = {name: text for name, text in _sasl().items() if "PASSWORD" not in name} | {
        "CHARGEBACK_DATABASE__URL_FILE": str(address),
        "CHARGEBACK_KAFKA__OPTIONS__SASL_PLAIN_PASSWORD_FILE": files["sasl"],
        "CHARGEBACK_KAFKA__OPTIONS__SSL_PASSWORD_FILE": files["ssl"],
        "CHARGEBACK_KAFKA__OPTIONS__SOCKS5_PROXY": f"socks5://u:{PROXY.encoded}@h:1",
    }
    settings = load({}, environ)
    assert settings.kafka.options["sasl_plain_password"] == SASL.value
    assert DATABASE.encoded in settings.database.url
    told.add("repr", repr(settings) + str(settings))
    told.add("origins", repr(origins(settings)))
    _said(told, "read", environ, ("config", "show", "--origin"), ("config", "show", "-o", "json"))
    assert told.leaks() == {}


@pytest.mark.usefixtures("_quick")
def test_a_key_that_its_password_does_not_open_is_told_without_it(
    told: Told, tmp_path: Path, sqlite_url: str
) -> None:
    key = tmp_path / "key.pem"
    mark = "ENCRYPTED PRIVATE KEY-----"
    key.write_text(f"-----BEGIN {mark}\nAAAA\n-----END {mark}\n")
    tls = _sasl(security_protocol="SSL", ssl_certfile=str(key), ssl_keyfile=str(key))
    environ = {name: value for name, value in tls.items() if "SASL" not in name}
    environ["CHARGEBACK_DATABASE__URL"] = sqlite_url
    with socket.create_server(("127.0.0.1", 0)) as broker:
        port = broker.getsockname()[1]
        environ["CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS"] = f"127.0.0.1:{port}"
        _said(told, "tls", environ, ("doctor",), ("topics", "create"))
    assert all(f"127.0.0.1:{port}" in text for text in told.said.values()), told.said
    assert told.leaks() == {}


class _Refusing:
    """A server that answers every client of PostgreSQL that its password is wrong."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        ask = b"R" + (8).to_bytes(4, "big") + (3).to_bytes(4, "big")
        fields = b'SFATAL\0C28P01\0Mpassword authentication failed for user "worker"\0\0'
        refusal = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client:
                self._refuse(client, ask, refusal)

    def _refuse(self, client: socket.socket, ask: bytes, refusal: bytes) -> None:
        while (wanted := client.recv(4096)) and wanted[4:8] in (
            (80877103).to_bytes(4, "big"),
            (80877104).to_bytes(4, "big"),
        ):
            client.sendall(b"N")
        client.sendall(ask)
        client.recv(4096)
        client.sendall(refusal)

    def close(self) -> None:
        self._socket.close()


@pytest.mark.usefixtures("_quick")
def test_a_refused_password_is_not_told(told: Told) -> None:
    server = _Refusing()
    url = f"postgresql://worker:{DATABASE.encoded}@127.0.0.1:{server.port}/books"
    commands = [("db", "check"), ("periods",), ("doctor", "-o", "json"), ("run",)]
    _said(told, "refused", _away(CHARGEBACK_DATABASE__URL=url), *commands)
    server.close()
    assert all("refuses us" in text for text in told.said.values())
    assert told.leaks() == {}


@contextmanager
def _running(environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as out:
        worker = subprocess.Popen(
            [sys.executable, "-m", "chargeback_worker", "run"],
            env={**os.environ, **environ},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            yield worker
        finally:
            worker.send_signal(signal.SIGTERM)
            worker.wait(LIMIT_S)


def _ask(told: Told, url: str, headers: Mapping[str, str], body: bytes | None = None) -> int:
    sent = {"Content-Type": "application/json", **headers}
    try:
        with urlopen(Request(url, data=body, headers=sent), timeout=10) as answer:
            told.add(f"answer of {len(told.said)}", str(answer.headers).encode() + answer.read())
            return int(answer.status)
    except HTTPError as refusal:
        with refusal:
            told.add(f"refusal of {len(told.said)}", str(refusal.headers).encode() + refusal.read())
            return refusal.code


def _until_up(port: int, worker: subprocess.Popen[bytes]) -> None:
    waiting = threading.Event()
    for _ in range(LIMIT_S * 10):
        assert worker.poll() is None, "the worker has ended"
        try:
            with urlopen(f"http://127.0.0.1:{port}/docs/errors", timeout=10):
                return
        except (URLError, OSError):
            waiting.wait(0.1)
    raise AssertionError("the API did not come up")


def test_a_worker_tells_no_secret_in_its_log_metrics_answers_and_books(
    told: Told, tmp_path: Path, kafka: BrokerServer, sqlite_url: str
) -> None:
    """Its broker refuses it, clients put keys where they do not belong, and all is searched."""
    first = tmp_path / "first-key"
    first.write_text(BOOTSTRAP.value)
    metrics, api = free_port(), free_port()
    environ = {
        **_sasl(),
        "CHARGEBACK_DATABASE__URL": sqlite_url,
        "CHARGEBACK_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "CHARGEBACK_METRICS__PORT": str(metrics),
        "CHARGEBACK_API__PORT": str(api),
        "CHARGEBACK_BOOTSTRAP_KEY_FILE": str(first),
        "CHARGEBACK_LOG__LEVEL": "debug",
    }
    log = tmp_path / "worker.log"
    base = f"http://127.0.0.1:{api}/api/chargeback"
    with _running(environ, log) as worker:
        _until_up(api, worker)
        created = Command(["--database", sqlite_url]).ok(
            "keys", "create", "--role", "admin", "--name", "gateway", "-o", "json"
        )
        made = json.dumps(created.json)
        key = next(text for text in _texts(created.json) if text.startswith("chargeback_"))
        secret = Secret("created key", key.rpartition("_")[2])
        told.secrets = (*told.secrets, secret)
        assert secret.core in made
        for value in (key, BOOTSTRAP.value):
            bearer = {"Authorization": f"Bearer {value}"}
            assert _ask(told, f"{base}/periods", bearer) == 200
            assert _ask(told, f"{base}/periods", {"X-API-Key": f"{value}x"}) == 401
            basic = base64.b64encode(f"u:{value}".encode()).decode()
            assert _ask(told, f"{base}/periods", {"Authorization": f"Basic {basic}"}) == 401
            assert _ask(told, f"{base}/verify", bearer) == 200
            assert _ask(told, f"{base}/audit", bearer) == 200
            assert _ask(told, f"{base}/periods?api_key={quote(value)}", bearer) == 400
            body = json.dumps({"cost_usd": 1, "api_key": 7, "team_id": [value]}).encode()
            _ask(told, f"{base}/usage", {**bearer, "X-Request-ID": "r"}, body)
        for path in ("metrics", "healthz", "readyz"):
            _ask(told, f"http://127.0.0.1:{metrics}/{path}", {})
    told.add("log", log.read_bytes())
    assert worker.returncode in (0, 3)
    for file in sorted(tmp_path.glob("chargeback.db*")):
        told.add(f"database {file.name}", file.read_bytes())
    _said(told, "afterwards", environ, ("keys", "list"), ("audit", "-o", "json"), ("verify",))
    assert told.leaks() == {}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("secret", ALL, ids=lambda secret: secret.name)
def test_a_secret_that_is_told_in_any_form_is_found(secret: Secret) -> None:
    """Guards the search."""
    value = secret.value
    for text in (
        value,
        f"a {secret.core} b",
        quote(value),
        quote(value, safe=""),
        repr(value),
        json.dumps({"x": value}),
        base64.b64encode(value.encode()).decode(),
        base64.b64encode(f"worker:{value}".encode()).decode(),
        base64.urlsafe_b64encode(f"\0worker\0{value}".encode()).decode(),
        value.encode().hex(),
    ):
        told = Told(ALL)
        told.add("here", f"before {text} after")
        assert told.leaks() == {"here": [secret.name]}, text
