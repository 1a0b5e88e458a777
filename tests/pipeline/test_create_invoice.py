"""Invoices on request: drafts of months that take usage, and what takes a cancelled one's place."""

from functools import partial

import pytest

from chargeback_worker.allocation.pair import BillTo, Pair
from chargeback_worker.allocation.snapshot import Requested, Snapshot
from chargeback_worker.errors import Invalid
from chargeback_worker.invoicing.invoice import LineKind, Status
from chargeback_worker.money import NANO
from chargeback_worker.pipeline.close import dry_run, start_closing
from chargeback_worker.pipeline.closing.may_close import CloseInProgress, EarlierNotClosed
from chargeback_worker.pipeline.create_invoice import (
    DUE_DAYS_MAX,
    BilledAlready,
    NoReceiver,
    NothingBilled,
    ReceiverTooLong,
    create_invoice,
)
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.store import Store, audit
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.requests import RECEIVER_BYTES_MAX
from tests.support.billing import (
    MANUAL,
    NOW_US,
    asked,
    at_once,
    billed,
    closed_by,
    given,
    reopened,
    sound,
)
from tests.support.feed import Feed, usage
from tests.support.ledger import (
    NOVEMBER,
    OCTOBER,
    TERMS,
    act,
    issued,
    period_row,
    set_lease,
    written,
)
from tests.support.long_ids import longest_ids
from tests.support.made_months import everything

_OCTOBER = (
    usage("a", "10", team="T1", user_id="u1"),
    usage("b", "20", team="T1", user_id="u2"),
    usage("c", "5", team="T2", user_id="u1"),
    usage("d", "3", team=None, user_id="u1"),
)
_OWN_RATE = 190_000_000


def test_a_user_is_billed_apart_and_the_team_s_draft_is_made_anew(store: Store) -> None:
    """The first worked example of the specification."""
    Feed(store).send(*_OCTOBER[:2])
    assert asked(store, "T1").new
    assert billed(store) == {"team:T1": "30.00"}

    made = asked(store, user="u1")

    assert made.new
    assert (made.invoice.status, made.invoice.final) == (Status.DRAFT, False)
    assert made.invoice.invoice_number.startswith("DRAFT-202610-")
    assert made.invoice.due_date is None
    assert billed(store) == {"user:u1": "10.00", "team:T1": "20.00"}


def test_asked_for_again_a_draft_is_made_anew_in_its_place(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER[:2])
    first = asked(store, "T1").invoice
    feed.send(usage("late", "7", team="T1"))

    again = asked(store, "T1")

    assert not again.new
    assert again.invoice.invoice_id == first.invoice_id
    assert (first.total, again.invoice.total) == (30 * NANO, 37 * NANO)
    assert issued(store) == [again.invoice]


