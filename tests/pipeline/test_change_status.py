"""Statuses by hand: every step that there is and every one that there is not, and what is told."""

import json
from datetime import UTC, datetime
from functools import partial

import pytest

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.errors import Conflict
from chargeback_worker.invoicing.invoice import TRANSITIONS, Invoice, Status
from chargeback_worker.invoicing.life import ChangeRefused, NotOverdue
from chargeback_worker.period import to_us
from chargeback_worker.pipeline.change_status import NotClosedYet
from chargeback_worker.pipeline.close import start_closing
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.store import Store, audit
from chargeback_worker.store.audit import ReasonMissing
from chargeback_worker.store.invoices import InvoiceUnknown
from tests.support.billing import MANUAL, NOW_US, asked, at_once, closed_by, given, sound
from tests.support.feed import Feed, usage
from tests.support.ledger import OCTOBER, TERMS, act, issued, written
from tests.support.made_months import everything

LATER_US = to_us(datetime(2027, 3, 1, 8, tzinfo=UTC))
"""Past every due date."""
_WAYS: dict[Status, list[Status]] = {
    Status.DRAFT: [],
    Status.PENDING: [Status.PENDING],
    Status.SENT: [Status.SENT],
    Status.PAID: [Status.PENDING, Status.PAID],
    Status.OVERDUE: [Status.SENT, Status.OVERDUE],
    Status.CANCELLED: [Status.PENDING, Status.CANCELLED],
}
"""How a draft of a closed month becomes what it is to be."""
_ALL = [(before, after) for before in Status for after in Status]


def _at(store: Store, status: Status) -> Invoice:
    """October's one invoice, by a close that leaves drafts, brought to that status."""
    Feed(store).send(usage("a", "10", team="A"), usage("b", "20", team="A"))
    (invoice,) = closed_by(store, MANUAL)
    for step in _WAYS[status]:
        now_us = LATER_US if step is Status.OVERDUE else NOW_US
        given(store, invoice.invoice_number, step, reason="so agreed", now_us=now_us)
        (invoice,) = issued(store)
    assert invoice.status is status
    return invoice


def _told(store: Store) -> list[tuple[int, str, str]]:
    """What team A is told: seq, type, status."""
    return [
        (seq, dict(json.loads(headers))["ce_type"].split(".")[2], json.loads(payload)["status"])
        for _, key, seq, headers, payload in written(store)["messages"]
        if key == "team:A"
    ]


@pytest.mark.parametrize(("before", "after"), _ALL)
def test_a_status_follows_or_is_refused(store: Store, before: Status, after: Status) -> None:
    invoice = _at(store, before)
    kept, told = everything(store), _told(store)
    name = invoice.invoice_number

    if after is before:
        again = given(store, name, after, now_us=LATER_US)
        assert (again.changed, again.before, again.invoice) == (False, before, invoice)
        assert everything(store) == kept
    elif after not in TRANSITIONS[before]:
        with pytest.raises(ChangeRefused) as refusal:
            given(store, name, after, reason="let us see", now_us=LATER_US)
        assert all(allowed in refusal.value.message for allowed in TRANSITIONS[before])
        assert everything(store) == kept
    else:
        done = given(store, name, after, reason="so agreed", now_us=LATER_US)
        assert (done.changed, done.before) == (True, before)
        assert issued(store) == [done.invoice]
        assert done.invoice.status is after
        assert done.invoice.lines == invoice.lines
        paid = str(done.invoice.paid_date) if after is Status.PAID else None
        assert paid == ("2027-03-01" if after is Status.PAID else None)
        # A draft that is cancelled is the one thing that nobody hears of.
        silent = (before, after) == (Status.DRAFT, Status.CANCELLED)
        assert len(_told(store)) == len(told) + (not silent)
        assert sound(store)


def test_a_draft_of_a_closed_month_is_issued_by_its_approval(store: Store) -> None:
    draft = _at(store, Status.DRAFT)
    assert (draft.final, _told(store)) == (True, [])

    invoice = given(store, draft.invoice_number, Status.PENDING).invoice

    assert invoice.invoice_number == "INV-202610-0001"
    assert (str(invoice.due_date), invoice.invoice_id) == ("2027-01-02", draft.invoice_id)
    assert _told(store) == [(1, "issued", "sent")]


def test_approved_and_sent_at_once_it_is_told_of_once(store: Store) -> None:
    draft = _at(store, Status.DRAFT)

    invoice = given(store, draft.invoice_number, Status.SENT).invoice

    assert (invoice.status, invoice.invoice_number) == (Status.SENT, "INV-202610-0001")
    assert _told(store) == [(1, "issued", "sent")]
    assert sound(store)


def test_every_later_change_is_told_in_its_order(store: Store) -> None:
    _at(store, Status.OVERDUE)
    given(store, "INV-202610-0001", Status.PAID, now_us=LATER_US)

    assert _told(store) == [
        (1, "issued", "sent"),
        (2, "status_changed", "overdue"),
        (3, "status_changed", "paid"),
    ]


def test_numbers_are_given_out_in_the_order_of_approval(store: Store) -> None:
    Feed(store).send(*(usage(team, team=team) for team in "ABC"))
    drafts = {row.receiver.team: row.invoice_number for row in closed_by(store, MANUAL)}
    given(store, drafts["C"], Status.PENDING)
    given(store, drafts["A"], Status.SENT)
    given(store, drafts["B"], Status.CANCELLED)

    by_team = {row.receiver.team: row for row in issued(store)}
    assert by_team["C"].invoice_number == "INV-202610-0001"
    assert by_team["A"].invoice_number == "INV-202610-0002"
    assert (by_team["B"].invoice_number, by_team["B"].issued_at) == (drafts["B"], None)
    assert sound(store)


