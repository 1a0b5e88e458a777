"""Publishing: every message at least once, in order for each key, and nothing marked too early."""

import pytest
import sqlalchemy as sa

from chargeback_worker.broker import Message, TopicPartition
from chargeback_worker.broker.memory import MemoryBroker, SendFault
from chargeback_worker.errors import Unavailable
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import from_us
from chargeback_worker.pipeline import publish as step
from chargeback_worker.pipeline.publish import PublishResult, publish, resign
from chargeback_worker.pipeline.release import NotParked, release
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store, audit, leases, parked
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.outbox import backlog
from chargeback_worker.store.tables import invoice as invoice_table
from chargeback_worker.store.tables import outbox
from tests.support.feed import Feed, usage
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, NOW_US, act, closed, issued

TOPIC = "invoices"
SENT_US = NOW_US + 1_000_000


class Line:
    """A publisher with its producer, and what has arrived on the topic."""

    def __init__(self, store: Store, broker: MemoryBroker, owner: str = "publisher") -> None:
        self.store = store
        self.broker = broker
        self.owner = owner

    def round(self, lease_s: float = 60) -> PublishResult | None:
        return publish(
            self.store,
            self.broker.producer(),
            TOPIC,
            owner=self.owner,
            now_us=SENT_US,
            lease_s=lease_s,
        )

    def drain(self) -> list[PublishResult]:
        """Rounds until one sends nothing."""
        done = []
        while (result := self.round()) is not None and result.sent:
            done.append(result)
        return done

    @property
    def arrived(self) -> list[Message]:
        reader = self.broker.reader()
        place = TopicPartition(TOPIC, 0)
        reader.assign([place])
        reader.seek_to_beginning([place])
        return reader.poll(0, 10_000).get(place, [])

    @property
    def waiting(self) -> int:
        with self.store.read() as transaction:
            return backlog(transaction).messages

    @property
    def ids(self) -> list[str]:
        return [_header(message, "ce_id") for message in self.arrived]


def _header(message: Message, name: str) -> str:
    return (dict(message.headers)[name] or b"").decode()


@pytest.fixture
def line(store: Store) -> Line:
    """October closed with two invoices, and late usage for team A in November, closed too."""
    feed = Feed(store)
    feed.send(usage("a", "1", team="A"), usage("b", "2", team="B"))
    closed(store)
    feed.send(usage("c", "3", team="A"))
    closed(store, NOVEMBER, now_us=AFTER_NOVEMBER_US)
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1)
    return Line(store, broker)


def _invoice(line: Line, place: int = 0) -> Invoice:
    return issued(line.store)[place]


def _keys(messages: list[Message]) -> list[tuple[str, str]]:
    return [((message.key or b"").decode(), _header(message, "seq")) for message in messages]


def test_every_message_arrives_once_in_order_for_each_key_and_the_end_of_a_month_last(
    line: Line,
) -> None:
    rounds = line.drain()

    assert _keys(line.arrived) == [
        ("team:A", "1"),
        ("team:B", "1"),
        ("2026-10", "1"),
        ("team:A", "2"),
        ("2026-11", "1"),
    ]
    assert [done.sent for done in rounds] == [2, 2, 1]
    assert line.waiting == 0
    assert len(set(line.ids)) == 5


def test_an_acknowledged_invoice_is_sent(line: Line) -> None:
    assert _invoice(line).status is Status.PENDING

    line.round()

    for place in (0, 1):
        found = _invoice(line, place)
        assert (found.status, found.published_at) == (Status.SENT, from_us(SENT_US))
        assert found.updated_at == from_us(SENT_US)
    with line.store.read() as transaction:
        marked = transaction.execute(
            sa.select(outbox.c.published_us, outbox.c.topic_partition, outbox.c.topic_offset)
            .where(outbox.c.published_us.is_not(None))
            .order_by(outbox.c.message_id)
        ).all()
    assert [tuple(row) for row in marked] == [(SENT_US, 0, 0), (SENT_US, 0, 1)]


@pytest.mark.parametrize("status", [Status.PAID, Status.OVERDUE, Status.CANCELLED])
def test_an_acknowledgement_changes_no_status_that_came_before_it(
    line: Line, status: Status
) -> None:
    with line.store.begin() as transaction:
        transaction.execute(
            sa.update(invoice_table)
            .where(invoice_table.c.invoice_id == _id_of(transaction.connection))
            .values(status=status.value)
        )

    line.drain()

    found = _invoice(line)
    assert (found.status, found.published_at) == (status, from_us(SENT_US))


def _id_of(connection: sa.Connection) -> str:
    statement = sa.select(invoice_table.c.invoice_id).where(
        invoice_table.c.number == "INV-202610-0001"
    )
    return str(connection.execute(statement).scalar_one())


