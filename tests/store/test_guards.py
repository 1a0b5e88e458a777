"""What the databases themselves refuse, whoever asks: the guards fire on both."""

from collections.abc import Iterator
from contextlib import suppress

import pytest
import sqlalchemy as sa

from chargeback_worker.store import Store, schema
from chargeback_worker.store.dialects.guards import GUARDS
from tests.support.whole_books import whole_books

_ISSUED = "number = 'INV-202610-0001'"
_LINE = f"invoice_id = (SELECT invoice_id FROM invoice WHERE {_ISSUED})"
_COPY_OF_TOTAL = (
    "INSERT INTO usage_total (total_key, period, day, resource_type, cost_whole, cost_nano,"
    " quantity_whole, quantity_nano, records) SELECT identity, {period}, 20261001, 'query',"
    " 1, 0, 1, 0, 1 FROM usage_key LIMIT 1"
)
_COPY_OF_BOOKING = (
    "INSERT INTO booking (allocation_id, resource_type, origin_period, billing_period, revision,"
    " rule_id, rule_version, cost_whole, cost_nano, quantity_whole, quantity_nano, records, shared)"
    " VALUES ('new', 'query', 202610, {period}, 1, 'default', 1, 1, 0, 1, 0, 1, 0)"
)
_COPY_OF_LINE = (
    "INSERT INTO invoice_line (invoice_id, line, kind, description, resource_type,"
    " total_price_whole, total_price_nano, exact_whole, exact_nano, allocation_id, rule_id,"
    " rule_version, origin_period) SELECT invoice_id, 99, 'usage', '', 'query', 0, 0, 0, 0,"
    f" '', 'default', 1, 202610 FROM invoice WHERE {_ISSUED}"
)