def test_a_draft_is_what_a_close_now_would_bill(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    terms = Snapshot(tax_rate_nano=_OWN_RATE)

    draft = asked(store, "T1", terms=terms, due_days=5).invoice

    (shown,) = (
        row
        for row in dry_run(store, OCTOBER, terms, NOW_US).books.invoices
        if row.receiver == Pair("T1")
    )
    assert (draft.lines, draft.tax, draft.invoice_id) == (shown.lines, shown.tax, shown.invoice_id)


def test_the_most_specific_request_wins(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    for receiver in (("T1", None), (None, "u1"), ("T1", "u1"), ("T2", None)):
        asked(store, *receiver)

    assert billed(store) == {
        "team:T1": "20.00",
        "team:T1/user:u1": "10.00",
        # Of T2 and of no team.
        "user:u1": "8.00",
        "team:T2": "0.00",
    }


def test_a_team_that_is_called_like_a_share_billed_apart_is_another_receiver(store: Store) -> None:
    Feed(store).send(*_OCTOBER, usage("e", "7", team="T1/user:u1", user_id="u3"))
    asked(store, "T1", "u1")
    asked(store, "T1/user:u1")

    closed_by(store)

    assert billed(store) == {
        "team:T1": "20.00",
        "team:T1/user:u1": "10.00",
        "team:T1%2Fuser:u1": "7.00",
        "team:T2": "5.00",
        "user:u1": "3.00",
    }
    assert sound(store)
    for receiver in (("T1", "u1"), ("T1/user:u1", None)):
        again = asked(store, *receiver)
        assert (again.new, again.invoice.receiver) == (False, Pair(*receiver))


def test_a_pair_whose_key_is_too_long_is_refused_before_anything_is_written(store: Store) -> None:
    team, user = longest_ids(2)
    Feed(store).send(usage("a", "10", team=team, user_id=user))
    before = everything(store)

    with pytest.raises(ReceiverTooLong, match=r"they take 4,107 bytes, more than 2,400\.$"):
        asked(store, team, user)
    with pytest.raises(ReceiverTooLong, match="they take 2,401 bytes"):
        asked(store, team, f"{user[:85]}ab")

    assert everything(store) == before


def test_a_pair_whose_key_is_as_long_as_it_may_be_is_billed(store: Store) -> None:
    team, user = longest_ids(2)
    user = f"{user[:85]}a"
    assert len(Pair(team, user).key.encode()) == RECEIVER_BYTES_MAX
    Feed(store).send(usage("a", "10", team=team, user_id=user), usage("b", "5", team=team))
    asked(store, team, user)

    closed_by(store)

    assert billed(store) == {Pair(team).key: "5.00", Pair(team, user).key: "10.00"}
    assert sound(store)


@pytest.mark.parametrize("side", ["team", "user"])
def test_a_team_or_a_user_alone_is_billed_however_long_the_id(store: Store, side: str) -> None:
    Feed(store).send(usage("a", "10", team="T"))
    for identity in (*longest_ids(2), "/user:" * 85, "%2Fuser:" * 64):
        receiver = Pair(identity) if side == "team" else Pair(None, identity)
        assert len(receiver.key.encode()) < RECEIVER_BYTES_MAX
        assert asked(store, receiver.team, receiver.user).new


def test_who_bears_nothing_gets_a_draft_of_zero_and_no_invoice(store: Store) -> None:
    Feed(store).send(*_OCTOBER)

    draft = asked(store, "nobody").invoice

    assert (draft.lines, draft.total) == ((), 0)
    assert "team:nobody" not in {row.receiver.key for row in closed_by(store)}


def test_a_month_without_usage_has_drafts_too_and_they_can_be_cancelled(store: Store) -> None:
    Feed(store)
    for team in ("T1", "T2"):
        asked(store, team, period=NOVEMBER)

    given(store, issued(store, NOVEMBER)[0].invoice_number, Status.CANCELLED)

    assert sorted(row.status for row in issued(store, NOVEMBER)) == ["cancelled", "draft"]
    assert closed_by(store, period=NOVEMBER)[0].status is Status.CANCELLED
    assert sound(store)


def test_the_close_replaces_drafts_and_keeps_what_was_asked_for(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    draft = asked(store, user="u1", tax_rate=_OWN_RATE, due_days=3).invoice
    # What is left open stays as it was asked for before.
    asked(store, user="u1", due_days=5)

    found = {row.receiver.key: row for row in closed_by(store, Snapshot(tax_rate_nano=10_000_000))}

    apart, team = found["user:u1"], found["team:T1"]
    assert apart.invoice_id == draft.invoice_id
    assert apart.created_at == draft.created_at
    assert (apart.subtotal, apart.tax) == (18 * NANO, 3_420_000_000)
    assert str(apart.due_date) == "2026-12-08"
    assert (team.tax, str(team.due_date)) == (200_000_000, "2027-01-02")
    assert sorted(found) == ["team:T1", "user:u1"]
    assert {row.status for row in found.values()} == {Status.PENDING}
    assert sound(store)


def test_a_cancelled_draft_gives_the_share_back(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    for receiver in (("T1", None), (None, "u1"), ("T1", "u1")):
        asked(store, *receiver)
    by_receiver = {row.receiver.key: row.invoice_number for row in issued(store)}

    given(store, by_receiver["team:T1/user:u1"], Status.CANCELLED)
    assert billed(store) == {"team:T1": "20.00", "user:u1": "18.00"}
    given(store, by_receiver["user:u1"], Status.CANCELLED)
    assert billed(store) == {"team:T1": "30.00"}

    again = asked(store, "T1", "u1")
    assert again.new
    assert again.invoice.invoice_number != by_receiver["team:T1/user:u1"]
    assert again.invoice.ordinal == 1
    live = {row.receiver.key for row in closed_by(store) if row.status is Status.PENDING}
    assert live == {"team:T1", "team:T1/user:u1", "team:T2", "user:u1"}
    assert sound(store)


def test_a_share_is_billed_apart_through_all_revisions_until_its_draft_is_cancelled(
    store: Store,
) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER)
    asked(store, "T1", "u1")
    closed_by(store)
    for number, receiver in enumerate(("team:T1/user:u1", "team:T1"), start=2):
        reopened(store)
        feed.send(usage(f"more {number}", "1", team="T1", user_id="u1"))
        if number == 3:
            draft = asked(store, "T1", "u1").invoice
            given(store, draft.invoice_number, Status.CANCELLED)
        new = [row for row in closed_by(store) if row.revision == number and row.final]
        assert [(row.receiver.key, row.total) for row in new] == [(receiver, NANO)]
    # It refers to what carried the share before, to whomever.
    assert new[0].references == ("INV-202610-0001", "INV-202610-0002", "INV-202610-0005")
    assert sound(store)


@pytest.mark.parametrize("terms", [TERMS, MANUAL])
def test_a_share_that_is_billed_with_others_is_not_billed_apart(
    store: Store, terms: Snapshot
) -> None:
    Feed(store).send(*_OCTOBER)
    number = {row.receiver.key: row.invoice_number for row in closed_by(store, terms)}["team:T1"]

    with pytest.raises(BilledAlready, match=number) as refusal:
        asked(store, user="u2")
    assert number in refusal.value.hint
    if terms is TERMS:
        reopened(store)
        before = everything(store)
        with pytest.raises(BilledAlready, match=number):
            asked(store, "T1", "u2")
        assert everything(store) == before


def test_a_draft_that_still_bills_the_share_by_older_rules_is_made_anew(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    asked(store, "T1")
    moved = {
        "rule_id": "moved",
        "rule_type": "fixed_split",
        "team_id": "T1",
        "split_percentages": {"team:T2": 100},
    }
    save_rules(store, [moved], act())

    asked(store, "T1", "u1")

    assert billed(store) == {"team:T1": "0.00", "team:T1/user:u1": "0.00"}


def test_in_a_closed_month_the_invoice_that_is_there_is_the_answer(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    (first, *_) = closed_by(store)
    before = everything(store)

    found = asked(store, "T1", tax_rate=0, due_days=1)

    assert (found.invoice, found.new) == (first, False)
    with pytest.raises(NothingBilled, match=r"nothing of it is billed to team:T9"):
        asked(store, "T9")
    assert everything(store) == before


def test_a_cancelled_invoice_is_replaced_once_with_its_lines_and_another_number(
    store: Store,
) -> None:
    Feed(store).send(*_OCTOBER[:2])
    (cancelled,) = closed_by(store)
    given(store, cancelled.invoice_number, Status.CANCELLED, reason="wrong address")

    made, again = asked(store, "T1", due_days=1), asked(store, "T1")

    assert (made.new, again.new, again.invoice) == (True, False, made.invoice)
    invoice = made.invoice
    assert invoice.lines == cancelled.lines
    assert (invoice.invoice_number, invoice.replaces) == ("INV-202610-0002", "INV-202610-0001")
    assert (invoice.status, str(invoice.due_date)) == (Status.PENDING, "2026-12-04")
    keys = [(key, seq) for _, key, seq, _, _ in written(store)["messages"]]
    assert keys == [("team:T1", 1), ("2026-10", 1), ("team:T1", 2), ("team:T1", 3)]
    last = written(store)["messages"][-1]
    assert b'"replaces":"INV-202610-0001"' in last[4]
    assert b"chargeback.invoice.issued.v1" in last[3].encode()
    with store.read() as transaction:
        row = audit.listed(transaction)[0]
    assert (row.action, row.subject) == ("invoice.replace", "invoice:INV-202610-0002")
    assert row.after["replaces"] == "INV-202610-0001"
    assert sound(store)


def test_a_replacement_by_another_rate_keeps_that_of_adjustments(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER[:1])
    closed_by(store, Snapshot(tax_rate_nano=_OWN_RATE))
    feed.send(
        usage("late", "100", team="T1", user_id="u1"),
        usage("own", "10", day="2026-11-02", team="T1", user_id="u1"),
    )
    (invoice,) = closed_by(store, Snapshot(tax_rate_nano=70_000_000), period=NOVEMBER)
    assert invoice.tax == 19_700_000_000
    given(store, invoice.invoice_number, Status.CANCELLED, reason="exempt")

    made = asked(store, "T1", period=NOVEMBER, tax_rate=0).invoice

    assert [line.kind for line in made.lines] == [LineKind.USAGE, LineKind.ADJUSTMENT]
    assert made.tax == 19 * NANO
    assert made.total == made.subtotal + made.tax
    assert sound(store)


def test_one_cancelled_before_it_was_approved_is_replaced_too(store: Store) -> None:
    Feed(store).send(*_OCTOBER[:2])
    (draft,) = closed_by(store, MANUAL)
    given(store, draft.invoice_number, Status.CANCELLED)

    made = asked(store, "T1").invoice

    assert (made.invoice_number, made.replaces) == ("INV-202610-0001", None)
    assert sound(store)


def test_the_earliest_cancelled_invoice_is_replaced_first(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER[:2])
    closed_by(store)
    reopened(store)
    feed.send(usage("more", "1", team="T1"))
    for row in closed_by(store):
        given(store, row.invoice_number, Status.CANCELLED, reason="both wrong")

    made = [asked(store, "T1") for _ in range(3)]

    assert [each.invoice.replaces for each in made] == [
        "INV-202610-0001",
        "INV-202610-0002",
        "INV-202610-0002",
    ]
    assert [each.new for each in made] == [True, True, False]
    assert made[1].invoice.references == ("INV-202610-0001",)
    assert sound(store)


def test_a_request_that_nobody_can_be_billed_for_is_refused(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    before = everything(store)
    bad: list[Requested] = [
        Requested(Pair("")),
        Requested(Pair("T1", "")),
        Requested(Pair(None, "x" * 10_000)),
        Requested(Pair("a\0b")),
        Requested(Pair("T1"), tax_rate_nano=NANO + 1),
        Requested(Pair("T1"), tax_rate_nano=-1),
        Requested(Pair("T1"), due_days=-1),
        Requested(Pair("T1"), due_days=DUE_DAYS_MAX + 1),
    ]
    with pytest.raises(NoReceiver):
        asked(store)
    for wanted in bad:
        with pytest.raises(Invalid) as refusal:
            create_invoice(store, OCTOBER, wanted, TERMS, act())
        assert refusal.value.hint
    assert everything(store) == before


def test_nothing_is_drafted_while_the_month_is_being_closed(store: Store) -> None:
    feed = Feed(store)
    feed.send(*_OCTOBER)
    start_closing(store, OCTOBER, TERMS, act(), owner="another", lease_s=0)
    feed.send(usage("passed by", "1", team="T1"))

    with pytest.raises(CloseInProgress):
        asked(store, "T1")
    # Its own late usage cannot be settled before that either.
    with pytest.raises(EarlierNotClosed):
        asked(store, "T1", period=NOVEMBER)

    set_lease(store, OCTOBER, lasting_s=0)
    closed_by(store)
    assert asked(store, "T1", period=NOVEMBER).invoice.total == NANO


def test_with_another_bill_to_the_share_asked_for_is_still_apart(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    terms = Snapshot(bill_to=BillTo.USER)
    asked(store, "T1", "u1", terms=terms)
    found = {row.receiver.key: row.total // NANO for row in closed_by(store, terms)}
    assert found == {"team:T1/user:u1": 10, "user:u1": 8, "user:u2": 20}


def test_a_draft_is_audited_each_time(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    for _ in range(2):
        asked(store, "T1")
    with store.read() as transaction:
        rows = audit.listed(transaction)
    assert [(row.action, row.actor) for row in rows] == [("invoice.draft", "tester")] * 2
    assert rows[0].after["receiver"] == "team:T1"


def test_requests_that_race_make_one_draft_each(store: Store) -> None:
    Feed(store).send(*_OCTOBER)
    receivers = [("T1", None), (None, "u1"), ("T1", "u1"), ("T1", None)]
    made = at_once([partial(asked, store, *receiver) for receiver in receivers])

    assert [each.new for each in made].count(True) == 3
    assert billed(store) == {"team:T1": "20.00", "user:u1": "8.00", "team:T1/user:u1": "10.00"}


def test_requests_that_race_replace_an_invoice_once(store: Store) -> None:
    Feed(store).send(*_OCTOBER[:2])
    (cancelled,) = closed_by(store)
    given(store, cancelled.invoice_number, Status.CANCELLED, reason="wrong address")

    made = at_once([lambda: asked(store, "T1").new] * 4)

    assert sorted(made) == [False, False, False, True]
    assert [row.invoice_number for row in issued(store)] == ["INV-202610-0001", "INV-202610-0002"]
    assert sound(store)


def test_a_request_and_a_close_that_race_both_happen_or_one_is_told_to_wait(store: Store) -> None:
    Feed(store).send(*_OCTOBER)

    def ask() -> str:
        try:
            return asked(store, "T1", "u1").invoice.status.value
        except (BilledAlready, CloseInProgress) as refusal:
            return type(refusal).__name__

    ended = at_once([ask, ask, lambda: str(len(closed_by(store)))])

    assert period_row(store).state is PeriodState.CLOSED
    apart = "team:T1/user:u1" in billed(store)
    assert not apart or "draft" in ended
    assert {row.status for row in issued(store)} == {Status.PENDING}
    assert sound(store)
