"""Sound books verify clean; every kind of damage done by hand is named."""

from collections.abc import Iterator

import pytest

from chargeback_worker.invoicing.document import encode
from chargeback_worker.period import Period
from chargeback_worker.reports.verify import CHECKS, verify, verify_within
from chargeback_worker.reports.verify.comparison import NAMED_MAX
from chargeback_worker.store import Store
from tests.support.damage import sql, unguarded
from tests.support.damage_of_books import OF_BOOKS
from tests.support.damage_of_invoices import OF_INVOICES
from tests.support.damage_of_usage import OF_USAGE
from tests.support.feed import Feed, set_state, usage
from tests.support.whole_books import whole_books

_DAMAGES = {**OF_USAGE, **OF_BOOKS, **OF_INVOICES}
_OCTOBER, _NOVEMBER = Period(2026, 10), Period(2026, 11)


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


def test_sound_books_verify_clean(books: Store) -> None:
    result = verify(books)
    assert result.mismatches == ()
    assert result.clean
    assert [check.name for check in result.checks if not check.rows] == []


@pytest.mark.parametrize("period", [_OCTOBER, _NOVEMBER, Period(2026, 12), Period(2031, 1)])
def test_sound_books_verify_clean_by_period(books: Store, period: Period) -> None:
    assert verify(books, period).mismatches == ()


def test_an_empty_database_verifies_clean(store: Store) -> None:
    assert verify(store).mismatches == ()


def test_every_check_says_what_holds() -> None:
    for check in CHECKS.values():
        assert check.__doc__, check


@pytest.mark.parametrize("name", _DAMAGES)
def test_damage_is_named(books: Store, name: str) -> None:
    damage = _DAMAGES[name]
    with unguarded(books) as transaction:
        damage.do(transaction)
        found = verify_within(transaction)
    assert {mismatch.check for mismatch in found.mismatches} == set(damage.named_by.split())
    assert any(damage.subject in mismatch.subject for mismatch in found.mismatches)
    assert not found.clean


def test_damage_of_one_period_is_not_that_of_another(books: Store) -> None:
    with unguarded(books) as transaction:
        OF_BOOKS["an invoice total is changed"].do(transaction)
        assert verify_within(transaction, _NOVEMBER).mismatches == ()
        assert not verify_within(transaction, _OCTOBER).clean


def test_more_mismatches_than_are_named_are_counted(store: Store) -> None:
    Feed(store).send(*[usage(f"a{number}") for number in range(NAMED_MAX + 5)])
    with unguarded(store) as transaction:
        sql("UPDATE usage_record SET cost_nano = 1")(transaction)
        found = verify_within(transaction)
    (check,) = (check for check in found.checks if check.name == "records")
    assert (len(check.mismatches), check.unnamed) == (NAMED_MAX, 5)


def test_late_usage_that_waits_for_its_close_is_no_mismatch(store: Store) -> None:
    feed = Feed(store)
    set_state(store, _OCTOBER, "closing")
    feed.send(usage("late"))
    set_state(store, _OCTOBER, "open")
    assert verify(store).mismatches == ()


def test_the_document_is_what_programs_read(books: Store) -> None:
    with unguarded(books) as transaction:
        OF_USAGE["a total is deleted"].do(transaction)
        document = verify_within(transaction, _NOVEMBER).to_document()["verify"]
    assert document["clean"] is False
    assert document["period"] == "2026-11"
    by_name = {check["check"]: check for check in document["checks"]}
    assert by_name.keys() == CHECKS.keys()
    assert by_name["totals"]["mismatches"] == 1
    assert document["mismatches"][0].keys() == {"check", "subject", "expected", "found", "hint"}
    assert encode(document)
