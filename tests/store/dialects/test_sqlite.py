"""The ways of SQLite: one writer, a journal that is sound, and integers that stay integers."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from chargeback_worker.errors import Unavailable
from chargeback_worker.store import Store, schema
from chargeback_worker.store.dialects import sqlite as dialect
from chargeback_worker.store.dialects.sqlite import journal_mode
from chargeback_worker.store.dialects.sqlite_errors import NotADatabase


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    store = Store(sqlite_url)
    schema.upgrade(store)
    yield store
    store.close()


@pytest.mark.parametrize(
    ("version", "mode"),
    [
        ((3, 40, 1), "TRUNCATE"),
        ((3, 44, 5), "TRUNCATE"),
        ((3, 44, 6), "WAL"),
        ((3, 45, 0), "TRUNCATE"),
        ((3, 50, 6), "TRUNCATE"),
        ((3, 50, 7), "WAL"),
        ((3, 51, 2), "TRUNCATE"),
        ((3, 51, 3), "WAL"),
        ((3, 52, 0), "WAL"),
        ((4, 0, 0), "WAL"),
    ],
)
def test_wal_is_used_only_where_it_is_sound(version: tuple[int, int, int], mode: str) -> None:
    assert journal_mode(version) == mode


def test_the_database_uses_that_journal(store: Store) -> None:
    with store.read() as transaction:
        mode = transaction.connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        keys = transaction.connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one()
    assert mode.upper() == journal_mode(sqlite3.sqlite_version_info)
    assert keys == 1


def test_a_file_that_another_process_writes_is_waited_for_and_then_unavailable(
    store: Store, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    other = Store(sqlite_url)
    with store.begin(), pytest.raises(Unavailable), other.begin():
        pass
    with other.begin() as transaction:
        assert transaction.now_us() > 0
    other.close()


def test_two_threads_of_one_process_write_one_after_the_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialect, "BUSY_TIMEOUT_S", 0.05)
    with store.begin(), pytest.raises(Unavailable), store.begin():
        pass


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at by somebody " * 20)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(NotADatabase) as refusal, store.read() as transaction:
        transaction.execute(sa.text("SELECT * FROM sqlite_master"))
    assert "notes.txt" in refusal.value.message
    store.close()


def test_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'none' / 'books.db'}")
    with pytest.raises(Unavailable), store.begin():
        pass
    store.close()
