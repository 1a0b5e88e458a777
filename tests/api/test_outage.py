"""The database goes away under load: 503 with a time to come back, and nothing lost or doubled."""

import threading
import time

import pytest

from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, schema
from tests.support.http_api import Api, Reply, serving
from tests.support.postgres import PostgresServer

CLIENTS, EVENTS, RESTARTS = 8, 25, 3
PATIENCE_S = 100


@pytest.mark.timeout(200)
def test_a_restarted_database_costs_tries_and_nothing_else(postgresql: PostgresServer) -> None:
    with postgresql.database() as url:
        store = Store(url)
        schema.upgrade(store)
        store.close()
        with serving(url) as api:
            refused = _under_load(api, postgresql)
            summary = api.ok("GET", "usage/summary", period="2026-09")["summary"]
            assert summary["record_count"] == str(CLIENTS * EVENTS)
            assert verify(api.store).mismatches == ()
            assert refused, "the restarts came too late to be noticed"
            for reply in refused:
                assert reply.problem[0] == 503, reply
                assert int(reply.headers["retry-after"]) > 0


def _under_load(api: Api, postgresql: PostgresServer) -> list[Reply]:
    """Every answer that was not good, of clients that try again until theirs is."""
    refused: list[Reply] = []
    failed: list[str] = []

    def client(number: int) -> None:
        deadline = time.monotonic() + PATIENCE_S
        for event in range(EVENTS):
            keyed = api.having(Idempotency_Key=f"{number}-{event}")
            bare = {"cost_usd": 1, "team_id": "A", "timestamp": "2026-09-03T12:00:00Z"}
            while (reply := keyed.post("usage", bare)).status >= 300:
                refused.append(reply)
                if time.monotonic() > deadline:
                    failed.append(f"{number}-{event}: {reply}")
                    return
                time.sleep(0.1)
            time.sleep(0.02)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for one in clients:
        one.start()
    for _ in range(RESTARTS):
        time.sleep(0.3)
        postgresql.stop_immediate()  # type: ignore[attr-defined]
        time.sleep(0.3)
        postgresql.start()  # type: ignore[attr-defined]
    for one in clients:
        one.join()
    assert failed == []
    return refused
