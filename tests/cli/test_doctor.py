"""The doctor names what is missing and what to do, changes nothing, and ends as badly as it is."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from chargeback_worker import app
from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.period import to_us
from chargeback_worker.store import Store, Transaction, heartbeats, outbox
from tests.support.command import Command
from tests.support.feed import usage


@pytest.fixture
def healthy(chargeback: Command, memory_broker: MemoryBroker) -> Command:
    chargeback.ok("periods")
    chargeback.ok("topics", "create", "--partitions", "2")
    _beat(chargeback, dict.fromkeys(("ingest", "scheduler", "publisher"), ""))
    return chargeback


def _written(chargeback: Command, change: Callable[[Transaction], object]) -> None:
    store = Store(chargeback.options[1])
    with store.begin() as transaction:
        change(transaction)
    store.close()


def _beat(chargeback: Command, roles: dict[str, str]) -> None:
    """A process does that, and no other."""

    def beat(transaction: Transaction) -> None:
        heartbeats.remove(transaction, "worker")
        if roles:
            heartbeats.write(transaction, "worker", roles, 1)

    _written(chargeback, beat)


def _found(chargeback: Command, code: int = 0) -> dict[str, list[tuple[str, str]]]:
    ended = chargeback("doctor", "-o", "json")
    assert ended.code == code, ended
    found: dict[str, list[tuple[str, str]]] = {}
    for row in ended.json["checks"]:
        assert row["level"] == "ok" or (row["fix"] and row["fault"]), row
        found.setdefault(row["check"], []).append((row["level"], row["detail"]))
    return found


def test_all_is_well(healthy: Command, memory_broker: MemoryBroker) -> None:
    found = _found(healthy)
    assert {level for rows in found.values() for level, _ in rows} == {"ok"}
    assert found.keys() >= {"versions", "codecs", "settings", "time zone", "database", "schema"}
    assert found["ingest"] == [("ok", "0 messages of usage-events are yet to be read")]
    memory_broker.put("usage-events", b"one", partition=1)
    detail = "1 messages of usage-events are yet to be read, and the group chargeback has no member"
    assert _found(healthy)["ingest"] == [("warn", detail)]
    assert "ok    database" in healthy.ok("doctor").out


def test_a_broker_that_is_away_ends_with_4(healthy: Command, memory_broker: MemoryBroker) -> None:
    memory_broker.away = True
    assert _found(healthy, 4)["broker"][0][0] == "fail"


def test_the_time_of_the_broker_is_compared_where_it_is_told(
    healthy: Command, memory_broker: MemoryBroker
) -> None:
    untold = ("ok", "the broker does not tell what time it is")
    assert untold in _found(healthy)["clock"]
    memory_broker.clock = app.now_us() // 1000
    agrees = ("ok", "that of the brokers' controller and ours agree to 5 s")
    assert agrees in _found(healthy)["clock"]
    for ahead_ms, told in ((3_600_000, "s ahead of that"), (-3_600_000, "s behind that")):
        memory_broker.clock = app.now_us() // 1000 + ahead_ms
        [(level, detail)] = [row for row in _found(healthy)["clock"] if row[0] != "ok"]
        assert (level, told in detail) == ("warn", True), detail


def test_the_label_that_makes_too_many_totals_is_named(
    chargeback: Command, memory_broker: MemoryBroker
) -> None:
    labelled = chargeback.having("--set", "grain.labels=run", "--set", "grain.totals_max=2")
    events = [usage(f"e{number}", metadata={"run": number}) for number in range(3)]
    labelled.ok("ingest", "-", stdin=b"\n".join(events))
    labelled.ok("topics", "create")
    detail = (
        "2026-10 has 3 usage totals, more than grain.totals_max 2; the label 'run' has 3 values"
    )
    assert ("warn", detail) in _found(labelled)["grain"]


def test_missing_topics_end_with_3(chargeback: Command, memory_broker: MemoryBroker) -> None:
    rows = _found(chargeback, 3)["topic"]
    assert [level for level, _ in rows] == ["fail", "fail"]
    assert "-> chargeback topics create" in chargeback("doctor").out


def test_a_usage_topic_that_forgets_ends_with_3(
    chargeback: Command, memory_broker: MemoryBroker
) -> None:
    forgets = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
    memory_broker.create_topic("usage-events", 1, forgets)
    memory_broker.create_topic("invoices", 1, {"retention.ms": "3600000"})
    rows = _found(chargeback, 3)["topic"]
    assert [level for level, _ in rows] == ["ok", "fail", "ok", "warn"]


@pytest.mark.parametrize(
    ("config", "warned"),
    [
        ({"message.timestamp.type": "CreateTime"}, True),
        ({"message.timestamp.before.max.ms": str(2**63 - 1)}, True),
        ({"message.timestamp.type": "LogAppendTime"}, False),
        ({"retention.ms": "-1"}, False),
        # What is older than it may be is refused, which its emitter hears of.
        ({"message.timestamp.before.max.ms": "604800000"}, False),
    ],
)
def test_usage_that_may_be_deleted_unread_for_its_emitters_time_is_warned_of(
    chargeback: Command, memory_broker: MemoryBroker, config: dict[str, str], warned: bool
) -> None:
    by_emitter = {"message.timestamp.type": "CreateTime"}
    memory_broker.create_topic("usage-events", 1, by_emitter | config)
    memory_broker.create_topic("invoices", 1, by_emitter)
    rows = [detail for level, detail in _found(chargeback)["topic"] if level != "ok"]
    assert [detail.split(":")[0] for detail in rows] == (
        ["usage-events goes by the time that an emitter gives"] if warned else []
    )


def test_topics_that_we_make_are_well(chargeback: Command, memory_broker: MemoryBroker) -> None:
    chargeback.ok("topics", "create")
    assert {level for level, _ in _found(chargeback)["topic"]} == {"ok"}
    found = memory_broker.describe("usage-events")
    assert found is not None
    assert found.config["message.timestamp.type"] == "LogAppendTime"


def test_every_wrong_setting_is_a_line(memory_broker: MemoryBroker) -> None:
    wrong = Command(["--set", "billing.timezon=UTC", "--set", "billing.due_days=-1"])
    rows = _found(wrong, 3)["settings"]
    assert [level for level, _ in rows] == ["fail", "fail"]


def test_a_database_that_is_not_there_yet_is_not_made(
    tmp_path: Path, memory_broker: MemoryBroker
) -> None:
    file = tmp_path / "books.db"
    found = _found(Command(["--database", f"sqlite:///{file}"]), 3)
    assert found["database"] == [("warn", f"{file} is not there yet")]
    assert not file.exists()


def test_a_folder_that_is_not_there_ends_with_4(
    tmp_path: Path, memory_broker: MemoryBroker
) -> None:
    found = _found(Command(["--database", f"sqlite:///{tmp_path}/none/books.db"]), 4)
    assert found["disk"][0][0] == "fail"


def test_a_grain_that_does_not_fit_ends_with_3(healthy: Command) -> None:
    found = _found(healthy.having("--set", "grain.labels=model"), 3)
    assert found["grain"][0][0] == "fail"


def test_what_waits_for_a_person_is_warned_of(
    healthy: Command, usage_file: str, memory_broker: MemoryBroker
) -> None:
    healthy("ingest", "-", stdin=b"no event\n")
    healthy.ok("ingest", usage_file)
    found = _found(healthy)
    assert found["quarantine"] == [("warn", "1 refused events are in quarantine")]
    assert "2023-11 waits for chargeback close 2023-11" in found["periods"][0][1]


def _closed(healthy: Command, usage_file: str, at_us: int) -> None:
    healthy.ok("ingest", usage_file)
    healthy.ok("close", "2023-11")
    change = sa.text("UPDATE outbox SET created_us = :at")
    _written(healthy, lambda transaction: transaction.execute(change, [{"at": at_us}]))


def test_invoices_of_a_moment_ago_are_still_to_be_published_and_that_is_well(
    healthy: Command, usage_file: str, memory_broker: MemoryBroker
) -> None:
    _closed(healthy, usage_file, app.now_us() - 60_000_000)
    assert "outbox" not in _found(healthy)


def test_invoices_that_wait_for_long_ask_for_a_publisher_or_what_keeps_it(
    healthy: Command, usage_file: str, memory_broker: MemoryBroker
) -> None:
    _closed(healthy, usage_file, app.now_us() - 1_860_000_000)
    assert "messages wait to be published" in _found(healthy)["outbox"][0][1]
    assert "-> See what keeps the publisher" in healthy.ok("doctor").out
    _beat(healthy, {"scheduler": ""})
    assert "-> chargeback run --role publisher" in healthy.ok("doctor").out


def test_one_parked_receiver_does_not_hide_that_nothing_is_published(
    healthy: Command, usage_file: str, memory_broker: MemoryBroker
) -> None:
    _closed(healthy, usage_file, 1)

    def park(transaction: Transaction, count: int) -> None:
        heads = outbox.heads(transaction, count)
        outbox.park(transaction, {head.message_id: "it is too large" for head in heads})

    _written(healthy, lambda transaction: park(transaction, 1))
    assert ["are parked" in detail for _, detail in _found(healthy)["outbox"]] == [True, False]
    _written(healthy, lambda transaction: park(transaction, 1_000))
    assert ["are parked" in detail for _, detail in _found(healthy)["outbox"]] == [True]


def test_who_is_not_at_work_is_named_and_what_others_wait_for(healthy: Command) -> None:
    assert [level for level, _ in _found(healthy)["worker"]] == ["ok"]
    _beat(healthy, {"ingest": "broker:9092 does not answer", "api": ""})
    assert _found(healthy)["worker"][1:] == [
        ("warn", "ingest at worker waits for broker:9092 does not answer"),
        ("warn", "nobody has the role scheduler or publisher"),
    ]
    assert "-> chargeback run --role scheduler --role publisher" in healthy.ok("doctor").out
    _beat(healthy, {})
    assert _found(healthy)["worker"] == [("warn", "none is running")]


def test_messages_that_are_gone_before_anybody_read_are_not_counted_as_waiting(
    healthy: Command, memory_broker: MemoryBroker
) -> None:
    for _ in range(5):
        memory_broker.put("usage-events", b"one", partition=1)
    log = memory_broker.log(TopicPartition("usage-events", 1))
    assert log is not None
    log.delete_before(3)
    [(_, detail)] = _found(healthy)["ingest"]
    assert detail.startswith("2 messages of usage-events are yet to be read")


def test_a_month_that_is_being_closed_soon_after_it_is_due_is_well(
    healthy: Command, usage_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = healthy.having("--set", "billing.first_period=2023-11")
    healthy.ok("ingest", usage_file)
    change = sa.text("UPDATE billing_period SET state = 'closing', state_before = 'open'")
    _written(healthy, lambda transaction: transaction.execute(change))
    due_us = to_us(datetime(2023, 12, 3, tzinfo=UTC))
    for minutes, warned in ((1, False), (59, False), (61, True)):
        monkeypatch.setattr(app, "now_us", lambda at=due_us + minutes * 60_000_000: at)
        assert ("periods" in _found(healthy)) is warned, minutes


def test_postgresql_tells_how_many_connections_it_has_left(
    healthy: Command, memory_broker: MemoryBroker
) -> None:
    told = [detail for _, detail in _found(healthy)["database"] if "connections" in detail]
    if healthy.options[1].startswith("sqlite"):
        assert told == []
    else:
        [detail] = told
        assert re.fullmatch(r"[1-9]\d* of \d+ connections are in use", detail)
