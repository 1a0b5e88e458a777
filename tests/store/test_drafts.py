"""Drafts of months that take usage: replaced in their place, dropped by the close."""

from dataclasses import replace
from datetime import UTC, datetime

from chargeback_worker.allocation.engine import PartKey
from chargeback_worker.allocation.pair import Pair
from chargeback_worker.invoicing.build import Drafted
from chargeback_worker.invoicing.invoice import (
    Invoice,
    InvoiceLine,
    Kind,
    LineKind,
    Status,
    draft_number,
    invoice_id,
)
from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.store import Store, drafts, invoices
from chargeback_worker.store.tables import invoice_line
from tests.support.ledger import NOVEMBER, OCTOBER, count

_AT, _LATER = datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 11, 4, tzinfo=UTC)


def _draft(
    receiver: Pair, *bears: Pair, period: Period = OCTOBER, ordinal: int = 0, revision: int = 1
) -> Invoice:
    id_ = invoice_id(receiver, period, revision, ordinal)
    lines = tuple(
        InvoiceLine(
            line=place,
            kind=LineKind.USAGE,
            description="query",
            key=PartKey("default", 1, pair, "query"),
            quantity=None,
            unit_price=None,
            total_price=NANO,
            exact=NANO,
            allocation_id=f"{place}",
            origin=period,
        )
        for place, pair in enumerate(bears, start=1)
    )
    return Invoice(
        invoice_id=id_,
        invoice_number=draft_number(period, id_),
        kind=Kind.REGULAR,
        receiver=receiver,
        period=period,
        revision=revision,
        status=Status.DRAFT,
        lines=lines,
        subtotal=len(lines) * NANO,
        tax=0,
        total=len(lines) * NANO,
        due_date=None,
        created_at=_AT,
        updated_at=_AT,
        final=False,
        ordinal=ordinal,
    )


_TEAM = _draft(Pair("A"), Pair("A", "x"), Pair("A", "y"))


def _store(store: Store, *found: Invoice) -> list[bool]:
    """Whether each took the place of another."""
    with store.begin() as transaction:
        return [drafts.replace(transaction, draft) for draft in found]


def _cancel(store: Store, draft: Invoice) -> None:
    with store.begin() as transaction:
        invoices.update(transaction, replace(draft, status=Status.CANCELLED))


def test_a_draft_takes_the_place_of_the_one_there_was_with_its_lines(store: Store) -> None:
    fewer = replace(_TEAM, lines=_TEAM.lines[:1], subtotal=NANO, total=NANO, updated_at=_LATER)

    assert _store(store, _TEAM, fewer, _draft(Pair("B"))) == [False, True, False]

    with store.read() as transaction:
        assert invoices.find(transaction, _TEAM.invoice_number) == fewer
    assert count(store, invoice_line) == 1


def test_what_is_drafted_is_known_by_receiver_and_so_is_what_was_cancelled(store: Store) -> None:
    again = _draft(Pair("B"), ordinal=2)
    _store(store, _TEAM, _draft(Pair("B"), ordinal=1))
    _cancel(store, _draft(Pair("B"), ordinal=1))
    with store.read() as transaction:
        assert drafts.drafted(transaction, OCTOBER, 1) == {
            Pair("A"): Drafted(0, _AT),
            # The next one, if there will be any.
            Pair("B"): Drafted(2),
        }
        assert drafts.drafted(transaction, OCTOBER, 2) == {}
        assert drafts.drafted(transaction, NOVEMBER, 1) == {}
    _store(store, again)
    with store.read() as transaction:
        assert drafts.drafted(transaction, OCTOBER, 1)[Pair("B")] == Drafted(2, _AT)


def test_a_close_drops_its_drafts_and_leaves_those_that_were_cancelled(store: Store) -> None:
    kept = [
        _draft(Pair("B")),
        _draft(Pair("A"), Pair("A"), revision=2),
        _draft(Pair("A"), period=NOVEMBER),
        replace(_draft(Pair("C")), final=True),
    ]
    _store(store, _TEAM, *kept)
    _cancel(store, kept[0])

    with store.begin() as transaction:
        drafts.drop(transaction, OCTOBER, 1)

    with store.read() as transaction:
        assert invoices.find(transaction, _TEAM.invoice_id) is None
        found = [invoices.get(transaction, draft.invoice_id).receiver.key for draft in kept]
    assert found == ["team:B", "team:A", "team:A", "team:C"]
    assert count(store, invoice_line) == 1


def test_whose_drafts_bill_a_share_is_found_by_their_lines(store: Store) -> None:
    cancelled = _draft(Pair("C"), Pair("C", "x"))
    _store(
        store,
        _TEAM,
        cancelled,
        _draft(Pair("B"), Pair("B", "x"), Pair("B")),
        _draft(Pair("D"), Pair("D", "y")),
        replace(_draft(Pair("E"), Pair("E", "x")), final=True),
        _draft(Pair("A"), Pair("A", "x"), period=NOVEMBER),
    )
    _cancel(store, cancelled)
    with store.read() as transaction:
        assert drafts.billing(transaction, OCTOBER, Pair(None, "x")) == {Pair("A"), Pair("B")}
        assert drafts.billing(transaction, OCTOBER, Pair("B", "x")) == {Pair("B")}
        assert drafts.billing(transaction, OCTOBER, Pair("B", "y")) == set()
