"""The books: whose they are, what waits for a person, and who may ask for them."""

from collections.abc import Iterator

from chargeback_worker import app
from chargeback_worker.cli.doctor.at_work import at_work
from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, failed, ok, warn
from chargeback_worker.money import plain
from chargeback_worker.period import format_us
from chargeback_worker.pipeline.holding.older import find_causes
from chargeback_worker.reports.periods import PeriodStanding, period_standings
from chargeback_worker.store import Store, api_keys, holds, installation, outbox, parked
from chargeback_worker.store.api_keys import Role
from chargeback_worker.store.periods import PeriodState

# A scheduler looks every 30 s; a large month takes its time.
_OVERDUE_US = 3_600_000_000
# The messages of a close are gone minutes later.
_UNPUBLISHED_US = 1_800_000_000
# One for the person who keeps the house, one for what deploys it.
_MAY_ALL_MAX = 2


def books_are_of_their_topics(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    with patient.world.store.read() as transaction:
        hold = holds.find(transaction)
    causes = [] if hold is None else list(hold.because)
    kafka = patient.settings.kafka
    if not causes and {kafka.usage_topic, kafka.invoices_topic} <= patient.topics.keys():
        causes = find_causes(patient.world.store, patient.world.world)
    if causes:
        detail = f"older than their topics: {'; '.join(causes)}"
        fix = "See that this is the right database, and the only one of these topics"
        fix += " (docs/restore.md); then: chargeback db resume --reason TEXT"
        yield warn("books", Fault.BOOKS_OLDER, detail, fix)


def nothing_waits(patient: Patient) -> Iterator[Finding]:
    """Months and messages that want a person."""
    if not patient.has_books:
        return
    store, now_us = patient.world.store, app.now_us()
    yield from _months(patient, now_us)
    with store.read() as transaction:
        backlog = outbox.backlog(transaction)
        oldest_us = outbox.oldest_ready_us(transaction)
    if backlog.parked:
        yield _parked(store, backlog.parked)
    if oldest_us is not None and oldest_us < now_us - _UNPUBLISHED_US:
        detail = f"{backlog.messages:,} messages wait to be published since {format_us(oldest_us)}"
        fix = "chargeback run --role publisher"
        if any(beat.role == "publisher" for beat in at_work(store)):
            fix = "See what keeps the publisher: its log, action publish_failed, and its /readyz."
        yield warn("outbox", Fault.MESSAGES_WAIT, detail, fix)


def _months(patient: Patient, now_us: int) -> Iterator[Finding]:
    store, delay = patient.world.store, patient.settings.billing.close_delay
    with store.read() as transaction:
        first = installation.first_period(transaction)
    for standing in period_standings(store, now_us=now_us, close_delay=delay):
        over = standing.due_us < now_us and standing.row.state is not PeriodState.CLOSED
        if over and standing.row.period < first and standing.row.state is PeriodState.OPEN:
            yield _nobody_closes(standing, str(first))
        elif over and standing.waits_for and _is_stuck(standing, now_us):
            detail = f"{standing.row.period} waits for {'; '.join(standing.waits_for)}"
            yield warn("periods", Fault.PERIOD_OVERDUE, detail, "chargeback periods")
        elif over and not standing.waits_for and standing.due_us < now_us - _OVERDUE_US:
            detail = f"{standing.row.period} is due since {format_us(standing.due_us)}, and nobody"
            detail += f" closes it; USD {plain(standing.used)} of cost wait"
            fix = "chargeback run --role scheduler"
            yield warn("periods", Fault.PERIOD_OVERDUE, detail, fix)


def _is_stuck(standing: PeriodStanding, now_us: int) -> bool:
    """Soon after it is due, ingest is waited for and a month is closed as ever."""
    row = standing.row
    by_itself = row.state is not PeriodState.REOPENED and row.failure is None
    return not by_itself or standing.due_us < now_us - _OVERDUE_US


def _nobody_closes(standing: PeriodStanding, first: str) -> Finding:
    month = standing.row.period
    detail = f"{month} waits for chargeback close {month}, with USD {plain(standing.used)} of cost:"
    detail += f" it is before billing.first_period {first}, so that no scheduler closes it"
    fix = f"Close it: chargeback close {month}; or all of them: set billing.first_period to {month}"
    return warn("periods", Fault.PERIOD_NOBODY_CLOSES, detail, fix)


def _parked(store: Store, count: int) -> Finding:
    with store.read() as transaction:
        first, *_ = parked.listed(transaction, parked=True, limit=1)
    whose = first.key if count == 1 else f"{count:,} receivers, {first.key} first,"
    fix = "Mend that, then: chargeback outbox release --reason TEXT"
    detail = f"messages to {whose} are parked: {first.reason}"
    return warn("outbox", Fault.MESSAGES_PARKED, detail, fix)


def keys_fit(patient: Patient) -> Iterator[Finding]:
    """Who may ask over HTTP; when a key was last used is not kept."""
    if not patient.has_books:
        return
    with patient.world.store.read() as transaction:
        made = api_keys.listed(transaction)
    host = patient.settings.api.host
    if not made:
        # It takes as long to import as all the rest, and most commands do without.
        from chargeback_worker.api.access import is_loopback
        from chargeback_worker.api.server import OpenToOthers

        if is_loopback(host):
            yield ok("keys", f"none; the API answers this machine alone, on {host}")
        else:
            yield failed("keys", Fault.KEYS_MISSING, OpenToOthers(host))
        return
    live = [key for key in made if key.revoked_us is None]
    yield ok("keys", f"{len(live)} keys of the API")
    all_of_it = [key.name for key in live if key.role is Role.ADMIN and key.scope is None]
    if len(all_of_it) > _MAY_ALL_MAX:
        detail = f"{len(all_of_it)} keys may do everything: {', '.join(sorted(all_of_it))}"
        fix = "Give each client the least role and scope (keys create), and revoke: keys revoke ID"
        yield warn("keys", Fault.KEYS_TOO_WIDE, detail, fix)
