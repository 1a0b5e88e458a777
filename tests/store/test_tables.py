"""What holds for every table, whoever adds one."""

import pytest
import sqlalchemy as sa

from chargeback_worker.store.columns import Digest
from chargeback_worker.store.tables import metadata

_COLUMNS = [column for table in metadata.sorted_tables for column in table.columns]


@pytest.mark.parametrize("column", _COLUMNS, ids=str)
def test_no_column_is_a_float_or_a_decimal(column: sa.Column[object]) -> None:
    # Float is a kind of Numeric to SQLAlchemy; both would round money.
    assert isinstance(column.type, sa.Integer | sa.Text | sa.LargeBinary | Digest)
    assert not isinstance(column.type, sa.Numeric)


def test_every_amount_is_a_whole_and_its_nano() -> None:
    for table in metadata.sorted_tables:
        for column in table.columns:
            if column.name.endswith("_whole"):
                nano = table.columns[column.name.replace("_whole", "_nano")]
                assert nano.nullable == column.nullable
                assert nano.constraints, f"{nano} may be anything"


def test_every_table_is_strict_on_sqlite() -> None:
    for table in metadata.sorted_tables:
        assert table.dialect_options["sqlite"]["strict"], table.name
