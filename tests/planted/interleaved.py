"""Faults of order, as data: each shows only where several work at once or something is cut off, and
the histories of `tests/interleaving` must find it.

`seed` is one that finds it; `docs/interleavings.md` says how many others do, and by which check.
Only what no other test is there for stands here. Where one safeguard stands behind another, both
are taken away, as either alone keeps the books right.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from chargeback_worker.errors import Unavailable
from chargeback_worker.period import Period, billing_day, from_us
from chargeback_worker.pipeline.due import Due
from chargeback_worker.store import Transaction, periods
from chargeback_worker.store.leases import Lease
from chargeback_worker.store.outbox import Arrived
from chargeback_worker.store.periods import PeriodState
from chargeback_worker.store.tables import billing_period, outbox
from tests.interleaving.truth import FIRST_DAY
from tests.planted.faults import FAULTS
from tests.planted.plant import put_in_place

_PIPELINE = "chargeback_worker.pipeline"
_STORE = "chargeback_worker.store"
_POSTGRESQL = f"{_STORE}.dialects.postgresql:PostgreSQL"
_POSITIONS = "chargeback_worker.worker.positions:Positions"
_MOVED_FROM_ANYWHERE = FAULTS["a cursor is moved wherever it stands"]

_FIRST = Period.of(FIRST_DAY)

Change = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Planted:
    """What is put in the place of each target (module:name), and where and when it shows."""

    changes: Mapping[str, Change]
    seed: int
    store: str = "sqlite"


def plant(name: str) -> None:
    """Put a fault into this process, for good."""
    for target, instead in INTERLEAVED[name].changes.items():
        put_in_place(target, instead)


def _nothing(_real: Any) -> Any:
    return lambda *_arguments, **_more: None


def _listener_raises(_real: Any) -> Any:
    def on_assigned(self: Any, partitions: Any) -> None:
        self.joined = True
        for partition in sorted(partitions):
            self._place(partition)

    return on_assigned


def _goes_on(turn: Any) -> Any:
    """With the same consumer, whatever came out of its poll."""

    def turned(self: Any) -> None:
        try:
            turn(self)
        except Unavailable:
            self._gathered.clear()

    return turned


def _of_the_day_alone(total_key: Any) -> Any:
    def key(period: int, day: int, *grain: Any, **named: Any) -> Any:
        return total_key(day // 100, day, *grain, **named)

    return key


def _ended_last(_due: Any) -> Any:
    """The month that ended last by the clock of whoever asks."""

    def due(store: Any, now_us: int, close_delay: Any, _ends: Any) -> Any:
        first = billing_day(from_us(now_us) - close_delay, ZoneInfo("UTC")).replace(day=1)
        month = Period.of(first.fromordinal(first.toordinal() - 1))
        if month < _FIRST:
            return None
        with store.read() as transaction:
            row = periods.find(transaction, month)
        return None if row is not None and row.state is PeriodState.CLOSED else Due(month)

    return due


def _always_ours(_take: Any) -> Any:
    return lambda _transaction, name, owner, _lasting_s: Lease(name, owner, 1)


def _whoever_closes(_mine: Any) -> Any:
    def mine(transaction: Any, period: Any, _owner: str, values: Any) -> bool:
        statement = sa.update(billing_period).where(billing_period.c.period == period.number)
        return bool(transaction.execute(statement.values(values)).rowcount == 1)

    return mine


def _sent_is_arrived(_collect: Any) -> Any:
    def collect(sent: Any, row: Any, _delivery: Any) -> None:
        sent.arrived.append(Arrived(row.message_id, 0, 0))
        if row.invoice_id is not None:
            sent.acknowledged.append(row.invoice_id)

    return collect


def _all_that_waits(_first_of_keys: Any) -> Any:
    table = outbox

    def waiting(*conditions: Any, limit: int) -> Any:
        return (
            sa.select(table)
            .where(table.c.published_us.is_(None), table.c.parked.is_(None), *conditions)
            .order_by(table.c.key, table.c.seq)
            .limit(limit)
        )

    return waiting


@contextmanager
def _apart(transaction: Any) -> Iterator[Any]:
    """A transaction of its own beside that of the caller."""
    dialect = transaction.dialect
    with transaction.connection.engine.begin() as connection:
        yield type(transaction)(connection, getattr(dialect, "_real", dialect))


def _in_one_of_its_own(real: Any) -> Any:
    def done(transaction: Any, *arguments: Any) -> Any:
        with _apart(transaction) as apart:
            return real(apart, *arguments)

    return done


class _Otherwise:
    """Another object, but for what is named."""

    def __init__(self, real: Any, **named: Any) -> None:
        self._other = real
        self.__dict__ |= named

    def __getattr__(self, name: str) -> Any:
        return getattr(self._other, name)


def _decided_before(billing_periods: Any) -> Any:
    """By states that were read before the periods were held."""

    def decided(transaction: Any, days: set[int], zone: Any) -> Any:
        dialect = transaction.dialect
        loose = _Otherwise(dialect, share_periods=lambda *_: None)
        found = billing_periods(Transaction(transaction.connection, loose), days, zone)
        dialect.share_periods(transaction.connection, sorted({*found, *found.values()}))
        return found

    return decided


def _by_its_own_clock(start_closing: Any) -> Any:
    def started(store: Any, period: Any, terms: Any, act: Any, **more: Any) -> Any:
        @contextmanager
        def begin(**named: Any) -> Iterator[Any]:
            with store.begin(**named) as transaction:
                yield _Otherwise(transaction, now_us=lambda: act.now_us)

        return start_closing(_Otherwise(store, begin=begin), period, terms, act, **more)

    return started


INTERLEAVED: dict[str, Planted] = {
    "a cursor is moved wherever it stands": Planted(
        {_MOVED_FROM_ANYWHERE.target: _MOVED_FROM_ANYWHERE.instead}, 3
    ),
    "a listener fails and its consumer is kept": Planted(
        {
            f"{_POSITIONS}.on_assigned": _listener_raises,
            "chargeback_worker.worker.consumer:Session.turn": _goes_on,
        },
        2,
    ),
    "no seek after a rollback, and a cursor that does not mind": Planted(
        {
            f"{_POSITIONS}.hold_all": _nothing,
            _MOVED_FROM_ANYWHERE.target: _MOVED_FROM_ANYWHERE.instead,
        },
        2,
    ),
    "ingest does not hold its periods": Planted(
        {f"{_POSTGRESQL}.share_periods": _nothing}, 14, "postgresql"
    ),
    "a close does not wait for ingest under way": Planted(
        {f"{_POSTGRESQL}.own_period": _nothing}, 6, "postgresql"
    ),
    "ingest reads the states of periods before it holds them": Planted(
        {f"{_PIPELINE}.ingest:_billing_periods": _decided_before}, 6, "postgresql"
    ),
    "totals are keyed without the billing period": Planted(
        {
            f"{_PIPELINE}.ingesting.settled:total_key": _of_the_day_alone,
            "chargeback_worker.usage.total:total_key": _of_the_day_alone,
            "chargeback_worker.reports.verify.usage:total_key": _of_the_day_alone,
            "chargeback_worker.reports.verify.totals:total_key": _of_the_day_alone,
        },
        2,
    ),
    "late usage goes into the period that is closing": Planted(
        {f"{_STORE}.periods:PeriodState.takes_usage": lambda _: property(_not_closed)}, 10
    ),
    "a scheduler trusts its clock": Planted({"tests.interleaving.actors:due": _ended_last}, 6),
    "a close is taken over by a clock that is ahead": Planted(
        {f"{_PIPELINE}.close:start_closing": _by_its_own_clock}, 29
    ),
    "a closer does not look whether it still is": Planted(
        {f"{_STORE}.periods:_mine": _whoever_closes}, 0
    ),
    "a publisher without a lease": Planted(
        {
            f"{_STORE}.leases:take": _always_ours,
            f"{_STORE}.leases:hold": lambda _: lambda *_arguments: True,
        },
        1,
    ),
    "what was sent is marked before it is acknowledged": Planted(
        {f"{_PIPELINE}.publish:_collect": _sent_is_arrived}, 15
    ),
    "the end of a month does not wait for its invoices": Planted(
        {f"{_STORE}.outbox:_not_all_arrived": lambda _: sa.false}, 1
    ),
    "a round sends more than the first message of a key": Planted(
        {f"{_STORE}.outbox:_first_of_keys": _all_that_waits}, 7
    ),
    "seq is taken in a transaction of its own": Planted(
        {f"{_STORE}.outbox:next_seqs": _in_one_of_its_own}, 5, "postgresql"
    ),
    "numbers are taken in a transaction of their own": Planted(
        {
            f"{_STORE}.invoices:last_number": _in_one_of_its_own,
            f"{_STORE}.invoices:give_out_numbers": _in_one_of_its_own,
        },
        5,
        "postgresql",
    ),
}


def _not_closed(state: PeriodState) -> bool:
    return state is not PeriodState.CLOSED