def test_a_message_that_was_sent_but_not_marked_is_sent_again_the_same(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(step, "_mark", killed)
        with pytest.raises(KeyboardInterrupt):
            line.round()
    assert _invoice(line).status is Status.PENDING

    line.drain()

    first, again = line.arrived[0], line.arrived[2]
    assert (first.key, first.value, first.headers) == (again.key, again.value, again.headers)
    # What was not marked stands before what follows it.
    assert _keys(line.arrived)[:2] == _keys(line.arrived)[2:4]
    assert len(set(line.ids)) == 5


def test_what_was_not_acknowledged_is_sent_again_and_held_back_what_follows(line: Line) -> None:
    line.broker.fail_sends(SendFault.UNACKNOWLEDGED, SendFault.LOST)

    done = line.round()

    assert done is not None
    assert isinstance(done.failure, Unavailable)
    assert (done.sent, done.parked, line.waiting) == (0, 0, 5)
    line.drain()
    assert _keys(line.arrived) == [
        ("team:A", "1"),
        ("team:A", "1"),
        ("team:B", "1"),
        ("2026-10", "1"),
        ("team:A", "2"),
        ("2026-11", "1"),
    ]


def test_nothing_is_marked_while_the_broker_is_away(line: Line) -> None:
    line.broker.away = True

    done = line.round()

    assert done is not None
    assert done.failure is not None
    assert line.waiting == 5
    line.broker.away = False
    assert sum(done.sent for done in line.drain()) == 5


def test_a_refused_message_parks_its_receiver_and_the_end_of_its_month_alone(line: Line) -> None:
    line.broker.fail_sends(SendFault.REFUSED)

    done = line.round()

    assert done is not None
    assert (done.sent, done.parked, done.failure) == (1, 1, None)
    line.drain()
    assert _keys(line.arrived) == [("team:B", "1")]
    with line.store.read() as transaction:
        parked = transaction.execute(
            sa.select(outbox.c.key, outbox.c.parked).where(outbox.c.parked.is_not(None))
        ).all()
    assert [row.key for row in parked] == ["team:A"]
    assert "refuses the message" in parked[0].parked


def test_the_end_of_a_month_is_announced_although_another_month_is_held_up(line: Line) -> None:
    line.broker.fail_sends(SendFault.NONE, SendFault.REFUSED)

    line.drain()

    assert _keys(line.arrived) == [("team:A", "1"), ("team:A", "2"), ("2026-11", "1")]


MENDED = act(SENT_US, "max.message.bytes raised")


def _refused(line: Line, *faults: SendFault) -> None:
    """Messages of the first round end so; all that can be is sent then."""
    line.broker.fail_sends(*faults)
    line.round()
    line.drain()


def _parked(line: Line) -> dict[str, str | None]:
    with line.store.read() as transaction:
        return {row.key: row.reason for row in parked.listed(transaction, parked=True)}


def test_a_receiver_that_is_released_goes_on_in_its_order_and_its_month_ends(line: Line) -> None:
    _refused(line, SendFault.REFUSED)
    assert _keys(line.arrived) == [("team:B", "1")]

    assert release(line.store, MENDED, ["team:A"]) == ["team:A"]
    line.drain()

    assert _keys(line.arrived) == [
        ("team:B", "1"),
        ("team:A", "1"),
        ("2026-10", "1"),
        ("team:A", "2"),
        ("2026-11", "1"),
    ]
    assert len(set(line.ids)) == 5
    assert (line.waiting, _parked(line)) == (0, {})
    assert verify(line.store).clean


def test_who_released_it_and_why_is_kept(line: Line) -> None:
    _refused(line, SendFault.REFUSED)
    (refusal,) = _parked(line).values()

    release(line.store, MENDED)

    with line.store.read() as transaction:
        (row,) = audit.about(transaction, "outbox")
    assert (row.subject, row.action) == ("outbox:team:A", "outbox.release")
    assert (row.actor, row.reason, row.at_us) == (MENDED.actor, MENDED.reason, MENDED.now_us)
    assert row.before["refused"] == refusal
    assert row.before["ce_id"].endswith(":1")


def test_what_is_refused_once_more_is_parked_once_more(line: Line) -> None:
    _refused(line, SendFault.REFUSED)
    release(line.store, MENDED)

    line.broker.fail_sends(SendFault.REFUSED)
    done = line.round()

    assert done is not None
    assert (done.sent, done.parked) == (0, 1)
    assert "refuses the message" in done.refusals[0]
    assert list(_parked(line)) == ["team:A"]


def test_only_those_that_are_named_are_released(line: Line) -> None:
    _refused(line, SendFault.REFUSED, SendFault.REFUSED)
    assert list(_parked(line)) == ["team:A", "team:B"]

    assert release(line.store, MENDED, ["team:B"]) == ["team:B"]
    line.drain()

    assert _keys(line.arrived) == [("team:B", "1")]
    assert list(_parked(line)) == ["team:A"]
    assert release(line.store, MENDED) == ["team:A"]
    assert release(line.store, MENDED) == []


def test_one_that_is_not_parked_is_named_and_then_none_is_released(line: Line) -> None:
    _refused(line, SendFault.REFUSED)

    with pytest.raises(NotParked, match="'team:B'"):
        release(line.store, MENDED, ["team:A", "team:B"])
    with pytest.raises(ReasonMissing):
        release(line.store, act(SENT_US))

    assert list(_parked(line)) == ["team:A"]
    with line.store.read() as transaction:
        assert list(audit.about(transaction, "outbox")) == []


def test_a_round_is_bounded_and_the_rounds_together_leave_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "KEYS_MAX", 1)

    rounds = line.drain()

    assert [done.sent for done in rounds] == [1] * 5
    assert len(set(line.ids)) == 5


def test_one_publisher_works_at_a_time_and_the_next_when_it_resigns(line: Line) -> None:
    other = Line(line.store, line.broker, "other")
    line.round()

    assert other.round() is None
    resign(line.store, line.owner)
    assert other.round() is not None
    assert line.round() is None
    resign(line.store, line.owner)
    assert line.round() is None


def test_a_publisher_that_lost_its_lease_meanwhile_marks_nothing(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Line(line.store, line.broker, "other")
    send = step._send

    def slowly(*args: object) -> object:
        sent = send(*args)  # type: ignore[arg-type]
        with monkeypatch.context() as patched:
            patched.setattr(step, "_send", send)
            assert other.round() is not None
        return sent

    monkeypatch.setattr(step, "_send", slowly)

    assert line.round(lease_s=0) is None

    monkeypatch.undo()
    with line.store.begin() as transaction:
        assert leases.take(transaction, step.LEASE, "other", 0) is not None
    line.drain()
    assert len(set(line.ids)) == 5
    assert len(line.ids) == 7
