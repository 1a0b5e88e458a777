"""The usage totals of some days as they are stored, one by one, for tests to sum themselves."""

from collections.abc import Collection

from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction, totals
from chargeback_worker.usage.total import UsageTotal


def totals_of_days(
    transaction: Transaction, days: BillingRange, periods: Collection[Period] | None = None
) -> list[UsageTotal]:
    """In the order of keys; whichever period bills them, or only those periods."""
    return [
        total
        for _, total in sorted(totals.stored(transaction).items())
        if days.start <= total.day < days.end and (periods is None or total.period in periods)
    ]
