"""Requests for invoices: kept by month and receiver, until their draft is cancelled."""

import pytest

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.snapshot import Requested
from chargeback_worker.period import BillingRange
from chargeback_worker.store import Store, requests
from tests.support.ledger import NOVEMBER, NOW_US, OCTOBER


def _put(store: Store, *asked: Requested) -> None:
    with store.begin() as transaction:
        for each in asked:
            requests.put(transaction, OCTOBER, each, NOW_US)


def _kept(store: Store) -> tuple[Requested, ...]:
    with store.read() as transaction:
        return requests.of_days(transaction, OCTOBER.days())


@pytest.mark.parametrize("receiver", [Pair("A"), Pair(None, "A"), Pair("A", "u"), Pair("A/user:u")])
def test_a_request_reads_back_as_it_was(store: Store, receiver: Pair) -> None:
    asked = Requested(receiver, 190_000_000, 14)
    _put(store, asked)
    assert _kept(store) == (asked,)


def test_what_is_left_open_stays_as_it_was_asked_for_before(store: Store) -> None:
    _put(store, Requested(Pair("A")))
    assert _kept(store) == (Requested(Pair("A")),)
    _put(store, Requested(Pair("A"), 0, None), Requested(Pair("A"), None, 0))
    assert _kept(store) == (Requested(Pair("A"), 0, 0),)
    _put(store, Requested(Pair("A"), 70_000_000, None))
    assert _kept(store) == (Requested(Pair("A"), 70_000_000, 0),)


def test_requests_come_in_one_order_whatever_came_first(store: Store) -> None:
    asked = [Requested(Pair(None, "u")), Requested(Pair("B")), Requested(Pair("A", "u"))]
    _put(store, *asked)
    assert _kept(store) == tuple(reversed(asked))


def test_a_request_is_of_its_month_alone_and_of_no_other_days(store: Store) -> None:
    _put(store, Requested(Pair("A")))
    with store.read() as transaction:
        assert requests.of_days(transaction, NOVEMBER.days()) == ()
        some = BillingRange(OCTOBER.days().start, NOVEMBER.days().end)
        assert requests.of_days(transaction, some) == ()


def test_one_that_is_dropped_is_forgotten_and_the_others_stay(store: Store) -> None:
    kept = Requested(Pair("A", "u"), due_days=3)
    _put(store, kept, Requested(Pair("A"), 0))
    with store.begin() as transaction:
        requests.drop(transaction, OCTOBER, Pair("A"))
        requests.drop(transaction, NOVEMBER, Pair("A", "u"))
    assert _kept(store) == (kept,)
    _put(store, Requested(Pair("A")))
    assert Requested(Pair("A")) in _kept(store)
