"""Everything that the doctor can find wrong is turned red here, on each kind of store.

`SICK` says how each fault comes about; a fault without an entry fails a test.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfoNotFoundError

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from chargeback_worker import app
from chargeback_worker.broker import GroupDescription, GroupMember, TopicPartition
from chargeback_worker.broker.errors import BrokerUnreachable
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.cli.doctor import books, machine
from chargeback_worker.cli.doctor.finding import Fault
from chargeback_worker.settings import Billing
from chargeback_worker.store import Store, Transaction, cursors, heartbeats, holds, outbox
from chargeback_worker.store.dialects.postgresql import PostgreSQL
from chargeback_worker.store.dialects.sqlite import SQLite
from chargeback_worker.store.holds import Hold
from tests.support.command import Command
from tests.support.upkeep import damaged


@dataclass
class Body:
    """Healthy; a fault is brought about by changing it."""

    command: Command
    broker: MemoryBroker
    patch: pytest.MonkeyPatch
    usage_file: str
    folder: Path
    afterwards: list[str] = field(default_factory=list)
    """Statements that take away what does not go with its database."""

    def write(self, change: Callable[[Transaction], object]) -> None:
        store = Store(self.command.options[1])
        with store.begin() as transaction:
            change(transaction)
        store.close()

    def billed(self) -> None:
        self.command.ok("ingest", self.usage_file)
        self.command.ok("close", "2023-11")

    def configure(self, topic: str, **config: str) -> None:
        named = {name.replace("_", "."): value for name, value in config.items()}
        self.broker._topics[topic].config.update(named)

    def described(self, state: str, members: int) -> None:
        found = GroupDescription(state, (GroupMember("worker", None),) * members)
        self.patch.setattr(MemoryBroker, "describe_group", lambda self, group_id: found)

    def file(self, name: str) -> Command:
        return Command(["--database", f"sqlite:///{self.folder / name}"])


Sick = Callable[[Body], Command | None]


def _no_codec(body: Body) -> None:
    body.patch.setattr("importlib.util.find_spec", lambda name: None)


def _no_zone(body: Body) -> None:
    def missing(billing: Billing) -> None:
        raise ZoneInfoNotFoundError(billing.timezone)

    body.patch.setattr(Billing, "zone", property(missing))


def _old_zones(body: Body) -> Command:
    body.patch.setattr(machine, "zone_data_version", lambda: "2019a")
    return body.command.having("--set", "billing.timezone=Europe/Berlin")


def _low_disk(body: Body) -> Command:
    body.patch.setattr(machine, "DISK_LOW_BYTES", 2**80)
    return body.file("any.db")


def _locked_down(body: Body) -> Command | None:
    """A user of PostgreSQL who reads and writes and no more; of SQLite there are no users."""
    url = make_url(body.command.options[1])
    if url.get_backend_name() == "sqlite":
        body.patch.setattr(SQLite, "may_make_tables", lambda self, connection: False)
        return None
    name = f"locked_down_{url.database}"

    def make(transaction: Transaction) -> None:
        for statement in (
            f"CREATE ROLE {name} LOGIN PASSWORD 'locked'",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}",
            "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        ):
            transaction.execute(sa.text(statement))

    body.write(make)
    body.afterwards += [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    locked = url.set(username=name, password="locked").render_as_string(hide_password=False)
    return Command(["--database", locked])


def _crowded(body: Body) -> None:
    """The tests' server may be any; what it tells of itself is in `test_doctor`."""
    for dialect in (SQLite, PostgreSQL):
        body.patch.setattr(dialect, "connections", lambda self, connection: (90, 97))


def _other_clock(body: Body) -> None:
    body.patch.setattr(Transaction, "now_us", lambda self: app.now_us() - 60_000_000)


def _other_time(body: Body) -> None:
    body.broker.clock = app.now_us() // 1000 - 60_000


def _broker_away(body: Body) -> None:
    body.broker.away = True


def _no_topic(body: Body) -> None:
    del body.broker._topics["invoices"]


def _stopped(body: Body) -> None:
    def stop(transaction: Transaction) -> None:
        made = cursors.make(transaction, cursors.Door.TOPIC, "usage-events", 0, now_us=1)
        cursors.stop(transaction, made.cursor_id, "a gap")

    body.write(stop)


