"""The order of closes, what each decided by, and what each booked of one thing."""

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import UNALLOCATED, Pair
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import close
from chargeback_worker.store import Store, history, snapshots
from chargeback_worker.store.history import BookedOnce, ClosePlace
from tests.support.damage import sql, unguarded
from tests.support.explained import reopen
from tests.support.feed import Feed, usage
from tests.support.ledger import AFTER_NOVEMBER_US, NOVEMBER, OCTOBER, SEPTEMBER, TERMS, act

OWN = PartKey("default", 1, Pair("T", "u"), "query")


def _closed_thrice(store: Store) -> list[ClosePlace]:
    """October, November with late usage of October, October again."""
    feed = Feed(store)
    feed.send(usage("a", "1"), usage("nobody", "2", team=None, user_id=None))
    _close(store, OCTOBER)
    feed.send(usage("late", "3"))
    _close(store, NOVEMBER)
    reopen(store, OCTOBER)
    feed.send(usage("again", "4"))
    _close(store, OCTOBER, Snapshot(due_days=7))
    return [ClosePlace(OCTOBER, 1), ClosePlace(NOVEMBER, 1), ClosePlace(OCTOBER, 2)]


def _close(store: Store, period: Period, terms: Snapshot = TERMS) -> None:
    close(store, period, terms, act(AFTER_NOVEMBER_US), owner="closer")


def test_closes_are_told_in_the_order_in_which_they_were_done(store: Store) -> None:
    done = _closed_thrice(store)
    with store.read() as transaction:
        assert history.places(transaction) == done


def test_a_close_whose_message_is_gone_comes_before_all_that_have_theirs(store: Store) -> None:
    first, november, last = _closed_thrice(store)
    with unguarded(store) as transaction:
        sql("DELETE FROM outbox WHERE ce_id = '2026-10:2'")(transaction)
        assert history.places(transaction) == [last, first, november]


def test_each_close_has_its_own_snapshot(store: Store) -> None:
    first, _, last = _closed_thrice(store)
    with store.read() as transaction:
        found = [
            snapshots.of_close(transaction, place.period, place.revision) for place in (first, last)
        ]
        assert [snapshot.due_days for snapshot in found if snapshot] == [30, 7]
        assert snapshots.of_close(transaction, SEPTEMBER, 1) is None


def test_what_was_booked_of_a_key_names_the_close_and_the_invoice(store: Store) -> None:
    first, november, last = _closed_thrice(store)
    with store.read() as transaction:
        assert history.booked(transaction, OCTOBER, OWN) == [
            BookedOnce(first, NANO, "INV-202610-0001"),
            BookedOnce(last, 4 * NANO, "INV-202610-0002"),
            BookedOnce(november, 3 * NANO, "INV-202611-0001"),
        ]
        nobodys = OWN._replace(pair=UNALLOCATED)
        assert history.booked(transaction, OCTOBER, nobodys) == [BookedOnce(first, 2 * NANO, None)]
        assert history.booked(transaction, NOVEMBER, OWN) == []
