"""The watcher's own books: what was used, decided, asked for, billed and told, by billing.md."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from chargeback_worker.allocation.pair import UNALLOCATED, BillTo, Pair
from chargeback_worker.allocation.snapshot import Approval, Requested, Snapshot
from chargeback_worker.errors import ChargebackError
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.period import Period
from chargeback_worker.pipeline.closing.may_close import (
    CloseInProgress,
    EarlierNotClosed,
    EarlierReopened,
    PeriodNotOver,
)
from chargeback_worker.store.periods import PeriodState
from tests.support.invoice_life.drawn import Used


@dataclass(frozen=True)
class Decided:
    """What decides who is billed a pair, at which rate, and until when it is to be paid."""

    terms: Snapshot
    rates: Mapping[str, int]
    asked: Mapping[Pair, Requested]

    def receiver(self, pair: Pair) -> Pair:
        if pair.user is not None:
            for share in (pair, Pair(None, pair.user)):
                if share in self.asked:
                    return share
        if pair.team is None or pair.user is None:
            return pair
        return Pair(pair.team) if self.terms.bill_to is BillTo.TEAM else Pair(None, pair.user)

    def rate(self, receiver: Pair) -> int:
        asked = self.asked.get(receiver)
        if asked is not None and asked.tax_rate_nano is not None:
            return asked.tax_rate_nano
        return self.rates.get(receiver.team or "", self.terms.tax_rate_nano)

    def days(self, receiver: Pair) -> int:
        asked = self.asked.get(receiver)
        return self.terms.due_days if asked is None or asked.due_days is None else asked.due_days


@dataclass
class Month:
    """`used` is the cost of its records by origin; `booked` what each close booked, in order.

    `pairs` are those of its usage as it is recorded; `drafts` the projections that there are.
    """

    state: PeriodState = PeriodState.OPEN
    used: Counter[Period] = field(default_factory=Counter)
    booked: list[dict[Period, int]] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    asked: dict[Pair, Requested] = field(default_factory=dict)
    pairs: set[Pair] = field(default_factory=set)
    drafts: set[str] = field(default_factory=set)
    cancelled_drafts: set[str] = field(default_factory=set)
    numbers: list[str] = field(default_factory=list)

    @property
    def revision(self) -> int:
        return len(self.booked) + (self.state is not PeriodState.CLOSED)

    @property
    def booked_so_far(self) -> Counter[Period]:
        found: Counter[Period] = Counter()
        for close in self.booked:
            found.update(close)
        return found

    @property
    def owes(self) -> dict[Period, int]:
        """What its next close books, by origin: what was used and not booked."""
        before = self.booked_so_far
        return {origin: cost - before[origin] for origin, cost in self.used.items()}


@dataclass
class Billed:
    """An invoice by a close: as it was last written, its status, and what was told of it."""

    frozen: Invoice
    status: Status
    told: list[str] = field(default_factory=list)
    paid_on: date | None = None
    published: bool = False


def frozen(invoice: Invoice) -> Invoice:
    """Without what its life and its delivery change."""
    return replace(
        invoice,
        status=Status.PENDING,
        paid_date=None,
        published_at=None,
        updated_at=invoice.created_at,
    )


@dataclass
class Books:
    """Everything, as it must be after the steps that were done."""

    terms: Snapshot = field(default_factory=Snapshot)
    rates: Mapping[str, int] = field(default_factory=dict)
    months: dict[Period, Month] = field(default_factory=dict)
    billed: dict[str, Billed] = field(default_factory=dict)
    audited: list[str] = field(default_factory=list)

    def month(self, period: Period) -> Month:
        return self.months.setdefault(period, Month())

    def use(self, event: Used) -> Period:
        """Which month bills it: its own where that takes usage, else the next one that does."""
        period = event.month
        while not self.month(period).state.takes_usage:
            period = period.next()
        self.month(period).used[event.month] += event.nano
        self.month(period).pairs.add(Pair(event.team, event.user))
        return period

    def now(self, period: Period) -> Decided:
        return Decided(self.terms, self.rates, dict(self.month(period).asked))

    def ask(self, period: Period, asked: Requested) -> None:
        """What is left open stays as it was asked for before."""
        before = self.month(period).asked.get(asked.receiver, asked)
        rate, days = asked.tax_rate_nano, asked.due_days
        self.month(period).asked[asked.receiver] = Requested(
            asked.receiver,
            before.tax_rate_nano if rate is None else rate,
            before.due_days if days is None else days,
        )

    @property
    def closing(self) -> Period | None:
        for period, month in self.months.items():
            if month.state is PeriodState.CLOSING:
                return period
        return None

    def refusal_of_close(self, period: Period, *, over: bool) -> type[ChargebackError] | None:
        month = self.month(period)
        if month.state in (PeriodState.CLOSED, PeriodState.CLOSING):
            # Done already, or left by a closer that was killed.
            return None
        if not over:
            return PeriodNotOver
        for other in sorted(self.months):
            state = self.months[other].state
            if state is PeriodState.CLOSING:
                return CloseInProgress
            if other < period and state is PeriodState.REOPENED:
                return EarlierReopened
            if other < period and state is PeriodState.OPEN and other in month.used:
                return EarlierNotClosed
        return None

    def bills_what_was_never_closed(self, period: Period) -> bool:
        """Usage passed its own month by while a closer of that one was dead."""
        of = self.month(period).used
        return any(other < period and not self.month(other).decided for other in of)

    def close(self, period: Period) -> dict[Period, int]:
        """What it booked, by origin."""
        month = self.month(period)
        owes, decided = month.owes, self.now(period)
        month.booked.append(owes)
        month.decided.append(decided)
        month.state = PeriodState.CLOSED
        month.drafts = set()
        self.audited.append("close")
        return owes

    def bill(self, invoice: Invoice) -> Billed:
        """A close, or somebody's wish, has written it."""
        manual = invoice.issued_at is None
        told = [] if manual else [Status.SENT.value]
        billed = Billed(frozen(invoice), Status.DRAFT if manual else Status.PENDING, told)
        self.billed[invoice.invoice_id] = billed
        if not manual:
            self.month(invoice.period).numbers.append(invoice.invoice_number)
        return billed

    def of_receiver(self, period: Period, receiver: Pair) -> dict[int, Billed]:
        """The last invoice of each revision to a receiver."""
        rows = [row for row in self.billed.values() if row.frozen.period == period]
        rows.sort(key=lambda row: (row.frozen.revision, row.frozen.ordinal))
        return {row.frozen.revision: row for row in rows if row.frozen.receiver == receiver}

    def billed_with(self, period: Period, share: Pair) -> set[str]:
        """The invoices to others that bill a user's share, by number."""
        return {
            row.frozen.invoice_number
            for row in self.billed.values()
            if row.frozen.period == period
            and row.frozen.receiver != share
            and any(
                line.key.pair.user == share.user and share.team in (None, line.key.pair.team)
                for line in row.frozen.lines
            )
        }

    def receivers(self, period: Period) -> list[Pair]:
        """Who may be asked for: every pair that used something, its team and its user."""
        pairs = self.month(period).pairs
        sides = {side for pair in pairs for side in (Pair(pair.team), Pair(None, pair.user))}
        return sorted({*pairs, *sides} - {UNALLOCATED})

    def awaiting(self, period: Period) -> int:
        return sum(
            row.status is Status.DRAFT and row.frozen.period == period
            for row in self.billed.values()
        )

    def is_manual(self, period: Period) -> bool:
        return self.month(period).decided[-1].terms.approval is Approval.MANUAL