def _not_compared(body: Body) -> None:
    def fails(*arguments: object) -> None:
        raise BrokerUnreachable("memory", "it is away")

    body.patch.setattr(books, "find_causes", fails)


def _overdue(body: Body) -> Command:
    early = body.command.having("--set", "billing.first_period=2023-11")
    early.ok("ingest", body.usage_file)
    return early


def _parked(body: Body) -> None:
    body.billed()

    def park(transaction: Transaction) -> None:
        first, *_ = outbox.heads(transaction, 1)
        outbox.park(transaction, {first.message_id: "it is too large"})

    body.write(park)


def _wide(body: Body) -> None:
    for name in ("a", "b", "c"):
        body.command.ok("keys", "create", "--role", "admin", "--name", name)


def _unread(body: Body) -> None:
    body.broker.put("usage-events", b"one")


def _read_first(body: Body, at_us: int) -> None:
    """The first partition's next message is its second."""

    def read(transaction: Transaction) -> None:
        made = cursors.make(transaction, cursors.Door.TOPIC, "usage-events", 0, now_us=at_us)
        moved = {"id": made.cursor_id}
        change = "UPDATE ingest_cursor SET next_position = 1 WHERE cursor_id = :id"
        transaction.execute(sa.text(change), [moved])

    for _ in range(3):
        body.broker.put("usage-events", b"one", partition=0)
    body.write(read)


def _stalled(body: Body) -> None:
    body.described("Stable", 1)
    _read_first(body, app.now_us() - 660_000_000)


def _lost(body: Body) -> None:
    body.described("Stable", 1)
    _read_first(body, app.now_us())
    log = body.broker.log(TopicPartition("usage-events", 0))
    assert log is not None
    log.delete_before(2)


def _messages_wait(body: Body) -> None:
    body.billed()
    body.write(lambda t: t.execute(sa.text("UPDATE outbox SET created_us = 1")))


def _waits(body: Body) -> None:
    body.write(lambda t: heartbeats.write(t, "worker", {"publisher": "the broker"}, 1))


def _nobody(body: Body) -> None:
    body.write(lambda t: heartbeats.remove(t, "worker"))


def _refused(body: Body) -> None:
    body.command("ingest", "-", stdin=b"no event\n")


def _early(body: Body) -> None:
    body.command.ok("ingest", body.usage_file)


def _fine_grained(body: Body) -> Command:
    body.command.ok("ingest", body.usage_file)
    return body.command.having("--set", "grain.totals_max=3")


