"""The role `api`: the program behind a socket, until it is asked to end."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread
import structlog
import uvicorn

from chargeback_worker.api.access import is_loopback
from chargeback_worker.api.in_time import goes_on
from chargeback_worker.api.program import Health, build
from chargeback_worker.app import App, now_us
from chargeback_worker.errors import Misconfigured
from chargeback_worker.pipeline.keys import KeyTooWeak, bootstrap_key
from chargeback_worker.reports.keys import find_key
from chargeback_worker.settings import shown_path
from chargeback_worker.store.audit import Act

BOOTSTRAP = "CHARGEBACK_BOOTSTRAP_KEY_FILE"
THREADS = 8
"""Requests that are worked on at once, or turns of those that wait together. With what other roles
of the process need, that is no more than the connections that a store opens."""
DRAIN_S = 20
_LOOK_S = 0.1
_log = structlog.get_logger(__name__)


class ApiPortTaken(Misconfigured):
    """Nothing can listen on the configured address of the API."""

    def __init__(self, host: str, port: int, fault: str) -> None:
        super().__init__(
            f"The API's port {host}:{port} cannot be opened: {fault}.",
            "Set api.port (CHARGEBACK_API__PORT) to a free one; 0 takes any.",
        )


class OpenToOthers(Misconfigured):
    """The API would answer other machines without asking who they are."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"api.host is {host!r}, which others can reach, and there is no API key yet.",
            "Make one: chargeback keys create --role admin; or set api.host to 127.0.0.1.",
        )


class BootstrapKeyUnusable(Misconfigured):
    """The first API key cannot be taken from its file."""

    def __init__(self, path: str, fault: str) -> None:
        super().__init__(
            f"The first API key cannot be read from {shown_path(path)} ({BOOTSTRAP}): {fault}",
            "Write a key of at least 32 characters into it: openssl rand -hex 32",
        )


class Server:
    """Listens from `open` on, and answers from `run` on."""

    def __init__(self, books: App, health: Health) -> None:
        self._books = books
        self._health = health
        self._socket: socket.socket | None = None

    def open(self) -> int:
        """Take the first key where one is given, and listen; returns the port.

        Raises OpenToOthers, ApiPortTaken, and BootstrapKeyUnusable.
        """
        self._take_first_key()
        api = self._books.settings.api
        _, any_made = find_key(self._books.store, None)
        if not any_made and not is_loopback(api.host):
            raise OpenToOthers(api.host)
        family = socket.AF_INET6 if ":" in api.host else socket.AF_INET
        # Named as TCP, or asyncio leaves Nagle's algorithm on, and each answer on a connection that
        # is kept waits 40 ms for the client's acknowledgement.
        found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind((api.host, api.port))
            found.listen(2048)
        except OSError as error:
            found.close()
            raise ApiPortTaken(api.host, api.port, error.strerror or str(error)) from None
        self._socket = found
        return int(found.getsockname()[1])

    def _take_first_key(self) -> None:
        path = os.environ.get(BOOTSTRAP)
        if not path:
            return
        try:
            secret = Path(path).read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            fault = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text."
            raise BootstrapKeyUnusable(path, fault or str(error)) from None
        try:
            made = bootstrap_key(self._books.store, secret, Act("bootstrap", now_us()))
        except KeyTooWeak as error:
            raise BootstrapKeyUnusable(path, error.message) from None
        if made is not None:
            _log.info("first API key taken", action="bootstrap_key")

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        """Answer until `stop`; requests under way are then answered still, and what was given up
        may end."""
        assert self._socket is not None, "open comes first"
        try:
            asyncio.run(self._serve(self._socket, stop, beat))
        finally:
            self._socket.close()

    async def _serve(
        self, listening: socket.socket, stop: threading.Event, beat: Callable[[], None]
    ) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        config = uvicorn.Config(
            build(self._books, self._health),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # It would believe whoever says for whom it asks.
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=DRAIN_S,
            h11_max_incomplete_event_size=32 * 1024,
        )
        server = uvicorn.Server(config)
        until_s = 0.0
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not serving.done():
            if stop.is_set() and not server.should_exit:
                server.should_exit = True
                until_s = time.monotonic() + DRAIN_S
            beat()
            await asyncio.wait({serving}, timeout=_LOOK_S)
        serving.result()
        while goes_on() and time.monotonic() < until_s:
            beat()
            await asyncio.sleep(_LOOK_S)
