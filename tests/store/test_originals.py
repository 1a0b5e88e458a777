"""How earlier months billed what a close changes."""

from dataclasses import replace
from datetime import UTC, datetime

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.build import Billed, Originals
from chargeback_worker.invoicing.invoice import Invoice, InvoiceLine, Kind, LineKind, Status
from chargeback_worker.invoicing.settle import Cause, Owed
from chargeback_worker.period import Period
from chargeback_worker.store import Store, invoices
from chargeback_worker.store.originals import originals
from tests.support.feed import set_state
from tests.support.ledger import OCTOBER, SEPTEMBER

_AT = datetime(2026, 11, 3, tzinfo=UTC)
_X, _Y = Pair("A", "x"), Pair("A", "y")


def _invoice(number: int | None, receiver: Pair, *lines: InvoiceLine, revision: int = 1) -> Invoice:
    name = f"{receiver.key} {revision}"
    return Invoice(
        invoice_id=name,
        invoice_number=f"DRAFT-{name}" if number is None else f"INV-202610-{number:04d}",
        kind=Kind.REGULAR,
        receiver=receiver,
        period=OCTOBER,
        revision=revision,
        status=Status.DRAFT if number is None else Status.PENDING,
        lines=tuple(replace(line, line=place) for place, line in enumerate(lines, 1)),
        subtotal=0,
        tax=0,
        total=0,
        due_date=None,
        created_at=_AT,
        updated_at=_AT,
        issued_at=None if number is None else _AT,
        references=(),
        metadata={},
    )


def _line(pair: Pair, rate: int | None, *, late: bool = False) -> InvoiceLine:
    return InvoiceLine(
        1,
        LineKind.ADJUSTMENT if late else LineKind.USAGE,
        "query",
        PartKey("default", 1, pair, "query"),
        None,
        None,
        0,
        0,
        "allocation",
        SEPTEMBER if late else OCTOBER,
        tax_rate=rate,
    )


def _stored(store: Store, *rows: Invoice) -> None:
    set_state(store, OCTOBER, "closing")
    with store.begin() as transaction:
        invoices.insert(transaction, rows)
    set_state(store, OCTOBER, "closed")


def _found(store: Store, *pairs: Pair, revision: int = 2) -> Originals:
    with store.read() as transaction:
        return originals(transaction, {OCTOBER: revision}, map(_owed, pairs))


def _owed(pair: Pair, origin: Period = OCTOBER) -> Owed:
    key = PartKey("default", 1, pair, "query")
    return Owed(origin, key, 1, quantity=0, records=1, shared=False, cause=Cause.LATE_USAGE)


def test_a_pair_is_found_where_it_was_billed_first(store: Store) -> None:
    _stored(
        store,
        _invoice(9999, Pair("A"), _line(_X, 19), _line(_Y, 19)),
        _invoice(10000, Pair(None, "x"), _line(_X, 7), revision=2),
        _invoice(2, Pair("B"), _line(Pair("B", "x"), 5)),
    )

    found = _found(store, _X, _Y)

    first = Billed("INV-202610-9999", 19)
    assert found.carrying == {(OCTOBER, _X): first, (OCTOBER, _Y): first}
    assert found.to == {
        (OCTOBER, Pair("A")): first,
        (OCTOBER, Pair(None, "x")): Billed("INV-202610-10000", 7),
    }


def test_later_closes_are_not_looked_at(store: Store) -> None:
    _stored(store, _invoice(1, Pair("A"), _line(_X, 19), revision=2))

    assert _found(store, _X, revision=1) == Originals()
    with store.read() as transaction:
        assert originals(transaction, {}, [_owed(_X)]) == Originals()


def test_what_is_owed_of_other_months_is_not_looked_for(store: Store) -> None:
    _stored(store, _invoice(1, Pair("A"), _line(_X, 19)))

    with store.read() as transaction:
        found = originals(transaction, {OCTOBER: 1}, [_owed(_X, origin=SEPTEMBER)])
    assert found == Originals()


def test_what_has_no_number_yet_decides_the_rate_alone(store: Store) -> None:
    _stored(store, _invoice(None, Pair("A"), _line(_X, 19)))

    assert _found(store, _X).carrying == {(OCTOBER, _X): Billed(None, 19)}


def test_a_draft_that_a_later_close_overtook_decides_no_number(store: Store) -> None:
    _stored(
        store,
        replace(_invoice(None, Pair("A"), _line(_X, 19)), status=Status.CANCELLED),
        _invoice(1, Pair("A"), _line(_X, 7), revision=2),
    )

    assert _found(store, _X).carrying == {(OCTOBER, _X): Billed("INV-202610-0001", 19)}


def test_what_the_month_itself_adjusted_says_nothing_of_its_rate(store: Store) -> None:
    _stored(store, _invoice(1, Pair("A"), _line(_X, 19, late=True)))

    found = _found(store, _X)

    assert found.carrying == {}
    assert found.to == {(OCTOBER, Pair("A")): Billed("INV-202610-0001", None)}


def test_first_releases_wrote_no_rates(store: Store) -> None:
    _stored(store, _invoice(1, Pair("A"), _line(_X, None)))

    assert _found(store, _X).carrying == {(OCTOBER, _X): Billed("INV-202610-0001", None)}
