"""The walk itself: any step, in any order, in any state; those that must be refused as well."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from chargeback_worker.allocation.snapshot import Requested, Snapshot
from chargeback_worker.broker.memory import SendFault
from chargeback_worker.invoicing.invoice import TRANSITIONS, Invoice, Status
from chargeback_worker.period import Period
from chargeback_worker.pipeline.apply_directory import apply_directory
from chargeback_worker.pipeline.mark_overdue import mark_overdue
from chargeback_worker.pipeline.publish import publish
from chargeback_worker.pipeline.release import release
from chargeback_worker.pipeline.save_rules import save_rules
from chargeback_worker.store.periods import PeriodState
from tests.support.invoice_life import drawn
from tests.support.invoice_life.asking import Asking
from tests.support.invoice_life.changing import Changing
from tests.support.invoice_life.drawn import Used
from tests.support.invoice_life.months import Months
from tests.support.invoice_life.witness import TOPIC, Witness

_FAULTS = [SendFault.NONE] * 6 + [SendFault.LOST, SendFault.UNACKNOWLEDGED, SendFault.REFUSED]
_PLACES = st.integers(0, 99)
"""Which of those that there are, counted round."""


Step = Callable[..., None]
_STEPS: dict[str, tuple[Step, dict[str, st.SearchStrategy[Any]]]] = {}

_OFTEN: list[str] = []
"""Their names, each as often as it is to come among the others."""


def _step(often: int = 1, **wanted: st.SearchStrategy[Any]) -> Callable[[Step], Step]:
    """One of the steps of a walk. As rules of Hypothesis a walk would have but some of them."""

    def register(step: Step) -> Step:
        _STEPS[step.__name__] = (step, wanted)
        _OFTEN.extend([step.__name__] * often)
        return step

    return register


class InvoiceLife(RuleBasedStateMachine):
    """Give it a witness of a fresh store."""

    def __init__(self, witness: Witness) -> None:
        super().__init__()
        self.witness = witness
        self.books = witness.books
        self.store = witness.store
        self.months = Months(witness)
        self.asking = Asking(witness)
        self.changing = Changing(witness, self.asking)

    def teardown(self) -> None:
        try:
            self.witness.verify()
            self.witness.check_topic()
        finally:
            self.witness.close()

    @invariant()
    def everything_agrees(self) -> None:
        self.witness.look()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        step, wanted = _STEPS[data.draw(st.sampled_from(_OFTEN), label="step")]
        step(self, **{name: data.draw(each, label=name) for name, each in wanted.items()})

    # What decides.

    @initialize(
        events=drawn.events(least=5, most=10),
        rules=st.sampled_from(sorted(drawn.RULES)),
        directory=st.sampled_from(sorted(drawn.DIRECTORIES)),
        terms=drawn.terms,
        closed=st.integers(0, 3),
    )
    def some_months_are_closed(
        self, events: list[Used], *, rules: str, directory: str, terms: Snapshot, closed: int
    ) -> None:
        self.rules_are_written(rules)
        self.directory_is_written(directory)
        self.settings_are_changed(terms)
        self.witness.send(events)
        for period in drawn.MONTHS[:closed]:
            self.months.close(period)

    @_step(events=drawn.events())
    def usage_comes(self, events: list[Used]) -> None:
        self.witness.send(events)

    @_step(rules=st.sampled_from(sorted(drawn.RULES)))
    def rules_are_written(self, rules: str) -> None:
        saved = save_rules(self.store, drawn.RULES[rules], self.witness.act(), prune=True)
        changed = sum(written.changed for written in saved.written)
        self.books.audited += ["rule.write"] * changed + ["rule.delete"] * len(saved.deleted)

    @_step(name=st.sampled_from(sorted(drawn.DIRECTORIES)))
    def directory_is_written(self, name: str) -> None:
        done = apply_directory(self.store, drawn.DIRECTORIES[name], self.witness.act())
        self.books.audited += ["directory.apply"] * done.changed
        self.books.rates = drawn.RATES[name]

    @_step(terms=drawn.terms)
    def settings_are_changed(self, terms: Snapshot) -> None:
        self.books.terms = terms

    @_step(days=st.sampled_from([1, 6, 15, 31]))
    def days_pass(self, days: int) -> None:
        """The scheduler looks for what became overdue."""
        self.witness.now_us += timedelta(days=days) // timedelta(microseconds=1)
        due = self.witness.overdue()
        assert mark_overdue(self.store, self.witness.now_us) == len(due)
        for billed in due:
            billed.status = Status.OVERDUE
            billed.told.append(Status.OVERDUE.value)
            self.witness.happened("sent became overdue, by the scheduler")

    # Months.

    @_step(period=drawn.months)
    def a_month_is_closed(self, period: Period) -> None:
        self.months.close(period)

    @_step()
    def the_next_month_is_closed(self) -> None:
        """Before, whatever the broker refused is mended."""
        self._release()
        for period in drawn.MONTHS:
            if self.books.month(period).state is not PeriodState.CLOSED:
                self.witness.now_us = max(self.witness.now_us, self.witness.ends_us(period))
                self.months.close(period)
                return

    @_step(period=drawn.months)
    def a_closer_is_killed(self, period: Period) -> None:
        self.months.begin(period)

    @_step(place=_PLACES, several=st.booleans(), reason=drawn.reasons)
    def months_are_reopened(self, place: int, several: bool, reason: str | None) -> None:
        """Mostly such as can be."""
        closed = self._closed()
        there = [*closed, *closed, *drawn.MONTHS]
        for n in range(1 + several):
            self.months.reopen(there[(place + n) % len(there)], reason)

    def _closed(self) -> list[Period]:
        return [p for p in drawn.MONTHS if self.books.month(p).state is PeriodState.CLOSED]

    @_step(place=_PLACES, rules=st.sampled_from(sorted(drawn.RULES)), events=drawn.events())
    def a_month_is_corrected(self, place: int, rules: str, events: list[Used]) -> None:
        """By other rules, and with usage of its own that comes meanwhile."""
        closed = self._closed()
        if not closed:
            return
        period = closed[place % len(closed)]
        self.months.reopen(period, "settled wrongly")
        self.rules_are_written(rules)
        self.witness.send(replace(event, month=period) for event in events)
        self.the_next_month_is_closed()

    # Invoices on request.

    @_step(
        period=drawn.months, asked=drawn.requests, places=st.lists(_PLACES, min_size=1, max_size=3)
    )
    def invoices_are_asked_for(self, period: Period, asked: Requested, places: list[int]) -> None:
        """Mostly for those who have used something."""
        known = [asked.receiver, *self.books.receivers(period)]
        for place in places:
            self.asking.ask(period, replace(asked, receiver=known[place % len(known)]))

    @_step(3, which=_PLACES, place=_PLACES, together_again=st.booleans())
    def a_share_is_billed_apart(self, which: int, place: int, together_again: bool) -> None:
        """Out of a draft, where it is not billed yet, and put back again."""
        months = [p for p in drawn.MONTHS if self.books.month(p).state.takes_usage]
        period = months[which % len(months)] if months else drawn.MONTHS[-1]
        shares = [pair for pair in self.books.receivers(period) if pair.user is not None]
        if not shares:
            return
        share = shares[place % len(shares)]
        for receiver in (self.books.now(period).receiver(share), share):
            self.asking.ask(period, Requested(receiver))
        self.witness.look_again()
        for draft in self.witness.seen.invoices.values():
            live = draft.invoice_id in self.books.month(period).drafts
            if together_again and live and draft.receiver == share:
                self.changing.change(draft, Status.CANCELLED, None)

    # Their life.

    @_step(3, place=_PLACES, choice=_PLACES, reason=drawn.reasons)
    def an_invoice_goes_on(self, place: int, choice: int, reason: str | None) -> None:
        """To something that its status allows, if nothing else forbids it."""
        invoice = self._nth(place)
        allowed = sorted(TRANSITIONS[invoice.status]) if invoice else []
        if invoice and allowed:
            self.changing.change(invoice, allowed[choice % len(allowed)], reason)

    @_step(2, place=_PLACES)
    def what_awaits_approval_is_decided(self, place: int) -> None:
        ends = (Status.PENDING, Status.SENT, Status.CANCELLED)
        waiting = [row for row in self.witness.live() if row.status is Status.DRAFT]
        for n, draft in enumerate(waiting, start=place):
            self.changing.change(draft, ends[n % 3], None)

    @_step(place=_PLACES)
    def whatever_is_refused_is_tried(self, place: int) -> None:
        invoice = self._nth(place)
        for status in Status:
            if invoice and status not in TRANSITIONS[invoice.status]:
                self.changing.change(invoice, status, "let us see")

    @_step(place=_PLACES, tax_rate=st.sampled_from([None, 125_000_000]))
    def an_invoice_is_cancelled_and_replaced(self, place: int, tax_rate: int | None) -> None:
        live = self.witness.live()
        if not live:
            return
        invoice = live[place % len(live)]
        self.changing.change(invoice, Status.CANCELLED, "wrong address")
        self.asking.ask(invoice.period, Requested(invoice.receiver, tax_rate))

    @_step(faults=st.lists(st.sampled_from(_FAULTS), max_size=4))
    def a_round_is_published(self, faults: list[SendFault]) -> None:
        witness, sent = self.witness, self.witness.heads()
        ends = [*faults, *[SendFault.NONE] * len(sent)][: len(sent)]
        witness.broker.fail_sends(*ends)
        witness.now_us += 1
        done = publish(
            self.store, witness.broker.producer(), TOPIC, owner="p", now_us=witness.now_us
        )
        assert done is not None
        assert done.sent == ends.count(SendFault.NONE)
        assert done.parked == ends.count(SendFault.REFUSED)
        for message, end in zip(sent, ends, strict=True):
            if end is SendFault.NONE:
                witness.acknowledged(message)
        if done.parked:
            witness.happened("parked")

    def _release(self) -> None:
        parked = sorted(message.key for message in self.witness.seen.messages if message.parked)
        assert release(self.store, self.witness.act("the topic takes more")) == parked
        self.books.audited.extend(["outbox.release"] * len(parked))
        if parked:
            self.witness.look_again()
            self.witness.happened("released")

    def _nth(self, place: int) -> Invoice | None:
        there = sorted(self.witness.seen.invoices.values(), key=lambda row: row.invoice_id)
        return there[place % len(there)] if there else None
