"""What the tests of an invoice's life ask for, in one line each."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Approval, Requested, Snapshot
from chargeback_worker.invoicing.invoice import Invoice, Status
from chargeback_worker.money import fixed
from chargeback_worker.period import Period
from chargeback_worker.pipeline.change_status import StatusResult, change_status
from chargeback_worker.pipeline.close import close
from chargeback_worker.pipeline.create_invoice import CreateResult, create_invoice
from chargeback_worker.pipeline.reopen import reopen
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store
from tests.support.ledger import AFTER_NOVEMBER_US, OCTOBER, TERMS, act, issued

T = TypeVar("T")
MANUAL = Snapshot(approval=Approval.MANUAL)
NOW_US = AFTER_NOVEMBER_US


def asked(
    store: Store,
    team: str | None = None,
    user: str | None = None,
    *,
    period: Period = OCTOBER,
    terms: Snapshot = TERMS,
    tax_rate: int | None = None,
    due_days: int | None = None,
) -> CreateResult:
    wanted = Requested(Pair(team, user), tax_rate, due_days)
    return create_invoice(store, period, wanted, terms, act(NOW_US))


def closed_by(store: Store, terms: Snapshot = TERMS, *, period: Period = OCTOBER) -> list[Invoice]:
    """The month's invoices after its close."""
    close(store, period, terms, act(NOW_US), owner="closer")
    return issued(store, period)


def given(
    store: Store, name: str, status: Status, *, reason: str | None = None, now_us: int = NOW_US
) -> StatusResult:
    return change_status(store, name, status, TERMS, act(now_us, reason))


def reopened(store: Store, period: Period = OCTOBER) -> None:
    reopen(store, period, act(NOW_US, "a price was wrong"))


def billed(store: Store, period: Period = OCTOBER) -> dict[str, str]:
    """The subtotal of each invoice and draft that is not cancelled, in dollars, by receiver."""
    return {
        invoice.receiver.key: fixed(invoice.subtotal, 2)
        for invoice in issued(store, period)
        if invoice.status is not Status.CANCELLED
    }


def sound(store: Store) -> bool:
    """Whether the books verify."""
    assert verify(store).mismatches == ()
    return True


def at_once(doings: Sequence[Callable[[], T]]) -> list[T]:
    """What they give, each in a thread of its own that begins when all have."""
    start = threading.Barrier(len(doings))
    ended: list[T] = []

    def run(doing: Callable[[], T]) -> None:
        start.wait()
        ended.append(doing())

    threads = [threading.Thread(target=run, args=(doing,)) for doing in doings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ended) == len(doings)
    return ended
