"""Totals of open periods, and tallies, made anew from the records: one transaction.

What a close has booked is never changed here. A reopened period is changed only where it is named:
its next close then books the difference, like any other that came since.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from chargeback_worker.errors import Conflict
from chargeback_worker.money import plain
from chargeback_worker.period import Period
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.store import (
    Store,
    Transaction,
    audit,
    periods,
    pruned,
    recount,
    totals,
)
from chargeback_worker.store import rebuild as stored
from chargeback_worker.store.audit import Act
from chargeback_worker.store.cursors import Cursor, Tally
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.pruned import RecordSums
from chargeback_worker.usage.total import UsageSum


class NeverRebuilt(Conflict):
    """What was booked stands by the totals that it was booked by."""

    def __init__(self, period: Period) -> None:
        super().__init__(
            f"{period} is closed; its totals are never changed.",
            f"See what differs: chargeback verify --period {period}",
        )


class RecordsGone(Conflict):
    def __init__(self, period: Period) -> None:
        super().__init__(
            f"Usage records of {period} were dropped after retention.records; its totals cannot be"
            " made anew from those that are left.",
            "Restore the database from a backup, if its totals are damaged.",
        )


class RecordsNotWhole(Conflict):
    """Totals made of them would lose usage, or count it twice."""

    def __init__(self, period: Period, fault: str) -> None:
        super().__init__(
            f"The usage records of {period} are not whole: {fault}. Nothing was changed.",
            f"See all that differs: chargeback verify --period {period}",
        )


@dataclass(frozen=True, slots=True)
class RebuiltPeriod:
    """Its totals as they were and as the records sum; `differing` is how many are not the same.

    `written` is False where it was only looked at.
    """

    period: Period
    state: PeriodState
    differing: int
    before: RecordSums
    after: RecordSums
    written: bool


@dataclass(frozen=True, slots=True)
class RebuiltTally:
    cursor: Cursor
    after: Tally


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`left_out` are periods whose records were dropped; `tallies` only those that differ."""

    periods: tuple[RebuiltPeriod, ...]
    tallies: tuple[RebuiltTally, ...]
    left_out: tuple[Period, ...]


def rebuild(
    store: Store, act: Act, period: Period | None = None, *, rehearse: bool = False
) -> Rebuilt:
    """Make them anew: of one period, or of all that are open; reopened ones are then looked at.

    While it runs, ingest waits before it commits. `rehearse` writes nothing and holds off nobody.
    Raises ReasonMissing, NeverRebuilt, RecordsGone, RecordsNotWhole, or CloseInProgress.
    """
    if not rehearse:
        act.require_reason("rebuild totals")
    with _transaction(store, rehearse) as transaction:
        states, left_out = _wanted(transaction, period)
        found = _Found(states)
        found.read(transaction)
        counted = [
            RebuiltTally(cursor, tally)
            for cursor, tally in stored.tallies(transaction)
            if cursor.tally != tally
        ]
        writes = {of for of, state in states.items() if state is PeriodState.OPEN or period == of}
        result = Rebuilt(
            tuple(found.of(of, written=of in writes and not rehearse) for of in sorted(states)),
            tuple(counted),
            tuple(left_out),
        )
        if not rehearse:
            _write(transaction, found, writes, result, act)
    return result


@contextmanager
def _transaction(store: Store, rehearse: bool) -> Iterator[Transaction]:
    if rehearse:
        # One snapshot: all it reads is of the same moment.
        with store.read() as transaction:
            yield transaction
        return
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        stored.hold_off_ingest(transaction)
        yield transaction