REFUSED = {
    "a closed period is opened": "UPDATE billing_period SET state = 'open' WHERE period = 202610",
    "a closed period is said to be closing": (
        "UPDATE billing_period SET state = 'closing' WHERE period = 202610"
    ),
    "a closed period gets other boundaries": (
        "UPDATE billing_period SET ends_us = ends_us + 1 WHERE period = 202610"
    ),
    "a closed period gets another time of its close": (
        "UPDATE billing_period SET closed_us = 1 WHERE period = 202610"
    ),
    "a closed period is removed": "DELETE FROM billing_period WHERE period = 202610",
    "a total is moved into a closed period": (
        "UPDATE usage_total SET period = 202610 WHERE period = 202612"
    ),
    "a total is given to another team": "UPDATE usage_total SET team_id = 'Z'",
    "a total of a closed period is changed": (
        "UPDATE usage_total SET records = records + 1 WHERE period = 202610"
    ),
    "a total of a closed period is removed": "DELETE FROM usage_total WHERE period = 202610",
    "a total of a closed period is added": _COPY_OF_TOTAL.format(period=202610),
    "a key is changed": "UPDATE usage_key SET content = identity",
    "a key is removed": "DELETE FROM usage_key",
    "the cost of a record is changed": "UPDATE usage_record SET cost_nano = cost_nano + 1",
    "the team of a record is changed": "UPDATE usage_record SET team_id = 'Z'",
    "the position of a record is changed": "UPDATE usage_record SET position = position + 100",
    "a record of an open month is dropped": "DELETE FROM usage_record WHERE period = 202612",
    "all records are dropped": "DELETE FROM usage_record",
    "a booking is changed": "UPDATE booking SET cost_whole = 0",
    "a booking is removed": "DELETE FROM booking",
    "something is booked in a closed period": _COPY_OF_BOOKING.format(period=202610),
    "something is booked in an open period": _COPY_OF_BOOKING.format(period=202612),
    "something is booked in no period": _COPY_OF_BOOKING.format(period=203001),
    "a version of a rule is changed": "UPDATE rule_version SET content = '{}'",
    "a version of a rule is removed": "DELETE FROM rule_version",
    "a version of the directory gets another number": "UPDATE directory_version SET version = 2",
    "a version of the directory is removed": "DELETE FROM directory_version",
    "a snapshot is changed": "UPDATE snapshot SET content = '{}'",
    "a snapshot is removed": "DELETE FROM snapshot",
    "a close is changed": "UPDATE period_close SET invoices = 0",
    "a close is removed": "DELETE FROM period_close",
    "an audit row is changed": "UPDATE audit SET reason = 'none'",
    "an audit row is removed": "DELETE FROM audit",
    "the total of an issued invoice is changed": (
        f"UPDATE invoice SET total_whole = total_whole + 1 WHERE {_ISSUED}"
    ),
    "the number of an issued invoice is changed": (
        f"UPDATE invoice SET number = 'INV-202610-9999' WHERE {_ISSUED}"
    ),
    "an issued invoice is given another month": f"UPDATE invoice SET period = 1 WHERE {_ISSUED}",
    "the due date of an issued invoice is taken away": (
        f"UPDATE invoice SET due_day = NULL WHERE {_ISSUED}"
    ),
    "the time of issue of an issued invoice is changed": (
        f"UPDATE invoice SET issued_us = issued_us + 1 WHERE {_ISSUED}"
    ),
    "an issued invoice is made a projection": f"UPDATE invoice SET final = 0 WHERE {_ISSUED}",
    "what an issued invoice replaces is changed": (
        f"UPDATE invoice SET replaces = number WHERE {_ISSUED}"
    ),
    "a cancelled invoice gets another number": (
        "UPDATE invoice SET number = 'INV-202612-0001' WHERE status = 'cancelled'"
    ),
    "an issued invoice is made a draft": f"UPDATE invoice SET status = 'draft' WHERE {_ISSUED}",
    "a draft of an open month is issued": (
        "UPDATE invoice SET status = 'sent', number = 'INV-202612-0001' WHERE status = 'draft'"
    ),
    "a draft is issued without a number": (
        "UPDATE invoice SET status = 'pending', final = 1 WHERE status = 'draft'"
    ),
    "a line is moved to another invoice": (
        "UPDATE invoice_line SET invoice_id = (SELECT invoice_id FROM invoice"
        " WHERE number = 'INV-202610-0002'), line = 99 WHERE line = 1 AND " + _LINE
    ),
    "an issued invoice is removed": f"DELETE FROM invoice WHERE {_ISSUED}",
    "a line of an issued invoice is changed": (
        f"UPDATE invoice_line SET description = 'a gift' WHERE {_LINE}"
    ),
    "a line of an issued invoice is removed": f"DELETE FROM invoice_line WHERE {_LINE}",
    "a line is added to an issued invoice": _COPY_OF_LINE,
    "a series of numbers goes back": "UPDATE invoice_series SET last = last - 1",
    "a series of numbers is given another month": "UPDATE invoice_series SET period = period + 1",
    "a series of numbers is removed": "DELETE FROM invoice_series",
    "the headers of a message are changed": "UPDATE outbox SET headers = '[]'",
    "the bytes of a message are changed": "UPDATE outbox SET payload = substr(payload, 2)",
    "the place of a message is changed": "UPDATE outbox SET seq = seq + 100",
    "a message is removed": "DELETE FROM outbox",
}

# What only one of the databases would do past a trigger on each row.
REPLACED = (
    "INSERT OR REPLACE INTO billing_period SELECT * FROM billing_period",
    "INSERT OR REPLACE INTO period_close SELECT * FROM period_close",
    "INSERT OR REPLACE INTO snapshot SELECT * FROM snapshot",
    "INSERT OR REPLACE INTO rule_version SELECT * FROM rule_version",
    "INSERT OR REPLACE INTO directory_version SELECT * FROM directory_version",
    "INSERT OR REPLACE INTO audit SELECT * FROM audit",
    "INSERT OR REPLACE INTO outbox SELECT * FROM outbox",
    "INSERT OR REPLACE INTO invoice SELECT * FROM invoice",
    "UPDATE OR REPLACE billing_period SET period = 202610 WHERE period = 202612",
)
TRUNCATED = (
    "usage_total",
    "usage_key",
    "usage_record",
    "booking",
    "audit",
    "outbox",
    "rule_version",
    "directory_version",
    "invoice CASCADE",
)

