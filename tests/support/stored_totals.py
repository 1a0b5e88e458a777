"""Usage totals that are odd, and those that are stored, one by one, for tests to sum themselves."""

import random
from collections.abc import Collection, Iterator
from datetime import timedelta

from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction, totals
from chargeback_worker.usage.total import UsageTotal

OCTOBER, NOVEMBER = Period(2026, 10), Period(2026, 11)
MONTHS = BillingRange(OCTOBER.days().start, NOVEMBER.days().end)
TEXTS = ("a", "b", "it's", "100 %", '"', "(other)", "", None)


def totals_of_days(
    transaction: Transaction, days: BillingRange, periods: Collection[Period] | None = None
) -> list[UsageTotal]:
    """In the order of keys; whichever period bills them, or only those periods."""
    return [
        total
        for _, total in sorted(totals.stored(transaction).items())
        if days.start <= total.day < days.end and (periods is None or total.period in periods)
    ]


def odd_totals(count: int) -> Iterator[UsageTotal]:
    """Totals of two months, two labels and texts that SQL may stumble over; always the same."""
    for number in range(count):
        drawn = random.Random(number)
        day = MONTHS.start + timedelta(days=drawn.randrange(61))
        yield UsageTotal(
            period=drawn.choice([OCTOBER, NOVEMBER]) if day < NOVEMBER.days().start else NOVEMBER,
            day=day,
            team=drawn.choice(TEXTS),
            user=drawn.choice(TEXTS),
            agent=drawn.choice(TEXTS),
            resource_type=drawn.choice(["query", "compute"]),
            labels=(drawn.choice(TEXTS), drawn.choice(TEXTS)),
            cost=drawn.randint(-(10**18), 10**20),
            quantity=drawn.choice([1, -1, 3 * 10**9]) * drawn.randint(0, 10**27),
            records=drawn.randint(1, 10**12),
        )
