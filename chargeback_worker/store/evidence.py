"""What is stored behind an allocation: from groups of totals back to totals, and to records.

    totals_behind(transaction, groups, kept, days, limit=, after=)    all summed, and one page
    first_totals(transaction, groups, kept, days, each=)              a few keys of each group
    records_behind(transaction, total_keys, limit=, after=)           a page of usage records

`groups` are totals as `origins.counted` and `origins.of_days` gave them, summed by the grouping
`kept`, all of those `days`. Pages are by key.
"""

from collections.abc import Collection, Iterator, Sequence
from heapq import nsmallest
from operator import itemgetter
from typing import Any, NamedTuple

import sqlalchemy as sa

from chargeback_worker.allocation.grouping import Grouping
from chargeback_worker.money import EXA, NANO
from chargeback_worker.period import BillingRange, Period, day_from_number
from chargeback_worker.store import Transaction
from chargeback_worker.store.groups import Group, totals_of
from chargeback_worker.store.rows import chunks, read_amount
from chargeback_worker.store.tables import usage_record as record_table
from chargeback_worker.store.tables import usage_total as table
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import UsageTotal

_KEYS_AT_ONCE = 1_000


class Sums(NamedTuple):
    """Usage summed; `totals` is how many usage totals it is."""

    totals: int = 0
    cost: int = 0
    quantity: int = 0
    records: int = 0

    def less(self, other: "Sums") -> "Sums":
        return Sums(*(mine - its for mine, its in zip(self, other, strict=True)))


class StoredTotal(NamedTuple):
    """A usage total under the key that its records have too."""

    total_key: bytes
    total: UsageTotal


class TotalsBehind(NamedTuple):
    """All usage totals of some groups, summed, and those of one page, in the order of keys."""

    sums: Sums
    page: list[StoredTotal]


class RecordPlace(NamedTuple):
    """Where a record stands among those of its totals."""

    total_key: bytes
    time_us: int
    identity: bytes


class StoredRecord(NamedTuple):
    """A usage record as people are shown it."""

    place: RecordPlace
    source: str
    usage_id: str
    team: str | None
    user: str | None
    agent: str | None
    resource_type: str
    resource_id: str | None
    quantity: int
    cost: int
    period: Period
    late: bool


def totals_behind(
    transaction: Transaction,
    groups: Collection[UsageTotal],
    kept: Grouping,
    days: BillingRange,
    *,
    limit: int,
    after: bytes | None = None,
    only: bytes | None = None,
) -> TotalsBehind:
    """The stored usage totals of those groups: summed, and the first `limit` of them by key.

    `after` is the last key of the page before; `only` asks for the total of that key alone. It
    reads every total of the groups' owners once, so that what it sums is what is stored.
    """
    every = [0] * len(Sums._fields)

    def counted() -> Iterator[Sequence[Any]]:
        wanted = {Group.of(group) for group in groups}
        for _, row in totals_of(transaction, wanted, kept, days, _COLUMNS):
            every[0] += 1
            every[1] += row[-6] * NANO + row[-5]
            every[2] += _wide(row)
            every[3] += row[-1]
            if only is None or row[_KEY] == only:
                yield row

    later = (row for row in counted() if after is None or row[_KEY] > after)
    # One at least, as it would read none to find none.
    page = nsmallest(max(limit, 1), later, key=itemgetter(_KEY))[:limit]
    return TotalsBehind(Sums(*every), [_total(row) for row in page])


def first_totals(
    transaction: Transaction,
    groups: Collection[Group],
    kept: Grouping,
    days: BillingRange,
    *,
    each: int,
) -> dict[Group, list[bytes]]:
    """The first `each` keys of the stored usage totals of every group."""
    found: dict[Group, list[bytes]] = {group: [] for group in groups}
    for group, row in totals_of(transaction, groups, kept, days, (table.c.total_key,)):
        found[group].append(row[-1])
    return {group: nsmallest(each, keys) for group, keys in found.items()}


def records_behind(
    transaction: Transaction,
    total_keys: Collection[bytes],
    *,
    limit: int,
    after: RecordPlace | None = None,
) -> list[StoredRecord]:
    """The first usage records of those totals: by total in the order of keys, then by time.

    `after` is the place of the last one before. No more totals are looked at than it takes.
    """
    keys = sorted(key for key in set(total_keys) if after is None or key >= after.total_key)
    order = (record_table.c.total_key, record_table.c.time_us, record_table.c.identity)
    found: list[StoredRecord] = []
    for chunk in chunks(keys, _KEYS_AT_ONCE):
        statement = (
            # The day, which records are found by, is the total's.
            sa.select(record_table)
            .join(table, _IS_IN_TOTAL)
            .where(table.c.total_key.in_(chunk))
            .order_by(*order)
            .limit(limit - len(found))
        )
        if after is not None and after.total_key == chunk[0]:
            statement = statement.where(_comes_after(after))
        found += (_record(row) for row in transaction.execute(statement))
        if len(found) == limit:
            break
    return found


def _comes_after(place: RecordPlace) -> sa.ColumnElement[bool]:
    """Written out, as a row's comparison would not use the types of the columns."""
    columns = record_table.c
    later = (columns.time_us > place.time_us) | (
        (columns.time_us == place.time_us) & (columns.identity > place.identity)
    )
    return (columns.total_key != place.total_key) | later


_IS_IN_TOTAL = (record_table.c.day == table.c.day) & (record_table.c.total_key == table.c.total_key)
_COLUMNS = (
    table.c.total_key,
    table.c.cost_whole,
    table.c.cost_nano,
    table.c.quantity_exa,
    table.c.quantity_whole,
    table.c.quantity_nano,
    table.c.records,
)
_KEY = -len(_COLUMNS)


def _wide(row: Sequence[Any]) -> int:
    """Its quantity."""
    exa, whole, nano = row[-4:-1]
    return int((exa * EXA + whole) * NANO + nano)


def _total(row: Sequence[Any]) -> StoredTotal:
    period, team, user, resource_type, day, agent, labels, total_key, whole, nano = row[:10]
    total = UsageTotal(
        period=Period.from_number(period),
        day=day_from_number(day),
        team=team,
        user=user,
        agent=agent,
        resource_type=resource_type,
        labels=read_labels(labels),
        cost=whole * NANO + nano,
        quantity=_wide(row),
        records=row[-1],
    )
    return StoredTotal(total_key, total)


def _record(row: sa.Row[Any]) -> StoredRecord:
    return StoredRecord(
        RecordPlace(row.total_key, row.time_us, row.identity),
        row.source,
        row.usage_id,
        row.team_id,
        row.user_id,
        row.agent_id,
        row.resource_type,
        row.resource_id,
        read_amount(row, "quantity"),
        row.cost_nano,
        Period.from_number(row.period),
        row.day // 100 != row.period,
    )