def test_a_draft_of_an_open_month_is_at_most_cancelled(store: Store) -> None:
    Feed(store).send(usage("a", team="A"))
    draft = asked(store, "A").invoice
    kept = everything(store)

    for status in (Status.PENDING, Status.SENT):
        with pytest.raises(NotClosedYet, match="a draft of 2026-10, which is not closed"):
            given(store, draft.invoice_number, status)
    for status in (Status.PAID, Status.OVERDUE):
        with pytest.raises(ChangeRefused):
            given(store, draft.invoice_number, status)
    assert everything(store) == kept

    # Nobody was told of it, so nobody needs a reason.
    assert given(store, draft.invoice_number, Status.CANCELLED).changed
    assert _told(store) == []


def test_to_cancel_an_issued_one_a_reason_is_required_and_kept(store: Store) -> None:
    invoice = _at(store, Status.SENT)
    kept = everything(store)
    for reason in (None, "", " \n"):
        with pytest.raises(ReasonMissing, match="cancel an issued invoice"):
            given(store, invoice.invoice_number, Status.CANCELLED, reason=reason)
    assert everything(store) == kept

    given(store, invoice.invoice_number, Status.CANCELLED, reason="wrong address")

    with store.read() as transaction:
        row = audit.listed(transaction)[0]
    assert (row.action, row.subject) == ("invoice.status", "invoice:INV-202610-0001")
    assert (row.before, row.reason) == ({"status": "sent"}, "wrong address")
    assert row.after == {"status": "cancelled", "invoice_number": "INV-202610-0001"}


def test_what_is_not_due_yet_is_not_overdue(store: Store) -> None:
    Feed(store).send(usage("a", "10", team="A"), usage("b", "-10", team="B"))
    for invoice in closed_by(store):
        given(store, invoice.invoice_number, Status.SENT)
        with pytest.raises(NotOverdue):
            given(store, invoice.invoice_number, Status.OVERDUE)
    # A credit never is.
    assert given(store, "INV-202610-0001", Status.OVERDUE, now_us=LATER_US).changed
    with pytest.raises(NotOverdue, match=r"-10\.00 USD"):
        given(store, "INV-202610-0002", Status.OVERDUE, now_us=LATER_US)


def test_an_invoice_is_found_by_number_by_id_and_by_what_its_draft_was_called(
    store: Store,
) -> None:
    draft = _at(store, Status.DRAFT)
    given(store, draft.invoice_number, Status.PENDING)
    for name in (draft.invoice_number, draft.invoice_id, "INV-202610-0001"):
        assert not given(store, name, Status.PENDING).changed
    for name in ("INV-202610-0002", "DRAFT-202610-00000000-0000", ""):
        with pytest.raises(InvoiceUnknown):
            given(store, name, Status.PAID)


def test_a_projection_stays_while_its_month_is_being_closed(store: Store) -> None:
    Feed(store).send(usage("a", team="A"))
    draft = asked(store, "A").invoice
    start_closing(store, OCTOBER, TERMS, act(), owner="another")

    with pytest.raises(CloseInProgress):
        given(store, draft.invoice_number, Status.CANCELLED)


def test_the_due_date_counts_from_the_day_of_approval_in_the_billing_time_zone(
    store: Store,
) -> None:
    Feed(store).send(usage("a", team="A"))
    asked(store, "A", due_days=2)
    (draft,) = closed_by(store, Snapshot(approval=MANUAL.approval, due_days=14))

    late_us = to_us(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    invoice = given(store, draft.invoice_number, Status.PENDING, now_us=late_us).invoice

    assert str(invoice.due_date) == "2027-01-02"


@pytest.mark.parametrize("after", [Status.PAID, Status.CANCELLED])
def test_changes_that_race_happen_once(store: Store, after: Status) -> None:
    _at(store, Status.PENDING)

    def change() -> bool:
        return given(store, "INV-202610-0001", after, reason="so agreed").changed

    assert sorted(at_once([change] * 4)) == [False, False, False, True]
    assert _told(store) == [(1, "issued", "sent"), (2, "status_changed", after)]


def test_one_of_two_changes_that_race_to_different_ends_is_refused(store: Store) -> None:
    _at(store, Status.SENT)

    def change(after: Status) -> str:
        try:
            return given(store, "INV-202610-0001", after, reason="so agreed").invoice.status
        except Conflict:
            return "refused"

    ended = at_once([lambda: change(Status.PAID), lambda: change(Status.CANCELLED)])

    assert ended.count("refused") == 1
    assert issued(store)[0].status in ended
    assert sound(store)


def test_approvals_that_race_give_out_one_number_each(store: Store) -> None:
    Feed(store).send(*(usage(team, team=team) for team in "ABCD"))
    drafts = [row.invoice_number for row in closed_by(store, MANUAL)]

    at_once([partial(given, store, name, Status.PENDING) for name in drafts * 2])

    assert sorted(row.invoice_number for row in issued(store)) == [
        f"INV-202610-{n:04d}" for n in (1, 2, 3, 4)
    ]
    assert sound(store)
