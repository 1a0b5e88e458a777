"""What must be true after every step, whatever was done: the store against the watcher's books."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from chargeback_worker.allocation.pair import UNALLOCATED
from chargeback_worker.invoicing.invoice import ISSUED, Invoice, Kind, Status
from chargeback_worker.invoicing.message import MessageType
from chargeback_worker.money import NANO, NANO_PER_CENT
from chargeback_worker.store.periods import PeriodState
from tests.support.invoice_life.books import Books, frozen
from tests.support.invoice_life.seen import Place, Seen, Told


def months_are_where_their_steps_left_them(seen: Seen, books: Books) -> None:
    for period, row in seen.months.items():
        month = books.month(period)
        assert (row.state, row.revision) == (month.state, month.revision), period
    for period, month in books.months.items():
        assert period in seen.months or month.state is PeriodState.OPEN
        for number in range(1, len(month.booked) + 1):
            assert (period, number) in seen.closes
    assert len(seen.closes) == sum(len(month.booked) for month in books.months.values())
    assert seen.audited == books.audited


def every_cost_is_booked_once(seen: Seen, books: Books) -> None:
    """For each billing period, and in it for each month the usage is of, over all revisions."""
    for period, month in books.months.items():
        before = month.booked_so_far
        for origin in before.keys() | month.used.keys():
            assert seen.booked.get((period, origin), 0) == before[origin], (period, origin)
        if month.state is PeriodState.CLOSED:
            assert before == month.used, period
        for revision, booked in enumerate(month.booked, start=1):
            assert seen.closes[period, revision].booked == sum(booked.values())


def invoices_and_what_nobody_is_billed_are_what_was_booked(seen: Seen, books: Books) -> None:
    """Live ones, cancelled ones that nothing replaces, and unallocated, in cents, by close."""
    last: dict[Place, dict[str, Invoice]] = defaultdict(dict)
    live = defaultdict[tuple[Place, str], int](int)
    for period in books.months:
        for invoice in seen.final(period):
            place = (period, invoice.revision)
            last[place][invoice.receiver.key] = invoice
            live[place, invoice.receiver.key] += invoice.status is not Status.CANCELLED
    assert all(there <= 1 for there in live.values())
    for place, close in seen.closes.items():
        of_close = last[place].values()
        billed = sum(row.subtotal for row in of_close if row.status is not Status.CANCELLED)
        uninvoiced = sum(row.subtotal for row in of_close if row.status is Status.CANCELLED)
        assert billed + uninvoiced + close.unallocated == _cents(close.booked), place
        nobody = seen.borne.get((*place, None), 0)
        assert abs(close.unallocated - nobody) < NANO_PER_CENT
        for invoice in of_close:
            borne = seen.borne[*place, invoice.receiver.key]
            assert abs(invoice.subtotal - borne) < NANO_PER_CENT


def issued_invoices_are_unchanged_but_for_their_life(seen: Seen, books: Books) -> None:
    final = {name for name, row in seen.invoices.items() if row.final}
    assert final == books.billed.keys()
    for name, billed in books.billed.items():
        found = seen.invoices[name]
        assert frozen(found) == billed.frozen
        assert found.status is billed.status
        assert found.paid_date == billed.paid_on
        assert (found.published_at is not None) == billed.published


def numbers_have_no_gap_and_are_used_once(seen: Seen, books: Books) -> None:
    for period, month in books.months.items():
        due = [f"INV-{period.number}-{n:04d}" for n in range(1, len(month.numbers) + 1)]
        assert month.numbers == due
        there = sorted(row.invoice_number for row in seen.final(period) if row.issued_at)
        assert there == due
    for invoice in seen.invoices.values():
        if invoice.issued_at is None:
            assert invoice.status in (Status.DRAFT, Status.CANCELLED)
            assert invoice.invoice_number.startswith("DRAFT-")
            assert invoice.due_date is None
        else:
            assert invoice.status in ISSUED
            assert (invoice.due_date is None) == (invoice.total < 0)


def every_invoice_adds_up(seen: Seen, books: Books) -> None:
    for invoice in seen.invoices.values():
        lines = invoice.lines
        assert sum(line.total_price for line in lines) == invoice.subtotal
        assert all(line.total_price % NANO_PER_CENT == 0 for line in lines)
        assert all(abs(line.total_price - line.exact) < NANO_PER_CENT for line in lines)
        assert [line.line for line in lines] == list(range(1, len(lines) + 1))
        by_rate = defaultdict[int, int](int)
        for line in lines:
            assert line.tax_rate is not None
            by_rate[line.tax_rate] += line.total_price
        assert invoice.tax == sum(_tax(amount, rate) for rate, amount in by_rate.items())
        assert invoice.total == invoice.subtotal + invoice.tax
        if invoice.total < 0:
            kind = Kind.CREDIT
        else:
            kind = Kind.REGULAR if invoice.revision == 1 else Kind.CORRECTION
        assert invoice.kind is kind
        assert UNALLOCATED not in (line.key.pair for line in lines)
        assert not invoice.final or any(line.total_price for line in lines)


def projections_are_those_that_were_asked_for(seen: Seen, books: Books) -> None:
    projected = {name: row for name, row in seen.invoices.items() if not row.final}
    known: set[str] = set()
    for month in books.months.values():
        known |= month.drafts | month.cancelled_drafts
        for name in month.drafts:
            assert projected[name].status is Status.DRAFT
            assert projected[name].revision == month.revision
        for name in month.cancelled_drafts:
            assert projected[name].status is Status.CANCELLED
    assert projected.keys() == known


def messages_are_in_order_and_tell_every_change(seen: Seen, books: Books) -> None:
    by_key, by_invoice = defaultdict[str, list[Told]](list), defaultdict[str, list[Told]](list)
    for message in seen.messages:
        by_key[message.key].append(message)
        if message.invoice_id is not None:
            by_invoice[message.invoice_id].append(message)
    for key, told in by_key.items():
        assert [message.seq for message in told] == list(range(1, len(told) + 1)), key
        published = [message.published for message in told]
        assert published == sorted(published, reverse=True), key
        assert sum(message.parked for message in told) <= 1
    for name, billed in books.billed.items():
        assert [message.status for message in by_invoice[name]] == billed.told
        types = [message.type for message in by_invoice[name]]
        changes = [MessageType.INVOICE_STATUS_CHANGED] * max(len(types) - 1, 0)
        assert types == [MessageType.INVOICE_ISSUED, *changes] or not types
        assert {message.key for message in by_invoice[name]} <= {billed.frozen.receiver.key}
    assert by_invoice.keys() <= books.billed.keys()
    _closes_are_told_after_their_invoices(seen)


def _closes_are_told_after_their_invoices(seen: Seen) -> None:
    issued_so_far = defaultdict[Place, list[Told]](list)
    announced: set[Place] = set()
    for message in seen.messages:
        if message.type is MessageType.PERIOD_CLOSED:
            announced.add(message.place)
            assert not message.published or all(
                row.published for row in issued_so_far[message.place]
            )
        elif message.type is MessageType.INVOICE_ISSUED:
            issued_so_far[message.place].append(message)
    assert announced == seen.closes.keys()


LAWS: Sequence[Callable[[Seen, Books], None]] = (
    months_are_where_their_steps_left_them,
    every_cost_is_booked_once,
    invoices_and_what_nobody_is_billed_are_what_was_booked,
    issued_invoices_are_unchanged_but_for_their_life,
    numbers_have_no_gap_and_are_used_once,
    every_invoice_adds_up,
    projections_are_those_that_were_asked_for,
    messages_are_in_order_and_tell_every_change,
)


def the_topic_is_in_order(arrived: Iterable[tuple[str, int]]) -> None:
    """Every key's messages come as 1, 2, 3 …, a repeat at most of the one just before."""
    reached = defaultdict[str, int](int)
    for key, seq in arrived:
        assert seq in (reached[key], reached[key] + 1), key
        reached[key] = seq


def _cents(nano: int) -> int:
    # Fraction rounds half to even.
    return round(Fraction(nano, NANO_PER_CENT)) * NANO_PER_CENT


def _tax(amount: int, rate: int) -> int:
    """In whole cents, ties away from zero."""
    exact = Fraction(abs(amount) * rate, NANO * NANO_PER_CENT)
    cents = int(exact + Fraction(1, 2)) * NANO_PER_CENT
    return cents if amount > 0 else -cents
