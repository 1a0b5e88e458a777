"""Books with everything in them: every way in, every way to end, closed, billed and published."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested, Snapshot
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.period import Period, to_us
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.change_status import change_status
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.create_invoice import create_invoice
from chargeback_worker.pipeline.dismiss import dismiss
from chargeback_worker.pipeline.ingest import Part, ingest
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.store import Store, quarantine, schema
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Door
from chargeback_worker.usage.event import RawEvent
from tests.support.feed import BYTES_MAX, NOW_US, Feed, usage
from tests.support.postgres import PostgresServer

ACT = Act("ada", NOW_US, "the month is over")
TERMS = Snapshot(tax_rate_nano=190_000_000)
DIRECTORY = {
    "teams": [
        {"team_id": "A", "members": [{"user_id": "x"}, {"user_id": "y", "from": "2026-11-10"}]},
        {"team_id": "B", "members": [{"user_id": "z", "name": "Zoe"}]},
    ]
}
RULES = [
    {"rule_id": "people", "rule_type": "by_team", "team_id": "B"},
    {"rule_id": "rent", "rule_type": "by_usage"},
]
_DECEMBER_US = to_us(datetime(2026, 12, 3, tzinfo=UTC))


@contextmanager
def whole_books(where: Path | PostgresServer) -> Iterator[Store]:
    """Such books in a SQLite file in that folder, or in a database of that server."""
    with ExitStack() as opened:
        if isinstance(where, Path):
            url = f"sqlite:///{where / 'whole.db'}"
        else:
            url = opened.enter_context(where.database())
        store = Store(url)
        opened.callback(store.close)
        schema.upgrade(store)
        fill(store)
        yield store


def fill(store: Store) -> None:
    """Two months closed by rules and published, one with late usage; every way in and to end."""
    feed, other = Feed(store), Feed(store, partition=1)
    apply_directory(store, DIRECTORY, ACT)
    save_rules(store, RULES, ACT)
    feed.send(*_usage("2026-10"), *_usage("2026-10"), b"no usage", b"", usage("oct-0", "9"))
    other.send(*_usage("2026-11"), usage("shared", "0.333333333", team=None, user_id=None))
    other.send(usage("ahead", day="2026-12-24"), usage("refund", "-2.5", team="C"), None)
    _replay(feed, 3)
    dismiss(store, 2, ACT)
    _close(store, Period(2026, 10), NOW_US)
    save_rules(store, [{**RULES[0], "enabled": False}], ACT)
    feed.send(usage("late", "0.004", day="2026-10-20"), usage("later", "7", day="2026-10-21"))
    file = feed.door(Door.FILE, "0123456789abcdef")
    lines = feed.read([usage("oct-0"), usage("of a file", team="B", day="2026-11-02")], 0)
    feed.ingest(Part(file.cursor_id, lines, 0, 3))
    _close(store, Period(2026, 11), _DECEMBER_US)
    save_rules(store, {"rule_id": "later", "rule_type": "by_user"}, ACT)
    _publish(store)
    feed.send(usage("open", day="2026-10-30"))
    _live_on(store)


def _live_on(store: Store) -> None:
    """A draft of an open month; of November's invoices one paid, one replaced, one cancelled."""
    act = Act("ada", _DECEMBER_US + 2, "the wrong team")
    december = Period(2026, 12)
    create_invoice(store, december, Requested(Pair(user="u"), due_days=3), TERMS, act)
    change_status(store, "INV-202611-0001", Status.PAID, TERMS, act)
    for number in ("INV-202611-0002", "INV-202611-0003"):
        change_status(store, number, Status.CANCELLED, TERMS, act)
    replaced = Requested(Pair("B"), tax_rate_nano=70_000_000)
    create_invoice(store, Period(2026, 11), replaced, TERMS, act)


def _usage(month: str) -> Iterator[bytes]:
    for number in range(12):
        yield usage(
            f"{month[-2:]}-{number}" if month != "2026-10" else f"oct-{number}",
            f"{number}.{number:09d}",
            day=f"{month}-{number + 1:02d}",
            team=["A", "B", None][number % 3],
            user_id=["x", "y", "z", None][number % 4],
            agent_id=[None, "g"][number % 2],
            resource_type=["query", "compute"][number % 2],
        )


def _replay(feed: Feed, number: int) -> None:
    with feed.store.read() as transaction:
        raw = quarantine.get(transaction, number).raw
    assert raw is not None
    cursor = feed.door(Door.REPLAY, "quarantine")
    feed.now_us, before = to_us(datetime(2026, 12, 24, 13, tzinfo=UTC)), feed.now_us
    events = feed.read([RawEvent(raw.value)], number)
    feed.now_us = before
    ingest(
        feed.store,
        [Part(cursor.cursor_id, events, replays=True)],
        zone=feed.zone,
        quarantine_bytes_max=BYTES_MAX,
        now_us=NOW_US,
        act=ACT,
    )


def _close(store: Store, period: Period, now_us: int) -> None:
    close(store, period, TERMS, Act("ada", now_us, None), owner="closer")


def _publish(store: Store) -> None:
    broker = MemoryBroker()
    broker.create_topic("invoices", 1)
    producer = broker.producer()
    sent = 1
    while sent:
        done = publish(store, producer, "invoices", owner="publisher", now_us=_DECEMBER_US + 1)
        sent = done.sent if done else 0
    producer.close()
    broker.close()
