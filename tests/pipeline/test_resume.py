"""Books from a backup beside topics that went on: held, read back, and no number used again."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.errors import BrokerUnreachable
from chargeback_worker.broker.memory import SendFault
from chargeback_worker.broker.memory_log import Transaction as Transacted
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.message import told
from chargeback_worker.period import Period
from chargeback_worker.pipeline.change_status import change_status
from chargeback_worker.pipeline.closing.held import BooksHeld
from chargeback_worker.pipeline.create_invoice import create_invoice
from chargeback_worker.pipeline.mark_overdue import mark_overdue
from chargeback_worker.pipeline.offsets import accept_gap
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.pipeline.resume import UsedTwice, resume
from chargeback_worker.reports.audit import audited
from chargeback_worker.reports.figures import figures
from chargeback_worker.reports.periods import list_periods
from chargeback_worker.reports.verify import verify
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.tables import audit, invoice
from tests.support.backups import GROUP, INVOICES, USAGE, Books, NewBooks
from tests.support.books_on_topic import assert_consistent
from tests.support.feed import usage
from tests.support.ledger import (
    AFTER_NOVEMBER_US,
    NOVEMBER,
    OCTOBER,
    TERMS,
    act,
    closed,
    issued,
)

OCTOBER_DELAY = timedelta(hours=48)


@pytest.fixture
def books(new_books: NewBooks) -> Iterator[Books]:
    with new_books() as made:
        yield made


@pytest.fixture
def restored(books: Books) -> Books:
    """October was closed and published for teams A and B after the backup, which then came back;
    meanwhile team C has used something too."""
    books.feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    backup = books.backup()
    closed(books.store)
    assert books.publish() == 3
    books.restore(backup)
    books.feed.send(usage("c", "4", team="C"), usage("a2", "3", team="A"))
    return books


def _numbers(books: Books, period: Period = OCTOBER) -> dict[str, str]:
    return {row.invoice_number: row.receiver.key for row in issued(books.store, period)}


def _topic(books: Books) -> list[tuple[str, str]]:
    """Key and id of each message on the topic, without what is derived of an invoice."""
    found = []
    for message in books.topic:
        said = told(message.headers)
        assert said is not None
        found.append(((message.key or b"").decode(), f"{said.ce_id.partition(':')[2]}"))
    return sorted(found)


def test_books_are_not_held_while_they_go_on_as_ever(books: Books) -> None:
    assert books.causes() == []
    books.feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    closed(books.store)
    assert books.causes() == []
    # What was stored by the broker without anybody hearing of it is known all the same.
    books.broker.fail_sends(SendFault.UNACKNOWLEDGED, SendFault.UNACKNOWLEDGED)
    books.publish_round()
    assert len(books.topic) == 2
    assert books.causes() == []
    books.publish()
    assert books.causes() == []
    assert books.hold() is None
    assert books.resume() is None
    assert [row["action"] for row in audited(books.store)["audit"]] == ["close"]


def test_books_from_before_a_close_are_held_and_say_why(restored: Books) -> None:
    hold = restored.hold()
    assert hold is not None
    assert any("holds a message that the books never wrote" in cause for cause in hold.because)
    (period,) = list_periods(restored.store, now_us=AFTER_NOVEMBER_US, close_delay=OCTOBER_DELAY)[
        "periods"
    ]
    assert "chargeback db resume, as these books are older than their topics" in period["waits_for"]
    assert figures(restored.store, AFTER_NOVEMBER_US, OCTOBER_DELAY).held
    # It stands, whoever looks, and whether the broker answers or not.
    restored.broker.away = True
    assert restored.hold() == hold


def test_a_database_that_never_published_is_held_beside_a_topic_with_messages(
    books: Books, new_books: NewBooks
) -> None:
    books.feed.send(usage("a", team="A"))
    closed(books.store)
    books.publish()
    with new_books() as other:
        other.broker = books.broker
        assert other.hold() is not None


def test_everything_that_takes_a_number_or_writes_a_message_is_refused(books: Books) -> None:
    books.feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"), usage("c", team="C"))
    closed(books.store)
    books.publish()
    first, second, third = issued(books.store)
    _become(books, first, Status.CANCELLED)
    backup = books.backup()
    _become(books, third, Status.PAID)
    books.publish()
    books.restore(backup)
    assert books.hold() is not None
    before = _written(books)

    books.feed.send(usage("late", team="A"))
    refused: list[Callable[[], object]] = [
        lambda: closed(books.store, NOVEMBER, now_us=AFTER_NOVEMBER_US),
        lambda: reopen(books.store, OCTOBER, act(reason="a rule was missing")),
        lambda: _become(books, second, Status.PAID),
        lambda: _become(books, second, Status.CANCELLED),
        lambda: create_invoice(
            books.store, OCTOBER, Requested(first.receiver), TERMS, act(AFTER_NOVEMBER_US)
        ),
        lambda: mark_overdue(books.store, AFTER_NOVEMBER_US + 60 * 86_400_000_000),
        books.publish_round,
    ]
    for attempt in refused:
        with pytest.raises(BooksHeld, match="older than their topics") as error:
            attempt()
        assert "chargeback db resume --reason TEXT" in error.value.hint
    assert _written(books) == before
    # A draft of a month that takes usage has no number and no message.
    create_invoice(books.store, NOVEMBER, Requested(Pair("A", None)), TERMS, act())


def _become(books: Books, found: Invoice, status: Status) -> None:
    change_status(books.store, found.invoice_id, status, TERMS, act(reason="so they say"))


def _written(books: Books) -> tuple[object, object]:
    with books.store.read() as transaction:
        last = transaction.execute(sa.text("SELECT period, last FROM invoice_series")).all()
        seqs = transaction.execute(sa.text("SELECT key, last FROM outbox_sequence")).all()
    return sorted(map(tuple, last)), sorted(map(tuple, seqs))


def test_an_unknown_message_is_found_behind_known_ones_that_came_later(books: Books) -> None:
    books.partitions = 1
    books.feed.send(usage("z", team="Z"))
    closed(books.store)
    backup = books.backup()
    books.feed.send(usage("a", team="A"))
    closed(books.store, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    # Both receivers in one round: A's message of November comes before Z's of October.
    assert books.publish_round() == 2
    books.restore(backup)
    assert books.causes() != []


def test_a_group_that_has_read_further_than_the_books_holds_them(books: Books) -> None:
    place = TopicPartition(USAGE, 0)
    books.feed.send(usage("a"), usage("b"))
    backup = books.backup()
    books.feed.send(usage("c"))
    books.broker.group(GROUP).committed[place] = 3
    assert books.causes() == []
    books.restore(backup)
    assert books.causes() == ["group chargeback has read usage-events:0 up to 3, the books up to 2"]
    assert books.resume() is not None
    # What it had committed then is known now, and what it commits on its way is not more.
    assert books.causes() == []
    books.feed.send(usage("d"))
    books.broker.group(GROUP).committed[place] = 3
    assert books.causes() == []
    books.broker.group(GROUP).committed[place] = 9
    assert books.causes() != []


def test_a_log_that_was_counted_anew_does_not_make_the_books_older(books: Books) -> None:
    books.feed.send(usage("a"), usage("b"), usage("c"))
    books.broker.group(GROUP).committed[TopicPartition(USAGE, 0)] = 3
    accept_gap(books.store, USAGE, {0: (0, 1)}, act(reason="its end is lost for good"))
    assert books.causes() == []


def test_what_others_write_to_the_topic_and_markers_say_nothing(books: Books) -> None:
    books.broker.put(INVOICES, b"hello", key=b"k")
    transacted = Transacted()
    books.broker.put(INVOICES, b"x", key=b"k", transaction=transacted)
    transacted.commit()
    assert books.causes() == []
    books.feed.send(usage("a", team="A"))
    backup = books.backup()
    closed(books.store)
    books.publish()
    for partition in range(2):
        for _ in range(20):
            books.broker.put(INVOICES, b"hello", partition=partition)
    assert books.causes() == []
    books.restore(backup)
    assert books.causes() != []


def test_nothing_is_concluded_while_the_broker_is_away(restored: Books) -> None:
    restored.broker.away = True
    with pytest.raises(BrokerUnreachable):
        restored.hold()
    with pytest.raises(BrokerUnreachable):
        restored.resume()
    restored.broker.away = False
    assert restored.hold() is not None


def test_after_a_resume_numbers_and_seq_go_on_where_the_topic_ends(restored: Books) -> None:
    done = restored.resume()
    assert done is not None
    assert done.numbers == {OCTOBER: (0, 2)}
    assert (done.keys, done.messages, done.unknown, done.closes) == (3, 3, 3, ("2026-10:1",))

    closed(restored.store)
    assert _numbers(restored) == {
        "INV-202610-0003": "team:A",
        "INV-202610-0004": "team:B",
        "INV-202610-0005": "team:C",
    }
    restored.publish()
    assert _topic(restored) == [
        ("2026-10", "1"),
        ("2026-10", "1:2"),
        ("team:A", "1"),
        ("team:A", "2"),
        ("team:B", "1"),
        ("team:B", "2"),
        ("team:C", "1"),
    ]
    assert_consistent(restored.topic)
    assert verify(restored.store).mismatches == ()
    assert restored.causes() == []


def test_a_resume_is_audited_and_done_once(restored: Books) -> None:
    assert restored.resume() is not None
    assert restored.resume() is None
    (row,) = audited(restored.store)["audit"]
    assert (row["action"], row["subject"]) == ("db.resume", "topic:invoices")
    assert row["reason"] == "restored last night's backup"
    assert row["before"]["numbers"] == {"2026-10": 0}
    assert row["after"]["numbers"] == {"2026-10": 2}
    assert row["after"]["seqs"] == {"2026-10": 1, "team:A": 1, "team:B": 1}
    assert restored.hold() is None
    assert not figures(restored.store, AFTER_NOVEMBER_US, OCTOBER_DELAY).held


def test_a_resume_needs_a_reason(restored: Books) -> None:
    with pytest.raises(ReasonMissing):
        resume(restored.store, restored.world, act())
    assert audited(restored.store)["audit"] == []


def test_what_a_resume_left_out_is_void_and_verify_sees_to_it(restored: Books) -> None:
    restored.resume()
    closed(restored.store)
    with restored.store.begin() as transaction:
        for name in ("guard_invoice_frozen", "guard_audit_kept"):
            _drop_guard(transaction.connection, name)
        transaction.execute(
            sa.update(invoice)
            .where(invoice.c.number == "INV-202610-0003")
            .values(number="INV-202610-0001")
        )
    found = {row.subject for row in verify(restored.store).mismatches if row.check == "numbers"}
    assert found == {"INV-202610-0001", "INV-202610-0003"}
    with restored.store.begin() as transaction:
        transaction.execute(sa.delete(audit).where(audit.c.action == "db.resume"))
    checks = {row.check for row in verify(restored.store).mismatches}
    assert {"numbers", "order"} <= checks


def _drop_guard(connection: sa.Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        table = name.removeprefix("guard_").rpartition("_")[0]
        connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        return
    triggers = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE ?", (f"{name}%",)
    )
    for (trigger,) in triggers.fetchall():
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}")


def test_the_status_that_the_books_hold_is_the_last_that_is_told(books: Books) -> None:
    books.feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    closed(books.store)
    books.publish()
    backup = books.backup()
    first, _ = issued(books.store)
    _become(books, first, Status.PAID)
    books.publish()
    books.restore(backup)

    done = books.resume()

    assert done is not None
    assert (done.told, done.numbers, done.unknown) == (1, {}, 1)
    books.publish()
    last = [message for message in books.topic if message.key == b"team:A"][-1]
    assert dict(last.headers)["seq"] == b"3"
    assert b'"status":"sent"' in (last.value or b"")
    assert verify(books.store).mismatches == ()


def test_what_was_sent_and_is_not_known_to_be_is_sent_again_the_same(books: Books) -> None:
    books.feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    closed(books.store)
    backup = books.backup()
    books.publish()
    books.restore(backup)
    assert books.causes() == []
    books.publish()
    assert len(books.topic) == 6
    assert_consistent(books.topic)


def test_books_that_gave_numbers_out_before_anybody_looked_are_not_resumed(
    restored: Books,
) -> None:
    closed(restored.store)
    assert restored.hold() is not None
    with pytest.raises(UsedTwice, match="which these books have given out") as error:
        restored.resume()
    assert "Restore the backup once more" in error.value.hint
    assert restored.hold() is not None
    assert [row["action"] for row in audited(restored.store)["audit"]] == ["close"]
