"""Closing by hand: over, ingested to the end, and once."""

import pytest

from chargeback_worker.app import App
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.pipeline import offsets
from chargeback_worker.store import Store
from tests.support.command import Command

EVENT = (
    b'{"usage_id": "u1", "timestamp": "2026-09-14T10:00:00Z", "team_id": "A", "user_id": "x",'
    b' "resource_type": "query", "quantity": 3, "cost_usd": 1.25}\n'
)


@pytest.fixture
def behind(chargeback: Command, ready_url: str, memory_broker: MemoryBroker) -> Command:
    """A worker has read nothing yet of a topic that holds two messages."""
    chargeback.ok("ingest", "-", stdin=EVENT)
    memory_broker.create_topic("usage-events", 1)
    for value in (b"one", b"two"):
        memory_broker.put("usage-events", value, partition=0)
    store = Store(ready_url)
    offsets.first_seen(store, "usage-events", 0, topic_id=None, position=0, now_us=1)
    store.close()
    return chargeback


def test_a_month_waits_for_ingest(behind: Command) -> None:
    ended = behind("close", "2026-09")
    assert ended.code == 5
    assert "usage-events:0 at 0 of 2" in ended.err
    assert "--force" in ended.err
    assert behind.ok("invoices", "list", "-o", "json").json["invoices"] == []


def test_force_skips_that_with_a_reason_and_is_audited(behind: Command) -> None:
    without = behind("close", "2026-09", "--force")
    assert without.code == 2
    assert "a reason is required" in without.err
    forced = behind.ok("close", "2026-09", "--force", "--reason", "year end", "-o", "json").json
    assert forced["close"]["forced"] is True
    assert forced["close"]["reason"] == "year end"
    acts = behind.ok("audit", "-o", "json").json["audit"]
    assert ("close.force", "year end") in {(act["action"], act["reason"]) for act in acts}


def test_a_broker_that_is_away_forbids_it(behind: Command, memory_broker: MemoryBroker) -> None:
    memory_broker.away = True
    for force in ((), ("--force", "--reason", "year end")):
        ended = behind("close", "2026-09", *force)
        assert ended.code == 4
        assert "Whether these books are older than their topics cannot be seen" in ended.err


def test_a_broker_that_goes_away_meanwhile_is_waited_for_and_not_passed_by(
    behind: Command, memory_broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare = App.compare_books_of_a_topic

    def then_goes_away(app: App) -> None:
        compare(app)
        memory_broker.away = True

    monkeypatch.setattr(App, "compare_books_of_a_topic", then_goes_away)
    ended = behind("close", "2026-09")
    assert ended.code == 4
    assert "Start the broker and try again." in ended.err
    assert "--force" not in ended.err


def test_a_topic_that_is_gone_forbids_it_unless_forced(behind: Command) -> None:
    renamed = behind.having("--set", "kafka.usage_topic=gone")
    ended = renamed("close", "2026-09")
    assert ended.code == 4
    assert "Whether all usage of 2026-09 is ingested cannot be seen" in ended.err
    assert "chargeback close 2026-09 --force --reason TEXT" in ended.err
    # The broker has just answered.
    assert "Start the broker" not in ended.err
    assert "kafka.usage_topic" in ended.err
    renamed.ok("close", "2026-09", "--force", "--reason", "year end")


def test_where_only_files_are_read_no_broker_is_asked(
    chargeback: Command, memory_broker: MemoryBroker
) -> None:
    memory_broker.away = True
    chargeback.ok("ingest", "-", stdin=EVENT)
    closed = chargeback.ok("close", "2026-09", "-o", "json").json["close"]
    assert (closed["booked_usd"], closed["invoices"]) == ("1.25", "1")
    assert chargeback.ok("offsets", "show").err == ""


def test_a_closed_month_is_closed_already_even_with_the_broker_away(
    behind: Command, memory_broker: MemoryBroker
) -> None:
    behind.ok("close", "2026-09", "--force", "--reason", "year end")
    memory_broker.away = True
    again = behind.ok("close", "2026-09")
    assert "was closed before; nothing was changed" in again.err


def test_a_rehearsal_writes_nothing(chargeback: Command) -> None:
    chargeback.ok("ingest", "-", stdin=EVENT)
    told = chargeback.ok("close", "2026-09", "--dry-run", "-o", "json").json
    assert told["close"]["booked_usd"] == "1.25"
    assert told["close"]["dry_run"] is True
    (issued,) = told["invoices"]
    assert (issued["receiver"], issued["total"]) == ("team:A", "1.25")
    assert "Nothing was written." in chargeback.ok("close", "2026-09", "--dry-run").out
    assert chargeback.ok("invoices", "list", "-o", "json").json["invoices"] == []
    (period,) = chargeback.ok("periods", "-o", "json").json["periods"]
    assert period["state"] == "open"
