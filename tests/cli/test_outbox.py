"""What waits to be published, whose messages the broker refuses, and going on with them."""

import pytest

from chargeback_worker.broker.memory import MemoryBroker, SendFault
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.store import Store
from tests.support.command import Command
from tests.support.feed import usage
from tests.support.ledger import NOW_US

TEAMS = ("A", "B", "C")
FIRST = "INV-202609-0001"


@pytest.fixture
def refused(chargeback: Command, ready_url: str, memory_broker: MemoryBroker) -> Command:
    """A closed month with an invoice to each of three teams; the broker refuses that to A."""
    for topic in ("usage-events", "invoices"):
        memory_broker.create_topic(topic, 1)
    events = (usage(team, team=team, day="2026-09-03") for team in TEAMS)
    chargeback.ok("ingest", "-", stdin=b"\n".join(events))
    chargeback.ok("close", "2026-09")
    _round(ready_url, memory_broker, SendFault.REFUSED)
    return chargeback


def _round(url: str, broker: MemoryBroker, *faults: SendFault) -> None:
    store = Store(url)
    broker.fail_sends(*faults)
    publish(store, broker.producer(), "invoices", owner="publisher", now_us=NOW_US)
    store.close()


def test_who_is_parked_is_listed_with_the_reason(refused: Command) -> None:
    listed = refused.ok("outbox", "list", "-o", "json").json
    assert [(row["receiver"], row["state"]) for row in listed["outbox"]] == [
        ("2026-09", "waiting"),
        ("team:A", "parked"),
    ]
    (row,) = refused.ok("outbox", "list", "--parked", "-o", "json").json["outbox"]
    assert (row["receiver"], row["invoice_number"], row["messages"]) == ("team:A", FIRST, "1")
    assert (row["period"], row["seq"], row["type"]) == (
        "2026-09",
        "1",
        "chargeback.invoice.issued.v1",
    )
    assert int(row["size_bytes"]) > 500
    assert "refuses the message for ever" in row["reason"]
    told = refused.ok("outbox", "list", "--parked").out
    assert "team:A" in told
    assert row["reason"] in told
    csv = refused.ok("outbox", "list", "-o", "csv").out.splitlines()
    assert csv[0].startswith("receiver,state,messages,")
    assert len(csv) == 3


def test_the_list_is_paged(refused: Command) -> None:
    first = refused.ok("outbox", "list", "--limit", "1", "-o", "json").json
    assert [row["receiver"] for row in first["outbox"]] == ["2026-09"]
    last = refused.ok("outbox", "list", "--cursor", first["next_cursor"], "-o", "json").json
    assert [row["receiver"] for row in last["outbox"]] == ["team:A"]
    assert last["next_cursor"] is None


def test_whoever_looks_is_told_what_to_do(refused: Command) -> None:
    shown = refused.ok("invoices", "show", FIRST)
    assert "is not published" in shown.err
    assert "See: chargeback outbox list --parked" in shown.err
    assert "not published" not in refused.ok("invoices", "show", "INV-202609-0002").err
    (period,) = refused.ok("periods", "-o", "json").json["periods"]
    assert any("chargeback outbox list --parked" in words for words in period["waits_for"])
    checks = refused.ok("doctor", "-o", "json").json["checks"]
    (found,) = (row for row in checks if row["check"] == "outbox")
    assert found["detail"].startswith("messages to team:A are parked: ")
    assert found["fix"] == "Mend that, then: chargeback outbox release --reason TEXT"


def test_once_it_is_released_it_is_published_and_the_month_ends(
    refused: Command, ready_url: str, memory_broker: MemoryBroker
) -> None:
    because = ("--reason", "the topic takes more")
    done = refused.ok("outbox", "release", "team:A", *because, "-o", "json").json
    assert done == {"released": [{"receiver": "team:A"}]}
    for _ in range(2):
        _round(ready_url, memory_broker)
    assert refused.ok("outbox", "list", "-o", "json").json["outbox"] == []
    assert refused.ok("invoices", "show", FIRST, "-o", "json").json["invoice"]["status"] == "sent"
    (period,) = refused.ok("periods", "-o", "json").json["periods"]
    assert period["waits_for"] == []
    acts = refused.ok("audit", "-o", "json").json["audit"]
    assert ("outbox.release", "outbox:team:A", "the topic takes more") in {
        (act["action"], act["subject"], act["reason"]) for act in acts
    }
    assert "No receiver is parked" in refused.ok("outbox", "release", *because).err


def test_it_needs_a_reason_and_a_receiver_that_is_parked(refused: Command) -> None:
    ended = refused("outbox", "release", "team:A")
    assert (ended.code, "a reason is required" in ended.err) == (2, True)
    ended = refused("outbox", "release", "team:B", "--reason", "to see")
    assert (ended.code, "'team:B'" in ended.err) == (5, True)
    assert len(refused.ok("outbox", "list", "--parked", "-o", "json").json["outbox"]) == 1
