"""A store, the watcher's books beside it, and what each step must do to both."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import event

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.broker import TopicPartition
from chargeback_worker.broker.memory import MemoryBroker
from chargeback_worker.errors import ChargebackError
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Kind,
    LineKind,
    Status,
    number_order,
)
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.period import Period, billing_day, from_us, to_us
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store
from chargeback_worker.store.audit import Act
from chargeback_worker.store.periods import PeriodState
from tests.support.feed import Feed, usage
from tests.support.invoice_life.books import Billed, Books
from tests.support.invoice_life.drawn import Used
from tests.support.invoice_life.laws import LAWS, the_topic_is_in_order
from tests.support.invoice_life.seen import Told, look
from tests.support.made_months import everything

TOPIC = "invoices"
BEGINS_US = to_us(datetime(2026, 12, 3, 12, tzinfo=UTC))
"""Three of the months are over, the fourth has begun."""
_MINUTE_US = 60_000_000
VERIFIED_EVERY = 8

Opened = AbstractContextManager[Store]


class Witness:
    """What was done is counted in `reached`, which may be one for many walks."""

    def __init__(self, opened: Opened, reached: Counter[str]) -> None:
        self._held = ExitStack()
        self.store = self._held.enter_context(opened)
        self.books = Books()
        self.reached = reached
        self.now_us = BEGINS_US
        self.feed = Feed(self.store, now_us=self.now_us)
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, 1)
        self.seen = look(self.store)
        self._events = 0
        self._looks = 0

    def close(self) -> None:
        self._held.close()

    def happened(self, what: str) -> None:
        self.reached[what] += 1
        event(what)

    def today(self, plus_days: int = 0) -> date:
        return billing_day(from_us(self.now_us), UTC) + timedelta(days=plus_days)

    def ends_us(self, period: Period) -> int:
        return to_us(period.bounds(UTC)[1])

    def act(self, reason: str | None = None) -> Act:
        """By somebody, a minute later."""
        self.now_us += _MINUTE_US
        return Act("ada", self.now_us, reason)

    def look(self) -> None:
        """All laws, and every few steps what the books say of themselves."""
        self.seen = look(self.store)
        for law in LAWS:
            law(self.seen, self.books)
        self._looks += 1
        if self._looks % VERIFIED_EVERY == 0:
            self.verify()

    def look_again(self) -> None:
        """In the middle of a step, before the watcher has noted all of it."""
        self.seen = look(self.store)

    def verify(self) -> None:
        assert verify(self.store).mismatches == ()

    def refused(self, error: type[ChargebackError], doing: Callable[[], object]) -> str:
        """It is refused with that, says what to do next, and changes no row. What it says."""
        before = everything(self.store)
        with pytest.raises(error) as refusal:
            doing()
        assert type(refusal.value) is error
        assert everything(self.store) == before
        assert refusal.value.hint
        self.happened(f"refused: {error.__name__}")
        return refusal.value.message

    def without_effect(self, doing: Callable[[], object]) -> None:
        before = everything(self.store)
        doing()
        assert everything(self.store) == before

    def send(self, events: Iterable[Used]) -> None:
        values = []
        for one in events:
            self._events += 1
            billed_in = self.books.use(one)
            if billed_in != one.month:
                again = bool(self.books.month(one.month).booked[1:])
                self.happened("late usage" + " after a reopening" * again)
            values.append(
                usage(
                    f"e{self._events}",
                    one.cost,
                    day=one.on,
                    team=one.team,
                    user_id=one.user,
                    resource_type=one.resource_type,
                )
            )
        self.feed.now_us = self.now_us
        assert set(self.feed.send(*values)) == {"accepted"}

    # What steps have written.

    def billed_by_close(self, period: Period) -> None:
        """Its invoices, with their numbers in the order of receivers, are as it decided."""
        month = self.books.month(period)
        decided, revision = month.decided[-1], len(month.booked)
        # Of what earlier closes of the month billed, for references.
        before = [row.frozen for row in self.books.billed.values() if row.frozen.period == period]
        for invoice in self.seen.final(period):
            if invoice.revision != revision:
                continue
            assert (invoice.issued_at is None) == self.books.is_manual(period)
            self.billed(invoice)
            self._check_lines(invoice)
            assert {decided.receiver(line.key.pair) for line in invoice.lines} == {invoice.receiver}
            own = {line.key.pair for line in invoice.lines if line.origin == period}
            assert invoice.references == _references(invoice.receiver, own, before, revision)
            self._count(invoice)
        self.happened(
            "close" if revision == 1 else f"close again, approval {decided.terms.approval}"
        )

    def billed(self, invoice: Invoice, due_days: int | None = None) -> Billed:
        billed = self.books.bill(invoice)
        if invoice.issued_at is not None:
            self.check_due(invoice, due_days)
        return billed

    def check_due(self, invoice: Invoice, due_days: int | None = None) -> None:
        decided = self.books.month(invoice.period).decided[invoice.revision - 1]
        days = decided.days(invoice.receiver) if due_days is None else due_days
        expected = None if invoice.total < 0 else self.today(days)
        assert invoice.due_date == expected

    def _check_lines(self, invoice: Invoice) -> None:
        """Own lines are taxed by what their close decided, adjustments as what they change was."""
        for line in invoice.lines:
            adjusts = line.origin != invoice.period
            assert (line.kind is LineKind.ADJUSTMENT) == adjusts
            decided = self.books.month(line.origin).decided[-1]
            receiver = decided.receiver(line.key.pair)
            number, rate = self._changed(line, receiver) if adjusts else (None, None)
            assert line.original_invoice == number, line
            assert line.tax_rate == (decided.rate(receiver) if rate is None else rate), line

    def _changed(self, line: InvoiceLine, receiver: Pair) -> tuple[str | None, int | None]:
        """The first number, and the first rate, of what billed that pair in its month or, if
        nothing did, of what was billed to that receiver."""
        of_month = [
            row.frozen for row in self.books.billed.values() if row.frozen.period == line.origin
        ]
        of_month.sort(key=lambda row: (row.revision, row.ordinal))
        own = [(row, own) for row in of_month for own in row.lines if own.origin == row.period]
        carrying = [(row, each) for row, each in own if each.key.pair == line.key.pair]
        if any(row.receiver != receiver for row, _ in carrying):
            self.happened("adjustment of what another was billed")
        found = [row for row, _ in carrying] or [
            row for row in of_month if row.receiver == receiver
        ]
        rates = [each.tax_rate for row, each in carrying or own if row in found]
        numbers = [row.invoice_number for row in found if row.issued_at is not None]
        return min(numbers, key=number_order, default=None), next(iter(rates), None)

    def _count(self, invoice: Invoice) -> None:
        self.happened(f"invoice: {invoice.kind}")
        if invoice.kind is Kind.CREDIT and invoice.revision > 1:
            self.happened("credit as a correction")
        apart = invoice.receiver in self.books.month(invoice.period).asked
        if apart and invoice.receiver.user is not None:
            self.happened(f"billed apart, revision {min(invoice.revision, 2)}")
        if any(line.kind is LineKind.ADJUSTMENT for line in invoice.lines):
            self.happened("adjustment")

    def live(self) -> list[Invoice]:
        """What closes of months that are closed have billed and nobody has paid or cancelled."""
        return [
            row
            for row in sorted(self.seen.invoices.values(), key=lambda row: row.invoice_id)
            if row.final
            and row.status not in (Status.PAID, Status.CANCELLED)
            and self.seen.months[row.period].state is PeriodState.CLOSED
        ]

    def overdue(self) -> list[Billed]:
        """Sent, due before today, and with something to be paid."""
        return [
            billed
            for billed in self.books.billed.values()
            if billed.status is Status.SENT
            and billed.frozen.total > 0
            and billed.frozen.due_date is not None
            and billed.frozen.due_date < self.today()
        ]

    # Publishing.

    def heads(self) -> list[Told]:
        """What may be sent now, in the order of keys."""
        first: dict[str, Told] = {}
        for message in self.seen.messages:
            if not message.published:
                first.setdefault(message.key, message)
        return [
            message
            for _, message in sorted(first.items())
            if not message.parked
            and not (message.type is MessageType.PERIOD_CLOSED and self._waits(message))
        ]

    def _waits(self, closed: Told) -> bool:
        return any(
            message.type is MessageType.INVOICE_ISSUED
            and message.place == closed.place
            and message.message_id < closed.message_id
            and not message.published
            for message in self.seen.messages
        )

    def acknowledged(self, message: Told) -> None:
        if message.type is not MessageType.INVOICE_ISSUED:
            return
        assert message.invoice_id is not None
        billed = self.books.billed[message.invoice_id]
        billed.published = True
        if billed.status is Status.PENDING:
            billed.status = Status.SENT
            self.happened("sent by the broker's acknowledgement")
        else:
            self.happened(f"acknowledged while {billed.status}")

    def check_topic(self) -> None:
        reader, place = self.broker.reader(), TopicPartition(TOPIC, 0)
        reader.assign([place])
        reader.seek_to_beginning([place])
        the_topic_is_in_order(
            ((row.key or b"").decode(), int(dict(row.headers)["seq"] or b""))
            for row in reader.poll(0, 100_000).get(place, [])
        )


def _references(
    receiver: Pair, own: set[Pair], before: Iterable[Invoice], revision: int
) -> tuple[str, ...]:
    """The month's earlier invoices to that receiver, and those that carried what is corrected."""
    found = {
        row.invoice_number
        for row in before
        if row.revision < revision
        and row.issued_at is not None
        and (
            row.receiver == receiver
            or any(line.origin == row.period and line.key.pair in own for line in row.lines)
        )
    }
    return tuple(sorted(found, key=number_order)) if revision > 1 else ()


def with_rate(invoice: Invoice, rate: int | None) -> Invoice:
    """Its lines as a replacement that was asked for with that rate has them."""
    if rate is None:
        return invoice
    return replace(
        invoice,
        lines=tuple(
            line if line.origin != invoice.period else replace(line, tax_rate=rate)
            for line in invoice.lines
        ),
    )
