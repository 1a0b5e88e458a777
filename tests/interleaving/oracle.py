"""What must hold when all has come to rest: books and topic against the truth, and themselves."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.reports.verify import verify_within
from chargeback_worker.store import Transaction, closes, cursors, periods, totals
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.tables import booking, invoice, outbox, usage_record
from tests.interleaving.topics import Appended
from tests.interleaving.truth import Truth


def mismatches(
    transaction: Transaction, truth: Truth, appended: Sequence[Appended], seen_closes: int
) -> list[str]:
    """Everything that is not as it must be; empty is right."""
    wrong = [
        *_counted(transaction, truth),
        *_booked(transaction),
        *_closes(transaction, seen_closes),
        *_numbers(transaction),
        *_published(transaction, appended),
    ]
    wrong += [str(found) for found in verify_within(transaction).mismatches]
    return wrong


def _counted(transaction: Transaction, truth: Truth) -> Iterator[str]:
    """Each identity that was sent is accepted once, at its cost; all else ended as it had to."""
    rows = transaction.execute(sa.select(usage_record.c.usage_id, usage_record.c.cost_nano))
    found = [(row.usage_id, row.cost_nano) for row in rows]
    counted = Counter(usage_id for usage_id, _ in found)
    if counted != Counter(truth.costs.keys()):
        lost = sorted(truth.costs.keys() - counted.keys())
        more = sorted((counted - Counter(truth.costs.keys())).elements())
        yield f"accepted: lost {lost}, not to be accepted {more}"
    wrong = {usage_id: cost for usage_id, cost in found if truth.costs.get(usage_id) != cost}
    if wrong:
        yield f"costs of records: {wrong}"
    expected, total = sum(truth.costs.values()), sum(totals.cost_by_period(transaction).values())
    if total != expected:
        yield f"sum of totals: {total}, sent {expected}"
    tally = sum((c.tally for c in cursors.listed(transaction, Door.TOPIC)), Tally())
    for name in ("accepted", "duplicate", "conflict", "quarantined"):
        if getattr(tally, name) != truth.ends[name]:
            yield f"{name}: {getattr(tally, name)}, right is {truth.ends[name]}"


def _booked(transaction: Transaction) -> Iterator[str]:
    """Of each month all is booked whose billing period has closed, and in each all that is its."""
    closed = {
        row.period.number for row in periods.listed(transaction) if row.state is PeriodState.CLOSED
    }
    used: Counter[tuple[str, int]] = Counter()
    rows = transaction.execute(
        sa.select(usage_record.c.period, usage_record.c.day, usage_record.c.cost_nano)
    )
    for row in rows:
        if row.period in closed:
            used["origin", row.day // 100] += row.cost_nano
            used["billed in", row.period] += row.cost_nano
    booked: Counter[tuple[str, int]] = Counter()
    for row in transaction.execute(sa.select(booking)):
        cost = row.cost_whole * 10**9 + row.cost_nano
        booked["origin", row.origin_period] += cost
        booked["billed in", row.billing_period] += cost
    for key in sorted(used.keys() | booked.keys()):
        if used[key] != booked[key]:
            yield f"booked, {key[0]} {key[1]}: {booked[key]}, used {used[key]}"


def _closes(transaction: Transaction, seen: int) -> Iterator[str]:
    """One close of each revision, and none that nobody did."""
    done = defaultdict[int, list[int]](list)
    listed = closes.listed(transaction)
    for close in listed:
        done[close.period.number].append(close.revision)
    for row in periods.listed(transaction):
        revisions = sorted(done.pop(row.period.number, []))
        last = row.revision if row.state is PeriodState.CLOSED else row.revision - 1
        if revisions != list(range(1, last + 1)):
            yield f"closes of {row.period}, {row.state} {row.revision}: {revisions}"
    if done:
        yield f"closes of months that there are not: {dict(done)}"
    if len(listed) < seen:
        yield f"{seen} closes were told of, {len(listed)} are stored"


def _numbers(transaction: Transaction) -> Iterator[str]:
    """Of each month's series every number from 1 on is there once."""
    series = defaultdict[str, list[int]](list)
    for row in transaction.execute(sa.select(invoice.c.number, invoice.c.period)):
        month, _, number = row.number.removeprefix("INV-").partition("-")
        if int(month) != row.period:
            yield f"{row.number} is of {row.period}"
        series[month].append(int(number))
    for month, numbers in sorted(series.items()):
        if sorted(numbers) != list(range(1, len(numbers) + 1)):
            yield f"numbers of {month}: {sorted(numbers)}"


def _published(transaction: Transaction, appended: Sequence[Appended]) -> Iterator[str]:
    """Every message arrived, in the order of its key when it first did, always as it is stored;
    and the end of a month after all its invoices."""
    stored = {row.ce_id: row for row in transaction.execute(sa.select(outbox))}
    first: dict[str, int] = {}
    reached: Counter[str] = Counter()
    numbered: dict[str, str] = {}
    for place, message in enumerate(appended):
        ce_id = message.header("ce_id")
        row = stored.get(ce_id)
        if row is None:
            yield f"the topic holds {ce_id}, the books do not"
            continue
        headers = tuple(
            (name, text.encode()) for name, text in msgspec.json.decode(row.headers, type=Pairs)
        )
        same = (row.key.encode(), bytes(row.payload), headers)
        if same != (message.key, message.value, message.headers):
            yield f"{ce_id} was sent otherwise than it is stored"
        if ce_id in first:
            continue
        first[ce_id] = place
        reached[row.key] += 1
        if reached[row.key] != row.seq:
            yield f"{ce_id} arrived as number {reached[row.key]} of {row.key}, it is {row.seq}"
        if row.type == MessageType.INVOICE_ISSUED:
            number = msgspec.json.decode(row.payload)["invoice_number"]
            if numbered.setdefault(number, row.invoice_id) != row.invoice_id:
                yield f"{number} was given to two invoices"
    missing = sorted(stored.keys() - first.keys())
    if missing:
        yield f"never arrived: {missing}"
    yield from _ends_of_months(list(stored.values()), first)


Pairs = tuple[tuple[str, str], ...]


def _ends_of_months(stored: Sequence[Any], first: dict[str, int]) -> Iterator[str]:
    for end in stored:
        if end.type != MessageType.PERIOD_CLOSED or end.ce_id not in first:
            continue
        for row in stored:
            issued = row.type == MessageType.INVOICE_ISSUED
            of_it = (row.period, row.revision) == (end.period, end.revision)
            if issued and of_it and first.get(row.ce_id, 1 << 60) > first[end.ce_id]:
                yield f"{end.ce_id} arrived before {row.ce_id}"
