"""Clients of the API that try again, while its database is restarted."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from chargeback_worker.money import NANO
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, schema, totals
from tests.faults.flow import Pace
from tests.faults.scene import Figures, Ground
from tests.faults.worker import Worker
from tests.support.postgres import LocalPostgres

CLIENTS = 64
_SECONDS = 60.0
_PATIENCE_S = 60.0
_PERIOD = "2026-09"
_BASE = "/api/chargeback"
_RUN = ("chargeback_worker", "run", "--role", "api")
_BATCH = 20


def api_outage(ground: Ground, pace: Pace) -> Figures:
    """PostgreSQL is stopped as by a crash and started again, `pace.faults` times within a minute
    of 64 clients; each sends until it is answered that its usage is recorded, then goes on."""
    postgres = ground.postgres
    assert isinstance(postgres, LocalPostgres), "a server of our own is stopped"
    folder = ground.folder / "api-outage"
    folder.mkdir()
    with postgres.database() as url:
        store = Store(url)
        schema.upgrade(store)
        # Its connections would not outlive the restarts.
        store.close()
        environment = {
            "CHARGEBACK_DATABASE__URL": url,
            "CHARGEBACK_API__PORT": "0",
            "CHARGEBACK_METRICS__PORT": "0",
        }
        worker = Worker(environment, folder / "api.log", _RUN)
        try:
            assert worker.wait_for("api_listens"), worker.last_words
            port = worker.lines("api_listens")[0]["api_port"]
            crowd = _Crowd(port, time.monotonic() + _SECONDS)
            with ThreadPoolExecutor(CLIENTS) as pool:
                clients = [_Client(crowd, number, pace.seed) for number in range(CLIENTS)]
                running = [pool.submit(client.run) for client in clients]
                _restarts(postgres, pace, _SECONDS)
                for one in running:
                    one.result()
        finally:
            worker.kill()
        judged = Store(url)
        wrong = [*crowd.wrong, *_differences(judged, crowd)]
        judged.close()
    return Figures("API of a restarted database", crowd.events, pace.faults, wrong, str(crowd))


def _restarts(postgres: LocalPostgres, pace: Pace, seconds: float) -> None:
    """Away for up to three seconds each time."""
    draw = random.Random(pace.seed)
    for _ in range(pace.faults):
        began = time.monotonic()
        time.sleep(draw.uniform(0.1, 0.5) * seconds / pace.faults)
        postgres.stop_immediate()
        time.sleep(draw.uniform(0.0, 3.0))
        postgres.start()
        time.sleep(max(0.0, 0.9 * seconds / pace.faults - (time.monotonic() - began)))


@dataclass
class _Crowd:
    """What all clients together did."""

    port: int
    end: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    statuses: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    events: int = 0
    cost_nano: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{count:,} {status}" for status, count in sorted(self.statuses.items()))
        return f"{CLIENTS} clients, {_SECONDS:.0f} s: {told}; longest wait {self.longest_s:.1f} s"

    def answered(self, status: int, headers: dict[str, str], body: bytes) -> None:
        with self.lock:
            self.statuses[str(status)] += 1
            if status in (200, 201):
                return
            if status != 503:
                self.wrong.append(f"answered with {status}: {body[:300]!r}")
            elif int(headers.get("retry-after", "0")) < 1:
                self.wrong.append(f"503 without a time to come back: {headers}")
            elif headers.get("content-type") != "application/problem+json":
                self.wrong.append(f"503 that is no problem document: {headers}")

    def accepted(self, events: int, cost_nano: int, waited_s: float) -> None:
        with self.lock:
            self.events += events
            self.cost_nano += cost_nano
            self.longest_s = max(self.longest_s, waited_s)


class _Client:
    """Sends usage of its own team, one request after the other; some of it again, some answers it
    does not wait for."""

    def __init__(self, crowd: _Crowd, number: int, seed: int) -> None:
        self._crowd = crowd
        self._number = number
        self._draw = random.Random(f"{seed}/{number}")
        self._sent = 0

    def run(self) -> None:
        while time.monotonic() < self._crowd.end and not self._crowd.wrong:
            self._sent += 1
            chance = self._draw.random()
            if chance < 0.15:
                self._until_good("GET", f"{_BASE}/usage/summary?period={_PERIOD}", None, "")
            elif chance < 0.25:
                self._record([self._event(place) for place in range(_BATCH)])
            else:
                self._record([self._event(0)])

    def _event(self, place: int) -> dict[str, Any]:
        # Without an id: it is made of the key of the request.
        nano = (self._number * 1_000_003 + self._sent * 101 + place) % NANO
        return {
            "timestamp": "2026-09-14T12:00:00Z",
            "team_id": f"team-{self._number}",
            "user_id": "someone",
            "resource_type": "query",
            "cost_usd": f"0.{nano:09}",
            "quantity": 1,
        }

    def _record(self, events: list[dict[str, Any]]) -> None:
        key, path = f"{self._number}-{self._sent}", f"{_BASE}/usage"
        body = json.dumps(events[0]).encode()
        if len(events) > 1:
            path += "/batch"
            body = json.dumps(events).encode()
        began = time.monotonic()
        if self._draw.random() < 0.1:
            self._leave("POST", path, body, key)
        self._until_good("POST", path, body, key)
        if self._draw.random() < 0.1:
            self._until_good("POST", path, body, key)
        cost_nano = sum(int(event["cost_usd"].removeprefix("0.")) for event in events)
        self._crowd.accepted(len(events), cost_nano, time.monotonic() - began)

    def _until_good(self, method: str, path: str, body: bytes | None, key: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                status, headers, content = self._ask(method, path, body, key)
            except (OSError, http.client.HTTPException) as error:
                self._crowd.wrong.append(f"{method} {path} got no answer: {error!r}")
                return
            self._crowd.answered(status, headers, content)
            if status < 300 or self._crowd.wrong:
                return
            if time.monotonic() > deadline:
                self._crowd.wrong.append(f"{method} {path} was refused for {_PATIENCE_S} s")
                return
            time.sleep(self._draw.uniform(0.05, 0.3))

    def _ask(
        self, method: str, path: str, body: bytes | None, key: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = self._connected(method, path, body, key)
        try:
            answered = connection.getresponse()
            content = answered.read()
        finally:
            connection.close()
        return answered.status, {n.lower(): v for n, v in answered.getheaders()}, content

    def _leave(self, method: str, path: str, body: bytes, key: str) -> None:
        """Send it and hang up: whether it was recorded is not known."""
        connection = self._connected(method, path, body, key)
        time.sleep(self._draw.uniform(0.0, 0.05))
        connection.close()

    def _connected(
        self, method: str, path: str, body: bytes | None, key: str
    ) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._crowd.port, timeout=90)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if key:
            headers["Idempotency-Key"] = key
        connection.request(method, path, body, headers)
        return connection


def _differences(store: Store, crowd: _Crowd) -> list[str]:
    with store.read() as transaction:
        cost = sum(totals.cost_by_period(transaction).values())
        records = sum(total.records for total in totals.stored(transaction).values())
    wrong = [str(mismatch) for mismatch in verify(store).mismatches]
    if records != crowd.events:
        wrong.append(f"{crowd.events} events were accepted, {records} are counted")
    if cost != crowd.cost_nano:
        wrong.append(f"cost: accepted {crowd.cost_nano}, found {cost}")
    return wrong
