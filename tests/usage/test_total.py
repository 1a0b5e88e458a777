from datetime import date

from chargeback_worker.period import Period
from chargeback_worker.usage.digests import total_key
from chargeback_worker.usage.total import UsageTotal


def total(period: Period, cost: int = 1) -> UsageTotal:
    return UsageTotal(
        period, date(2026, 10, 31), "T", None, "g", "query", ("x",), cost, quantity=2, records=3
    )


def test_a_total_has_the_key_of_its_grain() -> None:
    key = total_key(202610, 20261031, "T", None, "g", "query", ("x",))
    assert total(Period(2026, 10)).key == key
    assert total(Period(2026, 10), cost=99).key == key


def test_late_usage_has_a_key_of_its_own_and_the_same_origin() -> None:
    late = total(Period(2026, 11))
    assert late.key != total(Period(2026, 10)).key
    assert late.origin_period == Period(2026, 10)
