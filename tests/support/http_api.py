"""The HTTP API as a test asks it: a real server on a real port, and requests byte by byte."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from chargeback_worker import app as application
from chargeback_worker.api.server import Server
from chargeback_worker.app import App
from chargeback_worker.settings import Settings
from chargeback_worker.settings.model import Api as ApiSettings
from chargeback_worker.settings.model import Database
from chargeback_worker.store import Store
from tests.support.http_shapes import require_described

BASE = "/api/chargeback"
JSON = "application/json"


@dataclass
class Health:
    """What the process would say of itself."""

    faults: dict[str, str] = field(default_factory=dict)

    def stuck(self) -> Mapping[str, str]:
        return self.faults

    def not_ready(self) -> Mapping[str, str]:
        return self.faults


@dataclass(frozen=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """Its JSON, numbers with their digits as texts."""
        return json.loads(self.body, parse_float=str, parse_int=str)

    @property
    def problem(self) -> tuple[int, str]:
        """Its status and the name of its type, where it refuses."""
        assert self.headers["content-type"] == "application/problem+json", self
        document = json.loads(self.body)
        assert document["status"] == self.status, self
        return self.status, document["type"].removeprefix("/docs/errors/")


@dataclass
class Api:
    """A client of a server; `headers` go with each request."""

    host: str
    port: int
    books: App
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        return self.books.store

    def having(self, **headers: str) -> "Api":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Api(self.host, self.port, self.books, {**self.headers, **named})

    def with_key(self, key: str) -> "Api":
        return self.having(Authorization=f"Bearer {key}")

    def get(self, path: str, **query: object) -> Reply:
        return self.ask("GET", path, query=query)

    def post(self, path: str, body: object = None, /, **query: object) -> Reply:
        return self.ask("POST", path, body, query=query)

    def put(self, path: str, body: object = None, /, **query: object) -> Reply:
        return self.ask("PUT", path, body, query=query)

    def delete(self, path: str, **query: object) -> Reply:
        return self.ask("DELETE", path, query=query)

    def ok(self, method: str, path: str, body: object = None, /, **query: object) -> Any:
        """The JSON of an answer that must be good."""
        reply = self.ask(method, path, body, query=query)
        assert reply.status < 300, reply
        return reply.json

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """`path` begins with a slash where it is not under the API's own; a body that is neither
        bytes nor a text is sent as JSON."""
        target = path if path.startswith("/") else f"{BASE}/{path}"
        given = {name: value for name, value in (query or {}).items() if value is not None}
        if given:
            target += "?" + urlencode(given)
        sent = {**self.headers, **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if method in ("POST", "PUT"):
            sent = {"Content-Type": JSON, **sent}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, target, body, sent)
            answered = connection.getresponse()
            content = answered.read()
        finally:
            connection.close()
        headers = {name.lower(): value for name, value in answered.getheaders()}
        require_described(method, target, answered.status, headers, content)
        return Reply(answered.status, headers, content)


def quoted(name: str) -> str:
    return quote(name, safe="")


@contextmanager
def serving(url: str, **settings: Any) -> Iterator[Api]:
    """The API on a database of its own port, on this thread's loopback."""
    made = Settings(database=Database(url=url), **{"api": ApiSettings(port=0), **settings})
    with application.opened(made) as books, served(books) as api:
        yield api


@contextmanager
def served(books: App, health: Health | None = None) -> Iterator[Api]:
    server = Server(books, health or Health())
    port = server.open()
    stop = threading.Event()
    thread = threading.Thread(target=server.run, args=(stop, lambda: None), daemon=True)
    thread.start()
    try:
        yield Api("127.0.0.1", port, books)
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
