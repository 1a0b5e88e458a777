"""Recomputes everything from the records and names every mismatch, from one snapshot of the books.

Owns: what must agree with what. A check is a function and a line in CHECKS; its docstring says
what holds when it finds nothing. Does not own: SQL (`store.recount`), or mending anything.

Invariants: it writes nothing and stops at nothing; damage is a value, never an exception. What
it computes, it computes by the functions that wrote it (digests, `settle`, ids, documents).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import Period
from chargeback_worker.reports.pruned import pruned_document
from chargeback_worker.reports.verify import (
    bookings,
    invoices,
    outbox,
    periods,
    rules,
    tallies,
    totals,
    usage,
)
from chargeback_worker.reports.verify.comparison import Check, Comparison, Mismatch
from chargeback_worker.store import Store, Transaction, closes, pruned
from chargeback_worker.store.invoices import live_subtotals
from chargeback_worker.store.pruned import Pruned

__all__ = ["CHECKS", "CheckResult", "Mismatch", "VerifyResult", "verify", "verify_within"]

CHECKS: Mapping[str, Check] = {
    "records": usage.records,
    "keys": usage.keys,
    "totals": totals.totals,
    "tallies": tallies.tallies,
    "places": tallies.places,
    "conflicts": tallies.conflicts,
    "quarantine": tallies.messages,
    "periods": periods.states,
    "snapshots": periods.kept_snapshots,
    "rules": rules.decided,
    "booked": bookings.sums,
    "bookings": bookings.rows,
    "settlement": bookings.settlement,
    "invoices": invoices.arithmetic,
    "numbers": invoices.numbers,
    "rebuilt": invoices.rebuilt,
    "replaced": invoices.replaced,
    "messages": outbox.told,
    "order": outbox.order,
}
"""In the order in which they are run and shown: from the records up to what was sent."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check ended. `unnamed` mismatches were counted beyond those that are named."""

    name: str
    holds: str
    rows: int
    mismatches: tuple[Mismatch, ...]
    unnamed: int


@dataclass(frozen=True, slots=True)
class Uninvoiced:
    """What the cancelled invoices of one close billed that nothing has replaced; no mismatch."""

    period: Period
    revision: int
    amount: int


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """All checks, in their order, what stands uninvoiced, and what cannot be looked at any more."""

    period: Period | None
    checks: tuple[CheckResult, ...]
    uninvoiced: tuple[Uninvoiced, ...]
    pruned: tuple[Pruned, ...] = ()

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        return tuple(mismatch for check in self.checks for mismatch in check.mismatches)

    @property
    def clean(self) -> bool:
        return not self.mismatches

    def to_document(self) -> Document:
        return {
            "verify": {
                "clean": self.clean,
                "period": None if self.period is None else str(self.period),
                "checks": [
                    {
                        "check": check.name,
                        "holds": check.holds,
                        "rows": check.rows,
                        "mismatches": len(check.mismatches) + check.unnamed,
                    }
                    for check in self.checks
                ],
                "uninvoiced": [
                    {
                        "period": str(row.period),
                        "revision": row.revision,
                        "uninvoiced_usd": Amount(row.amount),
                    }
                    for row in self.uninvoiced
                ],
                "pruned": [pruned_document(gone) for gone in self.pruned],
                "mismatches": [mismatch.to_document() for mismatch in self.mismatches],
            }
        }


def verify(store: Store, period: Period | None = None) -> VerifyResult:
    """Run every check. `period` limits those that go by billing period to one."""
    with store.read() as transaction:
        return verify_within(transaction, period)


def verify_within(transaction: Transaction, period: Period | None = None) -> VerifyResult:
    """The same of what one open transaction sees."""
    done = []
    for name, check in CHECKS.items():
        found = Comparison(name, transaction, period)
        check(found)
        holds = (check.__doc__ or "").strip().partition("\n")[0]
        done.append(CheckResult(name, holds, found.rows, tuple(found.mismatches), found.unnamed))
    return VerifyResult(
        period,
        tuple(done),
        tuple(_uninvoiced(transaction, period)),
        tuple(gone for of, gone in pruned.listed(transaction).items() if period in (None, of)),
    )


def _uninvoiced(transaction: Transaction, period: Period | None) -> Iterator[Uninvoiced]:
    live = live_subtotals(transaction, period)
    for close in closes.listed(transaction):
        if period in (None, close.period):
            amount = close.invoiced - live.get((close.period, close.revision), 0)
            if amount:
                yield Uninvoiced(close.period, close.revision, amount)
