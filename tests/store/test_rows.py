"""Many rows at once: whatever is in them, it is read back as it was written."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.store import Store, rows
from chargeback_worker.store.columns import Bytes, Text, Whole
from chargeback_worker.store.rows import insert_many

_table = sa.Table(
    "kept",
    sa.MetaData(),
    sa.Column("place", Whole, primary_key=True, autoincrement=False),
    sa.Column("references", Text),
    sa.Column("whole", Whole),
    sa.Column("payload", Bytes),
)
# PostgreSQL takes no NUL in a text.
_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_hostile = st.sampled_from(["", "\\N", "\\.", "\\", "\t", "a\nb\r\n", "\\x00", "\\\\t", "\x7f\x0b"])
_row = st.tuples(
    st.none() | _texts | _hostile,
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.binary(max_size=5),
)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A store with nothing but the table of these tests."""

    def opened(url: str) -> Iterator[Store]:
        store = Store(url)
        _table.create(store.engine)
        yield store
        store.close()

    if request.param == "sqlite":
        yield from opened(f"sqlite:///{tmp_path_factory.mktemp('rows') / 'rows.db'}")
        return
    with request.getfixturevalue("postgresql").database() as url:
        yield from opened(url)


@given(written=st.lists(_row, max_size=12), at_once=st.integers(1, 5))
def test_rows_are_read_back_as_they_were_written(
    empty: Store, written: list[tuple[Any, ...]], at_once: int
) -> None:
    placed = [(place, *row) for place, row in enumerate(written)]
    with pytest.MonkeyPatch.context() as patch, empty.begin() as transaction:
        patch.setattr(rows, "ROWS_AT_ONCE", at_once)
        transaction.execute(sa.delete(_table))
        names = [column.name for column in _table.c]
        insert_many(transaction, _table, (dict(zip(names, row, strict=True)) for row in placed))
        found = transaction.execute(sa.select(_table).order_by(_table.c.place)).all()
    assert [tuple(row) for row in found] == placed


def test_a_row_that_is_there_already_is_refused_with_all_others(empty: Store) -> None:
    given_rows = [{"place": place, "references": "x"} for place in (901, 902, 901)]
    with pytest.raises(sa.exc.IntegrityError), empty.begin() as transaction:
        insert_many(transaction, _table, given_rows)
    with empty.read() as transaction:
        found = transaction.execute(sa.select(_table.c.place).where(_table.c.place > 900))
        assert found.all() == []


def test_an_error_of_whoever_makes_the_rows_comes_through(empty: Store) -> None:
    def made() -> Iterator[dict[str, Any]]:
        yield {"place": 801}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), empty.begin() as transaction:
        insert_many(transaction, _table, made())
    with empty.read() as transaction:
        found = transaction.execute(sa.select(_table.c.place).where(_table.c.place > 800))
        assert found.all() == []
