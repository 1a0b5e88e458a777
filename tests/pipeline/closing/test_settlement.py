"""What late usage changes: the invoice that billed its pair, at the rate of that invoice."""

from collections.abc import Callable

import pytest

from chargeback_worker.allocation.pair import BillTo
from chargeback_worker.allocation.snapshot import Approval, Snapshot
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.money import NANO, fixed
from chargeback_worker.store import Store
from tests.support.billing import asked, closed_by, given, reopened, sound
from tests.support.feed import Feed, usage
from tests.support.ledger import NOVEMBER

_AT_19 = Snapshot(tax_rate_nano=190_000_000)
_AT_7 = Snapshot(tax_rate_nano=70_000_000)


def _used(name: str, cost: str, user: str = "u1") -> bytes:
    return usage(name, cost, team="T1", user_id=user)


def _closed_again(store: Store, terms: Snapshot) -> Feed:
    """USD 100 of a user that were billed at 19 %, in a month that was then reopened and closed."""
    feed = Feed(store)
    feed.send(_used("a", "100"))
    closed_by(store, _AT_19)
    reopened(store)
    closed_by(store, terms)
    return feed


def _late(store: Store) -> tuple[str | None, str]:
    """What an adjustment of November names as its original, and the tax of that invoice."""
    (november,) = closed_by(store, period=NOVEMBER)
    (line,) = november.lines
    return line.original_invoice, fixed(november.tax, 2)


def test_a_refund_gives_back_the_tax_that_was_paid_whatever_a_reopening_changed(
    store: Store,
) -> None:
    _closed_again(store, _AT_7).send(_used("refund", "-100"))

    assert _late(store) == ("INV-202610-0001", "-19.00")
    assert sound(store)


def test_a_share_billed_apart_once_is_adjusted_where_it_was_billed(store: Store) -> None:
    feed = Feed(store)
    feed.send(_used("a", "100"), _used("b", "10", "u2"))
    asked(store, user="u1", tax_rate=70_000_000)
    assert [row.receiver.key for row in closed_by(store)] == ["team:T1", "user:u1"]
    reopened(store)
    feed.send(_used("c", "1", "u2"))
    draft = asked(store, user="u1").invoice
    given(store, draft.invoice_number, Status.CANCELLED)
    closed_by(store)
    feed.send(_used("refund", "-50"))

    assert _late(store) == ("INV-202610-0002", "-3.50")
    assert sound(store)


def test_an_adjustment_finds_what_was_billed_to_others_before_bill_to_changed(
    store: Store,
) -> None:
    _closed_again(store, Snapshot(bill_to=BillTo.USER)).send(_used("refund", "-50"))

    assert _late(store) == ("INV-202610-0001", "-9.50")
    assert sound(store)


def test_a_user_new_in_a_month_is_taxed_as_its_team_was(store: Store) -> None:
    _closed_again(store, _AT_7).send(_used("late", "50", "u2"))

    assert _late(store) == ("INV-202610-0001", "9.50")
    assert sound(store)


def _approved(store: Store, number: str) -> None:
    given(store, number, Status.PENDING)


def _refused(store: Store, number: str) -> None:
    given(store, number, Status.CANCELLED)
    asked(store, "T1", tax_rate=10_000_000)


@pytest.mark.parametrize("decided", [_approved, _refused])
def test_what_waits_for_approval_decides_the_rate_before_it_has_a_number(
    store: Store, decided: Callable[[Store, str], None]
) -> None:
    feed = Feed(store)
    feed.send(_used("a", "100"))
    manual = Snapshot(tax_rate_nano=190_000_000, approval=Approval.MANUAL)
    (draft,) = closed_by(store, manual)
    feed.send(_used("refund", "-50"))

    assert _late(store) == (None, "-9.50")
    decided(store, draft.invoice_number)
    assert sound(store)


def test_a_month_without_change_of_settings_is_taxed_as_ever(store: Store) -> None:
    feed = Feed(store)
    feed.send(_used("a", "100"))
    closed_by(store, _AT_19)
    feed.send(_used("late", "10"), usage("own", "10", day="2026-11-02", team="T1", user_id="u1"))

    (november,) = closed_by(store, _AT_7, period=NOVEMBER)

    assert november.tax == 2_600_000_000
    assert [fixed(line.tax_rate or 0, 2) for line in november.lines] == ["0.07", "0.19"]
    assert november.subtotal == 20 * NANO
    assert sound(store)
