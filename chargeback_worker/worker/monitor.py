"""The metrics port: `/metrics`, `/healthz` and `/readyz`, without a key, for machines."""

import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import structlog

from chargeback_worker.errors import Misconfigured
from chargeback_worker.invoicing.document import encode
from chargeback_worker.metrics import CONTENT_TYPE, Metrics

_log = structlog.get_logger(__name__)

Answer = tuple[int, str, bytes]


class PortTaken(Misconfigured):
    """Nothing can listen on the configured address."""

    def __init__(self, host: str, port: int, fault: str) -> None:
        super().__init__(
            f"The metrics port {host}:{port} cannot be opened: {fault}.",
            "Set metrics.port (CHARGEBACK_METRICS__PORT) to a free one; 0 takes any.",
        )


class Monitor:
    """A small HTTP server in threads of its own. `faults` names each part that is not ready."""

    def __init__(
        self,
        metrics: Metrics,
        faults: Callable[[], Mapping[str, str]],
        stuck: Callable[[], Mapping[str, str]],
    ) -> None:
        self._metrics = metrics
        self._faults = faults
        self._stuck = stuck
        self._server: ThreadingHTTPServer | None = None

    def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which is another one where 0 was asked for."""
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_GET(self) -> None:
                status, content_type, body = monitor._answer(self.path.partition("?")[0])
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                """Scrapes are not worth a line each."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        try:
            self._server = Server((host, port), Handler)
        except OSError as error:
            raise PortTaken(host, port, error.strerror or str(error)) from None
        threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True).start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _answer(self, path: str) -> Answer:
        match path:
            case "/metrics":
                return 200, CONTENT_TYPE, self._metrics.exposition()
            case "/healthz":
                return _verdict("healthy", self._stuck())
            case "/readyz":
                return _verdict("ready", self._faults())
            case _:
                body = encode({"error": "There are /metrics, /healthz and /readyz."})
                return 404, "application/json", body


def _verdict(word: str, faults: Mapping[str, str]) -> Answer:
    body = encode({word: not faults, "faults": dict(faults)})
    return 503 if faults else 200, "application/json", body
