"""What a failing PostgreSQL says, as the roles that use it must hear it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from chargeback_worker.pipeline import heartbeat
from chargeback_worker.store import NoConnectionFree, Store, schema
from chargeback_worker.store.dialects.postgresql_errors import DatabaseUnreachable
from tests.support.postgres import PostgresServer


@pytest.fixture
def store(postgresql: PostgresServer) -> Iterator[Store]:
    with postgresql.database() as url:
        store = Store(url)
        schema.upgrade(store)
        yield store
        store.close()


def _write_on_a_standby(store: Store) -> None:
    with store.begin() as transaction:
        transaction.execute(sa.text("SET TRANSACTION READ ONLY"))
        transaction.execute(sa.text("DELETE FROM heartbeat"))


def _idle(store: Store) -> None:
    with store.begin() as transaction:
        transaction.execute(sa.text("SET LOCAL idle_in_transaction_session_timeout = '10ms'"))
        # The server ends this session while we wait for another one.
        with store.read() as other:
            other.execute(sa.text("SELECT pg_sleep(0.2)"))
        transaction.execute(sa.text("SELECT 1"))


@pytest.mark.parametrize("ended", [_write_on_a_standby, _idle])
def test_a_transaction_that_the_server_refuses_or_ends_is_done_again(
    store: Store, ended: Callable[[Store], None]
) -> None:
    with pytest.raises(DatabaseUnreachable):
        ended(store)
    heartbeat.beat(store, "here", {"ingest": ""}, 0)


def test_waiting_in_vain_for_a_free_connection_is_no_bug(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_free() -> sa.Connection:
        raise sa.exc.TimeoutError("QueuePool limit of size 5 overflow 10 reached")

    monkeypatch.setattr(store.engine, "connect", none_free)
    with pytest.raises(NoConnectionFree), store.begin():
        pass


def test_after_a_restart_every_step_fails_at_most_once(store: Store, postgresql: Any) -> None:
    heartbeat.beat(store, "here", {"ingest": ""}, 0)
    postgresql.stop_immediate()
    postgresql.start()
    with pytest.raises(DatabaseUnreachable):
        heartbeat.beat(store, "here", {"ingest": ""}, 0)
    heartbeat.beat(store, "here", {"ingest": ""}, 0)
