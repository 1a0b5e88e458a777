"""What surrounds every request: ids, problem documents, limits, pages, and the process itself."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from chargeback_worker.api import bodies
from chargeback_worker.api.problems import kind_of, kinds
from chargeback_worker.api.routes import rules as rule_routes
from chargeback_worker.api.routes import usage as usage_routes
from chargeback_worker.api.server import THREADS, Server
from chargeback_worker.app import opened
from chargeback_worker.errors import Unavailable
from chargeback_worker.pipeline.save_rules import create_rule
from chargeback_worker.settings import Settings
from chargeback_worker.settings.model import Api as ApiSettings
from chargeback_worker.settings.model import Database
from tests.support.http_api import Api, Health, served, serving
from tests.support.http_late import Late
from tests.support.http_routes import ROUTES


def test_a_refusal_is_a_problem_document(sqlite_api: Api) -> None:
    reply = sqlite_api.having(X_Request_ID="mine-1").get("allocation-rules/rent")
    assert reply.headers["x-request-id"] == "mine-1"
    document = json.loads(reply.body)
    assert list(document) == [
        "type", "title", "status", "detail", "instance", "errors", "error", "hint", "request_id",
    ]  # fmt: skip
    assert document["instance"] == "/api/chargeback/allocation-rules/rent"
    assert document["request_id"] == "mine-1"
    odd = sqlite_api.having(X_Request_ID="no id; really").get("allocation-rules/rent")
    assert re.fullmatch("[0-9a-f]{32}", odd.headers["x-request-id"])


def test_what_is_not_served_is_told_in_the_same_form(sqlite_api: Api) -> None:
    assert sqlite_api.get("nothing").problem == (404, "path-unknown")
    assert sqlite_api.get("periods/").problem == (404, "path-unknown")
    reply = sqlite_api.ask("PATCH", "allocation-rules/rent")
    assert reply.problem == (405, "method-unknown")
    assert reply.headers["allow"] == "DELETE, GET, PUT"


def test_the_type_of_every_problem_leads_to_its_page(sqlite_api: Api) -> None:
    listed = sqlite_api.get("/docs/errors").body.decode()
    for name, kind in kinds().items():
        page = sqlite_api.get(kind.uri)
        assert page.status == 200, name
        assert f'href="{kind.uri}"' in listed
    for asked in ROUTES:
        for error in asked.declared.refuses:
            assert kind_of(error).name in kinds()
    assert sqlite_api.get("/docs/errors/nothing").problem == (404, "path-unknown")


def test_the_pages_load_nothing_from_elsewhere(sqlite_api: Api) -> None:
    for path in ("/docs", "/docs/errors", "/docs/errors/rule-unknown"):
        page = sqlite_api.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.findall(rb'(?:src|href)="(?!/|#)|<script|@import|url\(', page.body)
    docs = sqlite_api.get("/docs").body.decode()
    for asked in ROUTES:
        if asked.template.startswith("/api"):
            assert f'id="{asked.name}"' in docs, asked.id


def test_bodies_are_bounded(sqlite_api: Api) -> None:
    large = b" " * (bodies.BODY_BYTES_MAX + 1)
    assert sqlite_api.post("allocation-rules", large).problem == (413, "body-too-large")
    deep = b'{"teams":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert sqlite_api.put("directory", deep).problem == (400, "body-unreadable")


def test_a_body_of_unknown_length_is_bounded_too(sqlite_api: Api) -> None:
    with socket.create_connection((sqlite_api.host, sqlite_api.port), 30) as connection:
        connection.sendall(
            b"POST /api/chargeback/usage HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        try:
            for _ in range(40):
                connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
        except OSError:
            pass
        assert b" 413 " in connection.recv(100)


def test_a_body_that_does_not_come_is_not_waited_for(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_TIME_S", 0.3)
    with socket.create_connection((sqlite_api.host, sqlite_api.port), 30) as connection:
        connection.sendall(
            b"POST /api/chargeback/usage HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            b"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{"
        )
        assert b" 408 " in connection.recv(100)


def test_a_read_that_takes_too_long_is_given_up(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: object, **options: object) -> None:
        time.sleep(1.5)

    monkeypatch.setattr(usage_routes, "usage_summary", slow)
    limited = ApiSettings(port=0, request_timeout=timedelta(seconds=1))
    with serving(sqlite_url, api=limited) as api:
        reply = api.get("usage/summary", period="2026-09")
        assert reply.problem == (503, "took-too-long")
        assert int(reply.headers["retry-after"]) > 0


def test_the_end_waits_for_a_write_that_was_given_up_and_its_answer_is_kept(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch)
    monkeypatch.setattr(rule_routes, "create_rule", late.held(create_rule))
    keyed = {"Idempotency-Key": "k-1"}
    rule = {"rule_id": "rent", "rule_type": "equal_split", "team_id": "A"}
    with opened(Settings(database=Database(url=sqlite_url), api=ApiSettings(port=0))) as books:
        server, stop = Server(books, Health()), threading.Event()
        api = Api("127.0.0.1", server.open(), books)
        thread = threading.Thread(target=server.run, args=(stop, lambda: None))
        thread.start()
        reply = api.ask("POST", "allocation-rules", rule, headers=keyed)
        assert reply.problem == (503, "still-under-way")
        stop.set()
        thread.join(0.5)
        assert thread.is_alive(), "it ended under the write"
        late.release()
        thread.join(30)
        assert not thread.is_alive()
        with served(books) as again:
            reply = again.ask("POST", "allocation-rules", rule, headers=keyed)
            assert (reply.status, reply.headers["idempotency-replayed"]) == (201, "true")


def test_a_store_that_is_away_is_503_with_a_time_to_come_back(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*arguments: object, **options: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(usage_routes, "usage_summary", away)
    reply = sqlite_api.get("usage/summary", period="2026-09")
    assert reply.problem == (503, "unavailable")
    assert int(reply.headers["retry-after"]) > 0


def test_a_fault_of_the_program_is_500_without_its_insides(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: object, **options: object) -> None:
        raise RuntimeError("secret insides")

    monkeypatch.setattr(usage_routes, "usage_summary", fails)
    reply = sqlite_api.get("usage/summary", period="2026-09")
    assert reply.problem == (500, "internal-error")
    assert b"secret" not in reply.body
    assert reply.headers["x-request-id"] in reply.json["hint"]
    assert sqlite_api.get("periods").status == 200


def test_health_and_readiness_name_what_is_not_well(sqlite_api: Api) -> None:
    assert sqlite_api.get("/healthz").json == {"healthy": True, "faults": {}}
    health = Health({"store": "it does not answer"})
    with served(sqlite_api.books, health) as ill:
        for path, word in (("/healthz", "healthy"), ("/readyz", "ready")):
            reply = ill.get(path)
            assert (reply.status, reply.json) == (503, {word: False, "faults": health.faults})


def test_it_is_well_while_all_threads_are_held(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_held, released = threading.Barrier(THREADS + 1), threading.Event()

    def holds(*arguments: object, **options: object) -> None:
        all_held.wait(60)
        released.wait(60)
        raise Unavailable("It was held.")

    monkeypatch.setattr(usage_routes, "usage_summary", holds)
    asked = [
        threading.Thread(target=lambda: sqlite_api.get("usage/summary", period="2026-09"))
        for _ in range(THREADS)
    ]
    for thread in asked:
        thread.start()
    try:
        all_held.wait(60)
        assert sqlite_api.get("/healthz").status == 200
    finally:
        released.set()
        for thread in asked:
            thread.join(60)


@contextmanager
def _running(url: str, *options: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "chargeback_worker", "--database", url),
            *("--set", "api.port=0", "--set", "metrics.port=0", *options),
            *("run", "--role", "api"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "CHARGEBACK_LOG__FORMAT": "json", **environ},
        cwd=Path(__file__).parents[2],
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        told = json.loads(line)
        if told.get("action") == "api_listens":
            return int(told["api_port"])
    raise AssertionError("it ended")


def _ask(port: int, path: str, key: str = "") -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
            f"X-API-Key: {key}\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_role_serves_until_it_is_told_to_end(ready_url: str) -> None:
    with _running(ready_url) as process:
        port = _port(process)
        deadline = time.monotonic() + 20
        while b" 200 " not in _ask(port, "/readyz")[:15] and time.monotonic() < deadline:
            time.sleep(0.1)
        assert b" 200 " in _ask(port, "/readyz")[:15]
        assert b" 200 " in _ask(port, "/api/chargeback/periods")[:15]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_without_a_key_it_does_not_open_to_others(sqlite_url: str) -> None:
    with _running(sqlite_url, "--set", "api.host=0.0.0.0") as process:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 3
        assert "there is no API key yet" in told


def test_the_first_key_may_come_from_a_file(sqlite_url: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("0123456789abcdef" * 2 + "\n")
    given = {"CHARGEBACK_BOOTSTRAP_KEY_FILE": str(file)}
    with _running(sqlite_url, "--set", "api.host=0.0.0.0", **given) as process:
        port = _port(process)
        assert b" 401 " in _ask(port, "/api/chargeback/periods")[:15]
        assert b" 200 " in _ask(port, "/api/chargeback/periods", file.read_text().strip())[:15]
    file.write_text("short")
    with _running(sqlite_url, **given) as process:
        _, told = process.communicate(timeout=60)
        assert process.returncode == 3
        assert "at least 32" in told


def test_an_answer_does_not_wait_for_an_acknowledgement(
    sqlite_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Nagle's algorithm, each answer on a kept connection took 40 ms longer."""
    delays = []
    made = asyncio.selector_events._SelectorSocketTransport.__init__  # type: ignore[attr-defined]

    def look(
        self: object, loop: object, sock: socket.socket, *rest: object, **more: object
    ) -> None:
        made(self, loop, sock, *rest, **more)
        delays.append(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr(asyncio.selector_events._SelectorSocketTransport, "__init__", look)  # type: ignore[attr-defined]
    assert sqlite_api.get("/healthz").status == 200
    assert delays == [1]
