"""Books beside a broker in memory, that can be put back to a backup while the broker goes on."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from chargeback_worker.broker import Message
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.pipeline.holding.older import World, find_causes, hold_if_older
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.pipeline.resume import Resumed, resume
from chargeback_worker.store import Store
from chargeback_worker.store.holds import Hold
from tests.support.feed import Feed
from tests.support.ledger import act

USAGE, INVOICES, GROUP = "usage-events", "invoices", "chargeback"
RESTORED_US = 1_800_000_000_000_000

Backup = Mapping[str, bytes]
"""All tables of a PostgreSQL database by their names, or the file of SQLite by its path."""


def back_up(url: str) -> Backup:
    """What a database holds, while nobody is connected to it."""
    if (path := _file(url)) is not None:
        return {str(path): path.read_bytes()}
    found: dict[str, bytes] = {}
    with _connected(url) as connection, connection.cursor() as cursor:
        tables = cursor.execute(_TABLES).fetchall()
        for (table,) in tables:
            with cursor.copy(f"COPY {table} TO STDOUT") as copy:
                found[table] = b"".join(map(bytes, copy))
    return found


def restore(url: str, backup: Backup) -> None:
    """Put a database back to what it was; its schema is the same."""
    if (path := _file(url)) is not None:
        path.write_bytes(backup[str(path)])
        return
    with _connected(url) as connection, connection.cursor() as cursor:
        # As a restore does it: without the triggers that refuse changes.
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(f"TRUNCATE {', '.join(backup)}".encode())
        for table, rows in backup.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(rows)


_TABLES = (
    "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r'"
    " AND relnamespace = 'public'::regnamespace ORDER BY oid"
)


def _file(url: str) -> Path | None:
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else None


def _connected(url: str) -> psycopg.Connection[Any]:
    given = make_url(url).set(drivername="postgresql")
    return psycopg.connect(given.render_as_string(hide_password=False))


@dataclass
class Books:
    """A database that may be put back to what it was, and the topics beside it that stay."""

    url: str
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    partitions: int = 2
    now_us: int = RESTORED_US

    def __post_init__(self) -> None:
        self.store = Store(self.url)
        self.broker.create_topic(USAGE, 1)
        self.broker.create_topic(INVOICES, self.partitions)
        Feed(self.store)

    @property
    def world(self) -> World:
        return World(self.broker, USAGE, INVOICES, GROUP)

    @property
    def feed(self) -> Feed:
        return Feed(self.store)

    def backup(self) -> Backup:
        self.store.close()
        return back_up(self.url)

    def restore(self, backup: Backup) -> None:
        self.store.close()
        restore(self.url, backup)

    def publish(self) -> int:
        """Send all that may be sent; how many messages arrived."""
        arrived = 0
        while sent := self.publish_round():
            arrived += sent
        return arrived

    def publish_round(self) -> int:
        self.now_us += 1
        done = publish(
            self.store, self.broker.producer(), INVOICES, owner="publisher", now_us=self.now_us
        )
        assert done is not None
        return done.sent

    def causes(self) -> list[str]:
        return find_causes(self.store, self.world)

    def hold(self) -> Hold | None:
        return hold_if_older(self.store, self.world, self.now_us)

    def resume(self) -> Resumed | None:
        self.now_us += 1
        return resume(self.store, self.world, act(self.now_us, "restored last night's backup"))

    @property
    def topic(self) -> list[Message]:
        """All that is on the invoices topic."""
        found: list[Message] = []
        for place in self.broker.partitions(INVOICES):
            log = self.broker.log(place)
            assert log is not None
            found += log.messages()
        return found


NewBooks = Callable[[], AbstractContextManager[Books]]
