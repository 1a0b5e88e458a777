"""What the metrics show of the books, from stored rows alone."""

from datetime import timedelta

from chargeback_worker.period import to_us
from chargeback_worker.reports.figures import figures
from chargeback_worker.store import Store, installation
from chargeback_worker.usage.event import Grain
from tests.support.ledger import NOVEMBER, OCTOBER

DELAY = timedelta(hours=48)


def test_a_month_without_usage_is_overdue_like_any_other(store: Store) -> None:
    with store.begin() as transaction:
        installation.settle_grain(transaction, Grain("Asia/Kolkata", ()))
        installation.settle_first_period(transaction, None, OCTOBER)
    ends, _ = NOVEMBER.bounds(Grain("Asia/Kolkata", ()).zone())
    due_us = to_us(ends + DELAY)

    def since(now_us: int) -> int | None:
        return figures(store, now_us, DELAY).overdue_since_us

    assert since(due_us) is None
    assert since(due_us + 1) == due_us
