"""An invoice on request: a draft of an open month, or what takes the place of a cancelled one."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested, Snapshot
from chargeback_worker.errors import Conflict, Invalid
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.invoicing.life import replacing
from chargeback_worker.money import NANO, plain
from chargeback_worker.period import Period, billing_day, from_us
from chargeback_worker.pipeline.closing.issuing import issue
from chargeback_worker.pipeline.closing.projection import hold, project, rebuild
from chargeback_worker.store import (
    Store,
    Transaction,
    audit,
    drafts,
    invoices,
    requests,
    snapshots,
)
from chargeback_worker.store.audit import Act
from chargeback_worker.store.periods import PeriodRow, PeriodState
from chargeback_worker.store.requests import RECEIVER_BYTES_MAX
from chargeback_worker.usage.fields import TEXT_MAX

DUE_DAYS_MAX = 3650


class NoReceiver(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "An invoice needs somebody to be billed.", "Name a team, a user, or a user in a team."
        )


class BadReceiver(Invalid):
    def __init__(self, what: str, value: str) -> None:
        super().__init__(
            f"{value[:40]!r} is no {what}: an id has 1 to {TEXT_MAX} characters, none of them NUL.",
            f"Name the {what} as its usage does.",
        )


class ReceiverTooLong(Invalid):
    """The ids of a team and a user, together, are longer than the key of a receiver may be."""

    def __init__(self, receiver: Pair, size: int) -> None:
        team, user = receiver.team or "", receiver.user or ""
        super().__init__(
            f"The user {user[:40]!r}… in the team {team[:40]!r}… cannot be billed apart: as a"
            f" receiver they take {size:,} bytes, more than {RECEIVER_BYTES_MAX:,}.",
            "Name the user alone, who is then billed apart in all teams, or the team alone.",
        )


class BadTaxRate(Invalid):
    def __init__(self, given: str) -> None:
        super().__init__(
            f"The tax rate is {given!r}, no fraction from 0 to 1 with at most 9 decimals.",
            "19 % is written 0.19.",
        )


class BadDueDays(Invalid):
    def __init__(self, given: int) -> None:
        super().__init__(
            f"{given} days to pay are out of range.", f"Name 0 to {DUE_DAYS_MAX} days."
        )


class BilledAlready(Conflict):
    """A share cannot be billed apart once it was billed with others."""

    def __init__(self, share: Pair, period: Period, number: str) -> None:
        super().__init__(
            f"{share.key} is billed with {number} for {period}, which is no draft any more.",
            f"See it: chargeback invoices show {number}",
        )


class NothingBilled(Conflict):
    def __init__(self, receiver: Pair, period: Period) -> None:
        super().__init__(
            f"{period} is closed, and nothing of it is billed to {receiver.key}.",
            f"See its invoices: chargeback invoices list --period {period}",
        )


@dataclass(frozen=True, slots=True)
class CreateResult:
    """`new` says that there was none before."""

    invoice: Invoice
    new: bool


def create_invoice(
    store: Store, period: Period, asked: Requested, terms: Snapshot, act: Act
) -> CreateResult:
    """The draft of a receiver for a month that takes usage, made or made anew; for a closed month
    the invoice that it has, or where that is cancelled, another that takes its place.

    An invoice asked for a user, or for a user in a team, bills that share apart from now on; the
    draft it is taken out of is made anew. Raises Invalid for what cannot be asked for, and the
    conflicts above, CloseInProgress, EarlierNotClosed and BooksHeld.
    """
    _check(asked)
    zone = ZoneInfo(terms.timezone)
    with store.begin() as transaction:
        row = hold(transaction, period, zone)
        if row.state is PeriodState.CLOSED:
            return _of_closed(transaction, period, asked, act, zone)
        return _draft(transaction, row, asked, terms, act)


def _check(asked: Requested) -> None:
    named = {"team": asked.receiver.team, "user": asked.receiver.user}
    given = {what: value for what, value in named.items() if value is not None}
    if not given:
        raise NoReceiver
    for what, value in given.items():
        if not 1 <= len(value) <= TEXT_MAX or "\0" in value:
            raise BadReceiver(what, value)
    size = len(asked.receiver.key.encode())
    if size > RECEIVER_BYTES_MAX:
        raise ReceiverTooLong(asked.receiver, size)
    rate, days = asked.tax_rate_nano, asked.due_days
    if rate is not None and not 0 <= rate <= NANO:
        raise BadTaxRate(plain(rate))
    if days is not None and not 0 <= days <= DUE_DAYS_MAX:
        raise BadDueDays(days)


def _draft(
    transaction: Transaction, row: PeriodRow, asked: Requested, terms: Snapshot, act: Act
) -> CreateResult:
    period, receiver = row.period, asked.receiver
    stale: set[Pair] = set()
    if receiver.user is not None:
        billed_with = invoices.billing(transaction, period, receiver)
        if billed_with is not None:
            raise BilledAlready(receiver, period, billed_with)
        stale = drafts.billing(transaction, period, receiver)
    before = snapshots.of_now(transaction, period.days(), terms)
    requests.put(transaction, period, asked, act.now_us)
    projection = project(transaction, row, terms, act.now_us)
    draft = projection.draft(receiver)
    there = drafts.replace(transaction, draft)
    rebuild(transaction, projection, (stale | projection.billed_otherwise(before)) - {receiver})
    _audit(transaction, act, "invoice.draft", draft)
    return CreateResult(draft, new=not there)


def _of_closed(
    transaction: Transaction, period: Period, asked: Requested, act: Act, zone: ZoneInfo
) -> CreateResult:
    receiver = asked.receiver
    billed = invoices.of_receiver(transaction, period, receiver)
    if not billed:
        billed_with = receiver.user and invoices.billing(transaction, period, receiver)
        if billed_with:
            raise BilledAlready(receiver, period, billed_with)
        raise NothingBilled(receiver, period)
    last = {invoice.revision: invoice for invoice in billed}
    for invoice in last.values():
        if invoice.status is Status.CANCELLED:
            return _replace(transaction, invoice, asked, act, zone)
    return CreateResult(billed[-1], new=False)


def _replace(
    transaction: Transaction, cancelled: Invoice, asked: Requested, act: Act, zone: ZoneInfo
) -> CreateResult:
    """What a cancelled invoice billed is billed again, under a number of its own."""
    at = from_us(act.now_us)
    decided = snapshots.of_close(transaction, cancelled.period, cancelled.revision)
    assert decided is not None, cancelled.period
    days = asked.due_days
    if days is None:
        days = decided.days_to_pay(cancelled.receiver)
    draft = replacing(cancelled, at=at, tax_rate=asked.tax_rate_nano)
    invoices.insert(transaction, [draft])
    invoice = issue(transaction, draft, at=at, on=billing_day(at, zone), days_to_pay=days)
    _audit(transaction, act, "invoice.replace", invoice)
    return CreateResult(invoice, new=True)


def _audit(transaction: Transaction, act: Act, action: str, invoice: Invoice) -> None:
    audit.append(
        transaction,
        act,
        action,
        f"invoice:{invoice.invoice_number}",
        after={
            "receiver": invoice.receiver.key,
            "period": str(invoice.period),
            "status": invoice.status.value,
            "total_usd": plain(invoice.total),
            "replaces": invoice.replaces,
        },
    )
