"""What closes and the invoices topic must say, worked out from the truth of each event alone.

Of the books only this is taken for granted: the month that a record is billed in, which hangs on
when it came, and the snapshots; `verify` recomputes those. What follows from it is closed anew in
memory, and what is borne in each month a second time by the written rules.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.broker import Broker, Message, TopicPartition
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period
from chargeback_worker.simulation import Truth
from chargeback_worker.store import (
    Store,
    Transaction,
    bookings,
    closes,
    invoices,
    recount_books,
    snapshots,
)
from chargeback_worker.store.tables import outbox, usage_record
from chargeback_worker.usage.total import UsageTotal
from tests.support.pure_ledger import Ledger
from tests.support.reference_allocation import rows

_ISSUED = "chargeback.invoice.issued.v1"
Closed = tuple[Period, int]
_Owner = tuple[str | None, str | None, str, str]


class Used(NamedTuple):
    """An event that counts; `revision` is the close of its billing period that first bills it."""

    origin: Period
    truth: Truth
    revision: int = 1


@dataclass(frozen=True, slots=True)
class Billed:
    """What was found, and in what it differs."""

    closes: int
    late: int
    invoices: int
    messages: int
    repeats: int
    wrong: list[str]

    def __str__(self) -> str:
        return (
            f"{self.closes} closes, each done once, {self.late} late events;"
            f" {self.invoices} invoices as recomputed, numbers without gap or reuse;"
            f" {self.messages} messages told in order, {self.repeats} of them again"
        )


def billed(
    store: Store,
    used: Sequence[Used],
    closed: Mapping[Period, int],
    broker: Broker,
    topic: str | None,
    held: Collection[str] = (),
) -> Billed:
    """Hold the books against the truth, and a topic against the books. `closed` says how often each
    month is closed; `held` are the messages that must not be on the topic."""
    due = [(month, number + 1) for month, times in closed.items() for number in range(times)]
    due.sort(key=lambda one: (one[1], one[0]))
    with store.read() as transaction:
        totals, late = _totals(transaction, used)
        issued = {month: invoices.of_period(transaction, month) for month in closed}
        wrong = [
            *_closed_once(transaction, due),
            *_recomputed(transaction, due, totals, issued),
            *_borne(transaction, closed, totals),
            *_numbered(issued),
        ]
        told = [] if topic is None else read_topic(broker, topic)
        if topic is not None:
            wrong.extend(wrongly_told(transaction, told, held))
            wrong.extend(_sent(issued, held))
    distinct = len({_header(message, "ce_id") for message in told})
    count = sum(map(len, issued.values()))
    return Billed(len(due), late, count, distinct, len(told) - distinct, wrong)


def _closed_once(transaction: Transaction, due: Sequence[Closed]) -> Iterator[str]:
    done = Counter((close.period, close.revision) for close in closes.listed(transaction))
    if done != Counter(due):
        yield f"closes: expected {sorted(due)}, found {sorted(done.elements())}"
    entries = recount_books.audited_closes(transaction)
    if entries != Counter(f"period:{month}" for month, _ in due):
        yield f"closes in the audit: {sorted(entries.items())}"


def _totals(
    transaction: Transaction, used: Iterable[Used]
) -> tuple[dict[Closed, list[UsageTotal]], int]:
    """What each close is the first to count, and how many events were late. The day within a month
    decides nothing here."""
    found = transaction.execute(
        sa.select(usage_record.c.source, usage_record.c.usage_id, usage_record.c.period)
    )
    billed_in = {(row.source, row.usage_id): Period.from_number(row.period) for row in found}
    summed: dict[tuple[Period, int, Period, _Owner], list[int]] = defaultdict(lambda: [0, 0, 0])
    late = 0
    for origin, truth, revision in used:
        # What is not stored at all, the oracle of usage names.
        period = billed_in.get((truth.source, truth.usage_id), origin)
        late += period != origin
        owner = (truth.team, truth.user, truth.agent, truth.resource_type)
        sums = summed[period, revision, origin, owner]
        sums[0] += truth.cost
        sums[1] += truth.quantity
        sums[2] += 1
    totals: dict[Closed, list[UsageTotal]] = defaultdict(list)
    for (period, revision, origin, owner), sums in summed.items():
        day = origin.days().start
        totals[period, revision].append(UsageTotal(period, day, *owner, (), *sums))
    return totals, late


def _recomputed(
    transaction: Transaction,
    due: Sequence[Closed],
    totals: Mapping[Closed, Sequence[UsageTotal]],
    issued: Mapping[Period, Sequence[Invoice]],
) -> Iterator[str]:
    ledger = Ledger()
    for month, revision in due:
        snapshot = snapshots.of_close(transaction, month, revision)
        if snapshot is None:
            yield f"{month} has no snapshot of close {revision}"
            continue
        ledger.totals.extend(totals.get((month, revision), ()))
        expected = ledger.close(month, snapshot, revision).invoices
        found = [invoice for invoice in issued[month] if invoice.revision == revision]
        if list(map(_facts, expected)) != list(map(_facts, found)):
            yield (
                f"invoices of {month}, close {revision}: expected {len(expected)} of"
                f" {sum(i.subtotal for i in expected)}, found {len(found)} of"
                f" {sum(i.subtotal for i in found)}, or their lines differ"
            )


def _facts(invoice: Invoice) -> tuple[object, ...]:
    named = (invoice.invoice_id, invoice.invoice_number, invoice.receiver, invoice.kind)
    return (*named, invoice.subtotal, invoice.tax, invoice.total, invoice.lines)


def _borne(
    transaction: Transaction,
    closed: Mapping[Period, int],
    totals: Mapping[Closed, Sequence[UsageTotal]],
) -> Iterator[str]:
    """What is booked for each month, over all closes, is what its usage costs those who bear it."""
    counted = [t for (month, _), group in totals.items() if month in closed for t in group]
    for origin in closed:
        snapshot = snapshots.latest(transaction, origin) or Snapshot()
        usage = [total for total in counted if total.origin_period == origin]
        expected = {key: row.cost for key, row in rows(usage, snapshot).items()}
        booked = bookings.of_origin(transaction, origin, list(closed))
        found = {key: row.cost for key, row in booked.items() if row.cost}
        if expected != found:
            differing = sorted(str(key) for key, _ in expected.items() ^ found.items())
            yield f"booked for {origin}: {len(differing)} differ, as {differing[0]}"


def _numbered(issued: Mapping[Period, Sequence[Invoice]]) -> Iterator[str]:
    for month, of_month in issued.items():
        numbers = [invoice.invoice_number for invoice in of_month]
        if numbers != [f"INV-{month.number}-{n + 1:04d}" for n in range(len(numbers))]:
            yield f"numbers of {month}: {numbers}"


def _sent(issued: Mapping[Period, Sequence[Invoice]], held: Collection[str]) -> Iterator[str]:
    """Whose message arrived is `sent`, or overdue since, and nobody else."""
    waiting = {name.rpartition(":")[0] for name in held}
    for invoice in (invoice for of_month in issued.values() for invoice in of_month):
        if (invoice.status is Status.PENDING) != (invoice.invoice_id in waiting):
            yield f"{invoice.invoice_number} is {invoice.status}"


def read_topic(broker: Broker, topic: str) -> list[Message]:
    """All messages of a topic with one partition."""
    place = TopicPartition(topic, 0)
    reader = broker.reader()
    try:
        reader.assign([place])
        reader.seek_to_beginning([place])
        end = reader.end_offsets([place])[place]
        found: list[Message] = []
        while (reader.position(place) or 0) < end:
            found.extend(reader.poll(1.0, 5_000).get(place, []))
        return found
    finally:
        reader.close()


def wrongly_told(
    transaction: Transaction, messages: Sequence[Message], held: Collection[str]
) -> Iterator[str]:
    """Each message of the books at least once, the same each time, and first in its order."""
    kept = {row.ce_id: row for row in transaction.execute(sa.select(outbox))}
    first: dict[str, int] = {}
    order: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        name = _header(message, "ce_id")
        row = kept.get(name)
        if row is None:
            yield f"message {name} was sent, and the books do not have it"
            continue
        headers = tuple((key, (value or b"").decode()) for key, value in message.headers)
        if (message.key, message.value) != (row.key.encode(), bytes(row.payload)):
            yield f"message {name} at offset {message.offset} has other bytes"
        if dict(headers)["seq"] != str(row.seq) or dict(headers)["ce_type"] != row.type:
            yield f"message {name} at offset {message.offset} has other headers: {headers}"
        if name not in first:
            first[name] = message.offset
            order[row.key].append(row.seq)
    if differing := (kept.keys() - first.keys()) ^ set(held):
        yield f"{len(differing)} messages are missing, or were to be held: {min(differing)}"
    for key, seqs in order.items():
        if seqs != list(range(1, len(seqs) + 1)):
            yield f"messages to {key} came in the order {seqs}"
    yield from _closed_last(kept, first)


def _closed_last(
    kept: Mapping[str, sa.Row[tuple[object, ...]]], first: Mapping[str, int]
) -> Iterator[str]:
    """The end of a month is told after all invoices of that close."""
    ends = {(row.period, row.revision): 0 for row in kept.values()}
    for name, row in kept.items():
        if row.type == _ISSUED and name in first:
            place = (row.period, row.revision)
            ends[place] = max(ends[place], first[name])
    for (number, revision), last in ends.items():
        told = first.get(f"{Period.from_number(number)}:{revision}")
        if told is not None and told < last:
            yield f"the end of {number}, close {revision}, was told before its invoices"


def _header(message: Message, name: str) -> str:
    return (dict(message.headers)[name] or b"").decode()
