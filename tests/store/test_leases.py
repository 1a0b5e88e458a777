"""Leases on the database's clock: one owner at a time, and one who was away is told apart."""

from chargeback_worker.store import Store, leases


def test_a_lease_is_one_owners_until_it_lapses(store: Store) -> None:
    with store.begin() as transaction:
        mine = leases.take(transaction, "x", "me", 60)
        assert mine is not None
        assert leases.take(transaction, "x", "you", 60) is None
        assert leases.take(transaction, "y", "you", 60) is not None
        assert leases.take(transaction, "x", "me", 0) == mine
        yours = leases.take(transaction, "x", "you", 60)
        assert yours is not None
        assert yours.epoch == mine.epoch + 1


def test_an_owner_that_was_away_holds_it_no_more(store: Store) -> None:
    with store.begin() as transaction:
        before = leases.take(transaction, "x", "me", 0)
        assert before is not None
        # A lapsed one that nobody took is still held.
        assert leases.hold(transaction, before, 0)
        assert leases.take(transaction, "x", "you", 0) is not None
        assert not leases.hold(transaction, before, 60)
        after = leases.take(transaction, "x", "me", 60)
        assert after is not None
        assert after != before
        assert not leases.hold(transaction, before, 60)
        leases.release(transaction, before)
        assert leases.take(transaction, "x", "you", 60) is None
        leases.release(transaction, after)
        assert leases.take(transaction, "x", "you", 60) is not None
