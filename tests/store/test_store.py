"""Transactions: whole or not at all, and errors with a name."""

import pytest
import sqlalchemy as sa

from chargeback_worker.errors import Misconfigured
from chargeback_worker.store import Store, UnreadableUrl, audit
from chargeback_worker.store.audit import Act
from chargeback_worker.store.dialects import UnknownDatabase
from chargeback_worker.store.tables import audit as table

_ACT = Act("ada", 1, "because")


def _rows(store: Store) -> int:
    with store.read() as transaction:
        counted = transaction.execute(sa.select(sa.func.count()).select_from(table))
        return int(counted.scalar_one())


def test_a_transaction_ends_whole(store: Store) -> None:
    with store.begin() as transaction:
        audit.append(transaction, _ACT, "close", "period:2026-10")
    assert _rows(store) == 1


def test_whatever_is_raised_undoes_all(store: Store) -> None:
    def interrupted() -> None:
        with store.begin() as transaction:
            audit.append(transaction, _ACT, "close", "period:2026-10")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _rows(store) == 0


def test_a_fault_of_ours_stays_what_it_is(store: Store) -> None:
    with pytest.raises(sa.exc.DBAPIError), store.begin() as transaction:
        transaction.execute(sa.text("SELECT nothing FROM nowhere"))
    assert _rows(store) == 0


def test_nobody_is_found_asleep_where_nobody_is(store: Store) -> None:
    assert [list(store.end_sleepers()) for _ in range(2)] == [[], []]


@pytest.mark.parametrize("url", ["", "books.db", "sqlite:/x", "://"])
def test_a_text_that_is_no_url_is_named(url: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        Store(url)
    assert refusal.value.hint
    assert isinstance(refusal.value, UnreadableUrl)


def test_a_database_of_another_make_is_named() -> None:
    with pytest.raises(UnknownDatabase):
        Store("mysql://ada@host/books")


def test_the_name_of_a_database_hides_its_password() -> None:
    store = Store("postgresql://ada:secret@host/books")
    assert "secret" not in store.name
    assert "books" in store.name
    store.close()
