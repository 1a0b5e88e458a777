"""Sums of quantities at the limit pass 64 bits and stay exact, on both stores."""

from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.document import Amount
from chargeback_worker.money import EXA, NANO, exa_whole_and_nano
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.pipeline.close import close
from chargeback_worker.reports.usage_summary import usage_summary
from chargeback_worker.reports.verify import verify
from chargeback_worker.store import Store
from chargeback_worker.store.audit import Act
from tests.support.feed import NOW_US, Feed
from tests.support.feed import usage as event
from tests.support.stored_totals import totals_of_days

LIMIT = "1000000000000000000"


@given(st.integers(-(10**37), 10**37))
def test_three_integers_hold_any_sum(amount: int) -> None:
    exa, whole, nano = exa_whole_and_nano(amount)
    assert 0 <= whole < EXA
    assert 0 <= nano < NANO
    assert (exa * EXA + whole) * NANO + nano == amount


def test_thirty_quantities_at_the_limit_are_summed_billed_and_verified(store: Store) -> None:
    feed = Feed(store)
    events = [event(f"a{n}", quantity=LIMIT) for n in range(30)]
    for start in range(0, 30, 7):
        feed.send(*events[start : start + 7])
    feed.send(event("fraction", quantity="0.999999999"), event("back", quantity="-0.5"))
    expected = 30 * EXA * NANO + 499_999_999
    month = Period(2026, 10)
    with store.read() as transaction:
        (total,) = totals_of_days(transaction, month.days())
    assert total.quantity == expected
    summary = usage_summary(store, BillingRange.parse("2026-10"))["summary"]
    assert summary["total_quantity"] == Amount(expected)
    act = Act("tester", NOW_US + 90 * 86_400 * 10**6)
    close(store, month, Snapshot(), act, owner="tester")
    assert verify(store).mismatches == ()


def test_a_sum_that_falls_below_zero_carries_downward(store: Store) -> None:
    feed = Feed(store)
    for n in range(12):
        feed.send(event(f"a{n}", quantity=f"-{LIMIT}"))
    feed.send(event("tiny", quantity="0.000000001"))
    with store.read() as transaction:
        (total,) = totals_of_days(transaction, Period(2026, 10).days())
    assert total.quantity == -12 * EXA * NANO + 1
