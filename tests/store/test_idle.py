"""On PostgreSQL no writing transaction may wait for its client without a limit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chargeback_worker.store import IDLE_S, Store, Transaction, schema
from tests.support.command import Command
from tests.support.feed import usage
from tests.support.postgres import PostgresServer

_LIMIT = sa.text(
    "SELECT setting::int / 1000 FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'"
)


@pytest.fixture
def url(postgresql: PostgresServer) -> Iterator[str]:
    with postgresql.database() as url:
        yield url


def _limit_s(transaction: Transaction) -> int:
    return int(transaction.execute(_LIMIT).scalar_one())


def test_a_writing_transaction_has_a_limit_of_its_own(url: str) -> None:
    store = Store(url)
    with store.begin() as transaction:
        assert _limit_s(transaction) == IDLE_S
        transaction.end_when_idle(7)
        assert _limit_s(transaction) == 7
    with store.begin(idle_s=1_800) as transaction:
        assert _limit_s(transaction) == 1_800
    # What only reads holds up nobody, and may take its time.
    with store.read() as transaction:
        assert _limit_s(transaction) == 0
    store.close()


class Watched:
    """Every transaction of every engine: whether it only reads, and what it says first."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self._begun: set[int] = set()

    def begun(self, connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if (
            not options.get("postgresql_readonly")
            and options.get("isolation_level") != "AUTOCOMMIT"
        ):
            self._begun.add(id(connection))

    def said(
        self, connection: sa.Connection, _cursor: object, statement: str, *_more: object
    ) -> None:
        if id(connection) in self._begun:
            self._begun.discard(id(connection))
            self.first.append(statement)


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    listeners: dict[str, Any] = {"begin": watched.begun, "before_cursor_execute": watched.said}
    for name, listener in listeners.items():
        sa.event.listen(sa.Engine, name, listener)
    yield watched
    for name, listener in listeners.items():
        sa.event.remove(sa.Engine, name, listener)


def test_every_writing_transaction_of_every_command_is_given_one_first(
    url: str, watched: Watched, tmp_path: Path
) -> None:
    chargeback = Command(["--database", url])
    directory, rules = tmp_path / "directory.yaml", tmp_path / "rules.yaml"
    directory.write_text("teams: [{team_id: T, members: [{user_id: u, name: Una}]}]")
    rules.write_text("rules: [{rule_id: r, rule_type: by_usage}]")
    events = b"\n".join([usage("a", day="2026-09-03"), usage("b", day="2026-09-04"), b"{}"])
    because = ("--reason", "to see it", "--yes")
    for command in (
        ("db", "upgrade"),
        ("ingest", "-"),
        ("directory", "apply", str(directory)),
        ("rules", "apply", str(rules)),
        ("allocate", "--period", "2026-09"),
        ("invoices", "create", "--period", "2026-09", "--user", "u"),
        ("close", "2026-09"),
        ("invoices", "status", "INV-202609-0001", "paid"),
        ("reopen", "2026-09", *because),
        ("db", "rebuild", "--period", "2026-09", *because),
        ("close", "2026-09"),
        ("rules", "delete", "r", "--yes"),
        ("quarantine", "replay"),
        ("quarantine", "dismiss", "1", *because),
        ("erase", "user:u", *because),
        ("--set", "retention.records=0s", "prune", "--yes"),
    ):
        before = len(watched.first)
        ended = chargeback(*command, stdin=events)
        assert ended.code == (5 if "replay" in command else 0), ended
        limits = [first.startswith("SET LOCAL idle_in_tr") for first in watched.first[before:]]
        assert limits, command
        assert all(limits), (command, watched.first[before:])
    store = Store(url)
    assert schema.check(store).found
    store.close()
