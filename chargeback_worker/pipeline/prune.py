"""Dropping the usage records of closed periods once they are older than they are kept.

Small transactions, none of which ingest waits for: each drops some records and notes in the same
breath how many and what they summed to. Killed anywhere, it is gone on with by doing it again.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from chargeback_worker.errors import Conflict
from chargeback_worker.period import Period
from chargeback_worker.store import Store, Transaction, audit, periods, pruned
from chargeback_worker.store.audit import Act
from chargeback_worker.store.pruned import Prunable, Pruned, RecordSums

AT_ONCE = 5_000
"""Records that one transaction drops."""

_MICROSECOND = timedelta(microseconds=1)


class RecordsDiffer(Conflict):
    """What would be dropped is needed to find out what is wrong."""

    def __init__(self, period: Period, origin: Period) -> None:
        super().__init__(
            f"The usage records of {origin} that {period} bills do not sum to their totals;"
            " none of them are dropped.",
            f"See what differs: chargeback verify --period {period}",
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """`dropped` of a period's records so far, by this call; `done` once none is left."""

    period: Period
    dropped: int
    done: bool = False


def to_prune(store: Store, keep: timedelta, now_us: int) -> list[Prunable]:
    """The periods that were closed, the last time, longer ago than records are kept."""
    with store.read() as transaction:
        return pruned.prunable(transaction, now_us - keep // _MICROSECOND)


def prune(
    store: Store, keep: timedelta, act: Act, *, at_once: int = AT_ONCE
) -> Generator[Progress]:
    """Drop them, period by period; tells after each transaction how far it is.

    Raises RecordsDiffer before anything of that period is dropped. A period that is reopened
    meanwhile is left as it is then.
    """
    for wanted in to_prune(store, keep, act.now_us):
        _check(store, wanted)
        yield from _prune_period(store, wanted, act, at_once)


def _check(store: Store, wanted: Prunable) -> None:
    """What is left and what is noted as gone must be what the totals say. Raises RecordsDiffer."""
    while True:
        noted, differs = _first_that_differs(store, wanted.period)
        if differs is None:
            return
        with store.read() as transaction:
            if not pruned.is_still(transaction, wanted):
                return
            if pruned.find(transaction, wanted.period) == noted:
                raise RecordsDiffer(wanted.period, differs)
        # Somebody else prunes it too, and has dropped some while we counted.


def _first_that_differs(store: Store, period: Period) -> tuple[Pruned | None, Period | None]:
    """What is noted, and the first origin month whose records and totals do not agree with it."""
    with store.read() as transaction:
        noted = pruned.find(transaction, period)
        days = pruned.days_of(transaction, period)
    expected: dict[Period, RecordSums] = {}
    found = dict(noted.origins) if noted is not None else {}
    for day in days:
        # A closed period stands still: each day may be read by itself.
        with store.read() as transaction:
            of_totals, of_records = pruned.summed(transaction, period, day)
        origin = Period.from_number(day // 100)
        expected[origin] = expected.get(origin, RecordSums()) + of_totals
        found[origin] = found.get(origin, RecordSums()) + of_records
    differ = (
        origin
        for origin in sorted(expected.keys() | found.keys())
        if expected.get(origin) != found.get(origin)
    )
    return noted, next(differ, None)


def _prune_period(store: Store, wanted: Prunable, act: Act, at_once: int) -> Iterator[Progress]:
    dropped = 0
    if not _begin(store, wanted, act):
        return
    with store.read() as transaction:
        days = pruned.days_of(transaction, wanted.period)
    for day in days:
        from_key: bytes | None = bytes(16)
        while from_key is not None:
            with _step(store) as transaction:
                if not pruned.is_still(transaction, wanted):
                    return
                gone = pruned.find(transaction, wanted.period)
                assert gone is not None
                some = pruned.drop_some(
                    transaction, wanted.period, day, from_key=from_key, most=at_once
                )
                if some is not None:
                    origin = Period.from_number(day // 100)
                    pruned.note(transaction, gone.having(origin, some.sums, some.cursors))
            from_key = None if some is None else some.last_key
            if some is not None:
                dropped += some.sums.records
                yield Progress(wanted.period, dropped)
    yield Progress(wanted.period, dropped, done=_end(store, wanted, act, dropped))


def _begin(store: Store, wanted: Prunable, act: Act) -> bool:
    """Note that it begins, in the audit too; False where the period was reopened meanwhile."""
    with _step(store) as transaction:
        if not pruned.is_still(transaction, wanted):
            return False
        gone = pruned.find(transaction, wanted.period)
        if gone is None:
            gone = Pruned(wanted.period, act.now_us)
        pruned.note(transaction, replace(gone, ended_us=None))
        audit.append(
            transaction,
            act,
            "prune.begin",
            f"period:{wanted.period}",
            before={"records": wanted.records},
        )
    return True


def _end(store: Store, wanted: Prunable, act: Act, dropped: int) -> bool:
    """Note that none is left. One that was changed meanwhile was passed by, and is: next time."""
    with _step(store) as transaction:
        if not pruned.is_still(transaction, wanted):
            return False
        gone = pruned.find(transaction, wanted.period)
        left = pruned.prunable(transaction, wanted.closed_us)
        if gone is None or any(one.period == wanted.period and one.records for one in left):
            return False
        pruned.note(transaction, replace(gone, ended_us=act.now_us))
        audit.append(
            transaction,
            act,
            "prune",
            f"period:{wanted.period}",
            before={"records": dropped},
            after={"records": 0},
        )
    return True


@contextmanager
def _step(store: Store) -> Iterator[Transaction]:
    """One transaction beside which nobody reopens a period, rebuilds a tally, or prunes."""
    with store.begin() as transaction:
        periods.hold_off_closing(transaction)
        yield transaction
