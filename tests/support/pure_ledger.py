"""Months closed in memory by the pure rooms alone: what a store does, without one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.build import Billed, Books, Closing, Originals, build
from chargeback_worker.invoicing.invoice import Invoice
from chargeback_worker.invoicing.settle import Booked, Owed, settle
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal

ISSUED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def usage(
    cost: int,
    *,
    day: date = date(2025, 10, 3),
    team: str | None = None,
    user: str | None = None,
    agent: str | None = None,
    resource_type: str = "query",
    labels: tuple[str | None, ...] = (),
    quantity: int = 0,
    records: int = 1,
    period: Period | None = None,
) -> UsageTotal:
    """A total; its billing period is its own month unless one is given."""
    period = period or Period.of(day)
    return UsageTotal(
        period, day, team, user, agent, resource_type, labels, cost, quantity, records
    )


@dataclass(slots=True)
class Ledger:
    """Totals in, books out, and everything booked so far."""

    totals: list[UsageTotal] = field(default_factory=list)
    closed: dict[Period, Snapshot] = field(default_factory=dict)
    booked: dict[Period, dict[PartKey, Booked]] = field(default_factory=dict)
    invoices: list[Invoice] = field(default_factory=list)
    owed: list[Owed] = field(default_factory=list)
    """What the last close booked."""

    def ingest(self, totals: Iterable[UsageTotal]) -> None:
        """Each total into the earliest month from its own on that is not closed."""
        for total in totals:
            period = total.origin_period
            while period in self.closed:
                period = period.next()
            self.totals.append(replace(total, period=period))

    def settle(self, origin: Period, closing: Period, snapshot: Snapshot) -> list[Owed]:
        counting = {*self.closed, closing}
        totals = [t for t in self.totals if t.origin_period == origin and t.period in counting]
        return settle(totals, snapshot, self.booked.get(origin, {}), origin=origin, closing=closing)

    def close(self, period: Period, snapshot: Snapshot, revision: int = 1) -> Books:
        """Settle the month and every month that has late usage in it, and write the invoices."""
        snapshots = {**self.closed, period: snapshot}
        origins = {t.origin_period for t in self.totals if t.period == period} | {period}
        self.owed = [
            row
            for origin in sorted(origins)
            for row in self.settle(origin, period, snapshots[origin])
        ]
        for row in self.owed:
            book(self.booked.setdefault(row.origin, {}), row)
        self.closed = snapshots
        books = build(
            self.owed,
            Closing(
                period=period,
                revision=revision,
                snapshots=snapshots,
                originals=self._originals(),
                first_number=1 + sum(invoice.period == period for invoice in self.invoices),
                at=ISSUED_AT,
                on=ISSUED_AT.date(),
            ),
        )
        self.invoices.extend(books.invoices)
        return books

    def _originals(self) -> Originals:
        carrying: dict[tuple[Period, Pair], Billed] = {}
        to: dict[tuple[Period, Pair], Billed] = {}
        for invoice in self.invoices:
            own = [line for line in invoice.lines if line.origin == invoice.period]
            rate = own[0].tax_rate if own else None
            to.setdefault((invoice.period, invoice.receiver), Billed(invoice.invoice_number, rate))
            for line in own:
                place = invoice.period, line.key.pair
                carrying.setdefault(place, Billed(invoice.invoice_number, line.tax_rate))
        return Originals(carrying, to)


def book(booked: dict[PartKey, Booked], row: Owed) -> None:
    before = booked.get(row.key, Booked(0))
    booked[row.key] = Booked(
        before.cost + row.cost,
        before.quantity + row.quantity,
        before.records + row.records,
        row.shared,
    )