def _wanted(
    transaction: Transaction, period: Period | None
) -> tuple[dict[Period, PeriodState], list[Period]]:
    known = {row.period: row for row in periods.listed(transaction)}
    for row in known.values():
        if row.state is PeriodState.CLOSING:
            # It reads the totals of reopened periods too.
            raise CloseInProgress(row)
    gone = pruned.listed(transaction)
    if period is not None:
        state = known[period].state if period in known else PeriodState.OPEN
        if state is PeriodState.CLOSED:
            raise NeverRebuilt(period)
        if period in gone:
            raise RecordsGone(period)
        return {period: state}, []
    unknown = totals.cost_by_period(transaction).keys() - known.keys()
    states = {of: row.state for of, row in known.items() if row.state.takes_usage}
    states |= dict.fromkeys(unknown, PeriodState.OPEN)
    return {of: state for of, state in states.items() if of not in gone}, sorted(
        states.keys() & gone.keys()
    )


class _Found:
    """What differs, period by period, and the sums of all."""

    def __init__(self, states: Mapping[Period, PeriodState]) -> None:
        self._states = states
        self._before = dict.fromkeys(states, RecordSums())
        self._after = dict.fromkeys(states, RecordSums())
        self.gone: dict[Period, list[bytes]] = {period: [] for period in states}
        self.made: dict[Period, list[UsageSum]] = {period: [] for period in states}

    def read(self, transaction: Transaction) -> None:
        """Raises RecordsNotWhole."""
        if not self._states:
            return
        _check_records(transaction, self._states)
        unsound: dict[Period, bytes] = {}
        for row in stored.beside_records(transaction, self._states):
            if not row.sound:
                # Read to the end: an answer of the database that is left half-way stays open.
                unsound[row.period] = row.key
            if row.stored is not None:
                self._before[row.period] += row.stored
            if row.summed is not None:
                self._after[row.period] += stored.sums_of(row.summed)
            if not row.same:
                if row.stored is not None:
                    self.gone[row.period].append(row.key)
                if row.summed is not None:
                    self.made[row.period].append(row.summed)
        for period, key in sorted(unsound.items()):
            raise RecordsNotWhole(period, f"those under the key {key.hex()} differ")

    def of(self, period: Period, *, written: bool) -> RebuiltPeriod:
        keys = {*self.gone[period], *(sum_.key for sum_ in self.made[period])}
        return RebuiltPeriod(
            period,
            self._states[period],
            len(keys),
            self._before[period],
            self._after[period],
            written and bool(keys),
        )


def _check_records(transaction: Transaction, states: Mapping[Period, PeriodState]) -> None:
    for period in sorted(states):
        lost = sum(1 for _ in recount.keys_without_record(transaction, period))
        keys, records = recount.keys(transaction, period), recount.count(transaction, period)
        if lost or keys != records:
            fault = f"there are {records:,} for {keys:,} keys, of which {lost:,} have none"
            raise RecordsNotWhole(period, fault)


def _write(
    transaction: Transaction, found: _Found, writes: set[Period], result: Rebuilt, act: Act
) -> None:
    gone = [key for period in sorted(writes) for key in found.gone[period]]
    made = [sum_ for period in sorted(writes) for sum_ in found.made[period]]
    for key in stored.replace(transaction, gone, made):
        period = next(Period.from_number(sum_.period) for sum_ in made if sum_.key == key)
        raise RecordsNotWhole(period, f"their total {key.hex()} stands in another period")
    for of_period in result.periods:
        if of_period.written:
            audit.append(
                transaction,
                act,
                "rebuild",
                f"period:{of_period.period}",
                before=_sums(of_period.before) | {"differing": of_period.differing},
                after=_sums(of_period.after),
            )
    for tally in result.tallies:
        stored.set_tally(transaction, tally.cursor.cursor_id, tally.after)
        audit.append(
            transaction,
            act,
            "rebuild",
            f"cursor:{tally.cursor.cursor_id}",
            before=tally.cursor.tally.outcomes(),
            after=tally.after.outcomes(),
        )


def _sums(of: RecordSums) -> dict[str, object]:
    """Amounts as decimals: they pass 64 bits."""
    return {
        "cost_usd": plain(of.cost),
        "quantity": plain(of.quantity),
        "records": of.records,
    }