ALLOWED = {
    "a period is reopened": "UPDATE billing_period SET state = 'reopened' WHERE period = 202610",
    "a total of an open period is changed": (
        "UPDATE usage_total SET records = records + 1 WHERE period = 202612"
    ),
    "a total of an open period is added": _COPY_OF_TOTAL.format(period=202612),
    "records of a closed month are dropped": "DELETE FROM usage_record WHERE period = 202610",
    "the metadata of a record are erased": "UPDATE usage_record SET metadata = NULL",
    "a name is erased from the directory": "UPDATE directory_version SET content = content",
    "an issued invoice is paid": (
        f"UPDATE invoice SET status = 'paid', paid_day = 20261201 WHERE {_ISSUED}"
    ),
    "the lines of a draft are removed": (
        "DELETE FROM invoice_line WHERE invoice_id IN"
        " (SELECT invoice_id FROM invoice WHERE status = 'draft')"
    ),
    "a series of numbers goes on": "UPDATE invoice_series SET last = last + 1",
    "a message is published": "UPDATE outbox SET published_us = 1, topic_offset = 5",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def books(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    """Books with everything in them. What a test changes of them it undoes."""
    on_server = request.param == "postgresql"
    with whole_books(
        request.getfixturevalue("postgresql") if on_server else tmp_path_factory.mktemp("books")
    ) as store:
        yield store


class _Undo(Exception):
    pass


def _done(store: Store, *statements: str) -> int:
    """Rows that the last statement touched; all is undone."""
    rows = 0
    with suppress(_Undo), store.begin() as transaction:
        for statement in statements:
            rows = transaction.execute(sa.text(statement)).rowcount
        raise _Undo
    return rows


def _refused(store: Store, *statements: str) -> str:
    """What the database says to the last statement; all is undone."""
    with pytest.raises(sa.exc.DatabaseError) as refusal:
        _done(store, *statements)
    assert statements[-1][:40] in str(refusal.value)
    return str(refusal.value)


_SENTENCES = {guard.message for guard in GUARDS}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_that(books: Store, name: str) -> None:
    refusal = _refused(books, REFUSED[name])
    assert any(sentence in refusal for sentence in _SENTENCES), refusal


@pytest.mark.parametrize("name", ALLOWED)
def test_it_is_allowed_that(books: Store, name: str) -> None:
    assert _done(books, ALLOWED[name]) > 0


@pytest.mark.parametrize("statement", REPLACED)
def test_no_row_is_replaced(books: Store, statement: str) -> None:
    if books.dialect.name == "sqlite":
        assert any(sentence in _refused(books, statement) for sentence in _SENTENCES)


@pytest.mark.parametrize("table", TRUNCATED)
def test_no_table_is_emptied(books: Store, table: str) -> None:
    if books.dialect.name == "postgresql":
        refusal = _refused(books, f"TRUNCATE {table}")
        assert any(sentence in refusal for sentence in _SENTENCES), refusal


def test_an_invoice_that_is_paid_stays_so(books: Store) -> None:
    paid = f"UPDATE invoice SET status = 'paid' WHERE {_ISSUED}"
    assert "stays so" in _refused(books, paid, paid.replace("'paid'", "'sent'"))


def test_a_period_that_is_closing_takes_bookings_and_no_totals(books: Store) -> None:
    closing = "UPDATE billing_period SET state = 'closing' WHERE period = 202612"
    assert _done(books, closing, _COPY_OF_BOOKING.format(period=202612)) == 1
    assert "totals of a period" in _refused(books, closing, _COPY_OF_TOTAL.format(period=202612))


def test_an_upsert_into_a_closed_period_is_refused(books: Store) -> None:
    upsert = (
        "INSERT INTO usage_total SELECT * FROM usage_total WHERE period = 202610"
        " ON CONFLICT (total_key) DO UPDATE SET records = usage_total.records + excluded.records"
    )
    if books.dialect.name == "sqlite":
        upsert = upsert.replace("period = 202610", "period = 202610 AND true")
    assert "totals of a period" in _refused(books, upsert)


def test_guards_are_made_anew_by_every_upgrade(store: Store) -> None:
    schema.upgrade(store)
    with store.begin() as transaction:
        on = "" if store.dialect.name == "sqlite" else " ON audit"
        transaction.execute(sa.text(f"DROP TRIGGER guard_audit_kept_on_delete{on}"))
    append = (
        "INSERT INTO audit (at_us, actor, action, subject) VALUES (1, 'ada', 'close', 'period:1')"
    )
    assert _done(store, append, "DELETE FROM audit") == 1
    schema.upgrade(store)
    assert "never changed" in _refused(store, append, "DELETE FROM audit")


def test_every_guard_has_a_case() -> None:
    tables = {guard.table for guard in GUARDS}
    named = " ".join(REFUSED.values())
    assert {table for table in tables if table not in named} == set()
