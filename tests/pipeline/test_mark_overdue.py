"""Overdue by the scheduler: what was sent, is to be paid, and was not by its due date."""

import json
from datetime import UTC, datetime

import pytest

from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.invoicing.invoice import Status
from chargeback_worker.period import to_us
from chargeback_worker.pipeline import mark_overdue as step
from chargeback_worker.pipeline.mark_overdue import mark_overdue
from chargeback_worker.store import Store, audit
from chargeback_worker.usage.event import Grain
from tests.support.billing import closed_by, given, sound
from tests.support.feed import Feed, usage
from tests.support.ledger import NOVEMBER, OCTOBER, issued, written
from tests.support.made_months import everything

_DUE = Snapshot(due_days=10)
"""By the 13th of December."""


def _us(day: int, hour: int = 0) -> int:
    return to_us(datetime(2026, 12, day, hour, tzinfo=UTC))


def _statuses(store: Store) -> list[str]:
    return [row.status.value for row in issued(store)]


def test_it_is_overdue_once_the_due_date_has_passed_in_the_billing_time_zone(
    store: Store,
) -> None:
    Feed(store, grain=Grain("America/New_York")).send(usage("a", "10"))
    terms = Snapshot(due_days=10, timezone="America/New_York")
    (invoice,) = closed_by(store, terms)
    # At midnight UTC it is still the 2nd in New York.
    assert str(invoice.due_date) == "2026-12-12"
    given(store, invoice.invoice_number, Status.SENT)

    assert mark_overdue(store, _us(13, 4)) == 0
    assert mark_overdue(store, _us(13, 6)) == 1
    assert mark_overdue(store, _us(14)) == 0
    assert _statuses(store) == ["overdue"]


@pytest.mark.parametrize("status", [Status.PENDING, Status.PAID, Status.CANCELLED])
def test_only_what_was_sent_becomes_overdue(store: Store, status: Status) -> None:
    Feed(store).send(usage("a", "10"))
    (invoice,) = closed_by(store, _DUE)
    given(store, invoice.invoice_number, status, reason="so agreed")
    before = everything(store)

    assert mark_overdue(store, _us(31)) == 0

    assert everything(store) == before


def test_a_credit_and_what_comes_to_nothing_are_never_overdue(store: Store) -> None:
    Feed(store).send(
        usage("a", "-10", team="A"),
        usage("b", "5", team="B"),
        usage("c", "-5", team="B", resource_type="compute"),
    )
    credit, nothing = closed_by(store, _DUE)
    assert (credit.due_date, nothing.total, str(nothing.due_date)) == (None, 0, "2026-12-13")
    for invoice in (credit, nothing):
        given(store, invoice.invoice_number, Status.SENT)

    assert mark_overdue(store, _us(31)) == 0


def test_every_receiver_is_told_of_each_in_order_and_nobody_is_named_in_the_audit(
    store: Store,
) -> None:
    feed = Feed(store)
    feed.send(usage("a", "10", team="A"), usage("b", "10", team="B"))
    closed_by(store, _DUE)
    feed.send(usage("n", "1", day="2026-11-02", team="A"))
    closed_by(store, _DUE, period=NOVEMBER)
    for name in ("INV-202610-0001", "INV-202610-0002", "INV-202611-0001"):
        given(store, name, Status.SENT)
    with store.read() as transaction:
        audited = len(audit.listed(transaction))

    assert mark_overdue(store, _us(20)) == 3

    told = [
        (key, seq, json.loads(payload)["status"])
        for _, key, seq, _, payload in written(store)["messages"]
        if key.startswith("team:")
    ]
    assert sorted(told)[-2:] == [("team:B", 2, "sent"), ("team:B", 3, "overdue")]
    assert [row for row in sorted(told) if row[2] == "overdue"] == [
        ("team:A", 5, "overdue"),
        ("team:A", 6, "overdue"),
        ("team:B", 3, "overdue"),
    ]
    with store.read() as transaction:
        assert len(audit.listed(transaction)) == audited
    assert sound(store)


def test_many_are_marked_a_round_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "AT_ONCE", 2)
    Feed(store).send(*(usage(team, "10", team=team) for team in "ABC"))
    for invoice in closed_by(store, _DUE):
        given(store, invoice.invoice_number, Status.SENT)

    assert [mark_overdue(store, _us(20)) for _ in range(3)] == [2, 1, 0]
    assert issued(store, OCTOBER)[0].paid_date is None
    assert _statuses(store) == ["overdue"] * 3
    assert given(store, "INV-202610-0002", Status.PAID).changed
