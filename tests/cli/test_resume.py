"""`chargeback db resume`: after a restore, by command, and the commands that wait for it."""

import pytest

from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.store import Store
from tests.support.backups import back_up, restore
from tests.support.command import Command

INVOICES = "invoices"
EVENTS = (
    b'{"usage_id": "u1", "timestamp": "2026-09-14T10:00:00Z", "team_id": "A", "cost_usd": 1.25}\n'
    b'{"usage_id": "u2", "timestamp": "2026-09-14T10:00:00Z", "team_id": "B", "cost_usd": 2}\n'
)
LATE = b'{"usage_id": "u3", "timestamp": "2026-09-15T10:00:00Z", "team_id": "A", "cost_usd": 3}\n'
RESUME = ("db", "resume", "--reason", "restored last night's backup")


@pytest.fixture
def topics(memory_broker: MemoryBroker) -> MemoryBroker:
    for topic in ("usage-events", INVOICES):
        memory_broker.create_topic(topic, 2)
    return memory_broker


@pytest.fixture
def restored(chargeback: Command, ready_url: str, topics: MemoryBroker) -> Command:
    """Books of August were published; those of September were too, and are lost since."""
    august = EVENTS.replace(b"-09-", b"-08-").replace(b'": "u', b'": "v')
    chargeback.ok("ingest", "-", stdin=august)
    chargeback.ok("close", "2026-08")
    _publish(ready_url, topics)
    chargeback.ok("ingest", "-", stdin=EVENTS)
    backup = back_up(ready_url)
    chargeback.ok("close", "2026-09")
    _publish(ready_url, topics)
    restore(ready_url, backup)
    return chargeback


def _publish(url: str, broker: MemoryBroker) -> None:
    store = Store(url)
    while (done := publish(store, broker.producer(), INVOICES, owner="p", now_us=1)) and done.sent:
        pass
    store.close()


@pytest.mark.parametrize(
    "command",
    [
        ("close", "2026-09"),
        ("close", "2026-09", "--force", "--reason", "year end"),
        ("reopen", "2026-08", "--reason", "a rule was missing"),
        ("invoices", "status", "INV-202608-0001", "paid"),
        ("invoices", "create", "--period", "2026-08", "--team", "A"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_what_takes_a_number_or_tells_something_is_refused(
    restored: Command, command: tuple[str, ...]
) -> None:
    ended = restored(*command)
    assert ended.code == 5
    assert "Closing and publishing are held" in ended.err
    assert "-> Where this is the right database" in ended.err
    assert "chargeback db resume --reason TEXT" in ended.err


def test_ingest_and_reports_go_on(restored: Command) -> None:
    assert restored("close", "2026-09").code == 5
    assert restored.ok("ingest", "-", "-o", "json", stdin=LATE).json["files"][0]["accepted"] == "1"
    restored.ok("close", "2026-09", "--dry-run")
    restored.ok("verify")
    (september, _) = restored.ok("periods", "-o", "json").json["periods"]
    assert "chargeback db resume" in september["waits_for"][0]


def test_it_says_which_numbers_are_void_and_the_next_close_goes_on_after_them(
    restored: Command, ready_url: str, topics: MemoryBroker
) -> None:
    restored.ok("ingest", "-", stdin=LATE)
    done = restored.ok(*RESUME, "-o", "json").json["resume"]
    assert done["numbers"] == [
        {
            "period": "2026-09",
            "void_from": "INV-202609-0001",
            "void_to": "INV-202609-0002",
            "count": "2",
        }
    ]
    assert (done["messages"], done["unknown"], done["closes"]) == ("6", "3", ["2026-09:1"])
    restored.ok("close", "2026-09")
    rows = restored.ok("invoices", "list", "--period", "2026-09", "-o", "json").json["invoices"]
    assert [row["invoice_number"] for row in rows] == ["INV-202609-0004", "INV-202609-0003"]
    _publish(ready_url, topics)
    restored.ok("verify")
    restored.ok("close", "2026-09")
    (act, *_) = restored.ok("audit", "-o", "json").json["audit"][1:]
    assert (act["action"], act["reason"]) == ("db.resume", "restored last night's backup")


def test_it_is_told_to_people(restored: Command) -> None:
    told = restored.ok(*RESUME)
    assert "2026-09   INV-202609-0001   INV-202609-0002         2" in told.out
    assert "6 messages read, 3 of them unknown to these books" in told.out
    assert "Closes that only the topic knows: 2026-09:1" in told.out
    assert "Closing and publishing go on." in told.out


def test_a_second_time_there_is_nothing_to_do(restored: Command) -> None:
    restored.ok(*RESUME)
    again = restored.ok(*RESUME)
    assert again.out == ""
    assert again.err == "Nothing is held; nothing was changed.\n"
    assert restored.ok(*RESUME, "-o", "json").json == {"resume": None}
    acts = restored.ok("audit", "-o", "json").json["audit"]
    assert [act["action"] for act in acts].count("db.resume") == 1


def test_it_does_not_go_without_a_reason(restored: Command) -> None:
    ended = restored("db", "resume")
    assert ended.code == 2
    assert "a reason is required" in ended.err
    assert restored("close", "2026-09").code == 5


def test_it_does_not_go_without_the_broker_or_its_topic(
    restored: Command, topics: MemoryBroker
) -> None:
    assert restored("close", "2026-09").code == 5
    topics.away = True
    assert restored(*RESUME).code == 4
    assert restored("close", "2026-09").code == 5


def test_whether_the_books_are_older_is_known_before_anything_is_closed(
    restored: Command, topics: MemoryBroker
) -> None:
    topics.away = True
    for command in (("close", "2026-09"), ("close", "2026-09", "--force", "--reason", "now")):
        ended = restored(*command)
        assert ended.code == 4
        assert "Whether these books are older than their topics cannot be seen" in ended.err


def test_the_doctor_sees_it_before_anybody_was_refused(restored: Command) -> None:
    def found() -> list[tuple[str, str]]:
        rows = restored.ok("doctor", "-o", "json").json["checks"]
        return [(row["level"], row["fix"]) for row in rows if row["check"] == "books"]

    # The same is found of a wrong database, or of a second installation: to look comes first.
    right = (
        "See that this is the right database, and the only one of these topics (docs/restore.md)"
    )
    told = [("warn", f"{right}; then: chargeback db resume --reason TEXT")]
    assert found() == told
    assert restored("close", "2026-09").code == 5
    assert found() == told
    restored.ok(*RESUME)
    assert found() == []