_FORGET = "DELETE FROM installation WHERE name IN ('timezone', 'labels', 'source')"
SICK: dict[Fault, tuple[int, Sick]] = {
    Fault.CODECS_MISSING: (0, _no_codec),
    Fault.SETTINGS_WRONG: (3, lambda body: body.command.having("--set", "billing.due_days=-1")),
    Fault.TIME_ZONE_UNKNOWN: (3, _no_zone),
    Fault.TIME_ZONE_DATA_OLD: (3, _old_zones),
    Fault.DISK_MISSING: (4, lambda body: body.file("none/books.db")),
    Fault.DISK_LOW: (0, _low_disk),
    Fault.DATABASE_MISSING: (0, lambda body: body.file("none.db")),
    Fault.DATABASE_AWAY: (4, lambda body: Command(["--database", "postgresql://u@127.0.0.1:1/b"])),
    Fault.DATABASE_LOCKED_DOWN: (0, _locked_down),
    Fault.DATABASE_CROWDED: (0, _crowded),
    Fault.SCHEMA_MISSING: (0, lambda body: damaged(body.command, "DELETE FROM alembic_version")),
    Fault.SCHEMA_UNFIT: (
        3,
        lambda body: damaged(body.command, "UPDATE alembic_version SET version_num = '0001'"),
    ),
    Fault.GRAIN_NOT_FIXED: (0, lambda body: damaged(body.command, _FORGET)),
    Fault.GRAIN_DIFFERS: (3, lambda body: body.command.having("--set", "grain.labels=model")),
    Fault.CLOCK_DIFFERS: (0, _other_clock),
    Fault.BROKER_AWAY: (4, _broker_away),
    Fault.BROKER_CLOCK_DIFFERS: (0, _other_time),
    Fault.TOPIC_MISSING: (3, _no_topic),
    Fault.TOPIC_FORGETS: (3, lambda body: body.configure("invoices", cleanup_policy="compact")),
    Fault.TOPIC_KEEPS_BRIEFLY: (0, lambda body: body.configure("invoices", retention_ms="3600000")),
    Fault.TOPIC_KEEPS_FEW_BYTES: (0, lambda body: body.configure("invoices", retention_bytes="9")),
    Fault.TOPIC_TRUSTS_TIMES: (
        0,
        lambda body: body.configure("usage-events", message_timestamp_type="CreateTime"),
    ),
    Fault.TOPIC_TAKES_LITTLE: (
        0,
        lambda body: body.configure("usage-events", max_message_bytes="1000"),
    ),
    Fault.TOPIC_HAS_ONE_COPY: (0, lambda body: body.configure("usage-events", replicas="1")),
    Fault.TOPIC_CANNOT_BE_WRITTEN: (
        3,
        lambda body: body.configure("invoices", replicas="1", min_insync_replicas="2"),
    ),
    Fault.GROUP_MOVES: (0, lambda body: body.described("PreparingRebalance", 1)),
    Fault.GROUP_HAS_IDLE_MEMBERS: (0, lambda body: body.described("Stable", 3)),
    Fault.PARTITION_STOPPED: (0, _stopped),
    Fault.USAGE_UNREAD: (0, _unread),
    Fault.USAGE_STALLED: (0, _stalled),
    Fault.USAGE_LOST: (0, _lost),
    Fault.USAGE_REFUSED: (0, _refused),
    Fault.BOOKS_OLDER: (0, lambda body: body.write(lambda t: holds.put(t, Hold(1, ("it is",))))),
    Fault.BOOKS_UNKNOWN: (4, _not_compared),
    Fault.PERIOD_OVERDUE: (0, _overdue),
    Fault.PERIOD_NOBODY_CLOSES: (0, _early),
    Fault.PERIOD_HAS_MANY_TOTALS: (0, _fine_grained),
    Fault.MESSAGES_PARKED: (0, _parked),
    Fault.MESSAGES_WAIT: (0, _messages_wait),
    Fault.ROLE_MISSING: (0, _nobody),
    Fault.ROLE_WAITS: (0, _waits),
    Fault.KEYS_MISSING: (3, lambda body: body.command.having("--set", "api.host=0.0.0.0")),
    Fault.KEYS_TOO_WIDE: (0, _wide),
}


@pytest.fixture
def body(
    chargeback: Command,
    memory_broker: MemoryBroker,
    monkeypatch: pytest.MonkeyPatch,
    usage_file: str,
    tmp_path: Path,
) -> Iterator[Body]:
    chargeback.ok("periods")
    chargeback.ok("topics", "create", "--partitions", "2")
    body = Body(chargeback, memory_broker, monkeypatch, usage_file, tmp_path)
    roles = dict.fromkeys(("ingest", "scheduler", "publisher"), "")
    body.write(lambda transaction: heartbeats.write(transaction, "worker", roles, 1))
    yield body
    body.write(lambda transaction: [transaction.execute(sa.text(s)) for s in body.afterwards])


def _faults(command: Command, code: int) -> dict[str, str]:
    ended = command("doctor", "-o", "json")
    assert ended.code == code, ended
    return {row["fault"]: row["fix"] for row in ended.json["checks"] if row["fault"] is not None}


@pytest.mark.parametrize("fault", SICK, ids=str)
def test_a_fault_turns_the_doctor_red_and_has_a_fix(body: Body, fault: Fault) -> None:
    assert _faults(body.command, 0) == {}
    code, fall_ill = SICK[fault]
    sick = fall_ill(body) or body.command
    found = _faults(sick, code)
    assert found.get(fault), found
    assert f"-> {found[fault]}" in sick("doctor").out
    # Whoever reads it has just asked the doctor.
    assert "chargeback doctor" not in found[fault]


def test_every_fault_is_turned_red() -> None:
    assert set(SICK) == set(Fault)


def test_every_fault_is_looked_for_by_a_check() -> None:
    """Guards against names that nothing finds any more."""
    sources = "".join(path.read_text() for path in Path(machine.__file__).parent.glob("*.py"))
    assert [fault for fault in Fault if f"Fault.{fault.name}" not in sources] == []
