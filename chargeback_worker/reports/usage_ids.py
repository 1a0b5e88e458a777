"""The first usage ids behind allocations, for a page of them at once.

They are those of the usage behind an allocation now. What a billing period booked has those that
it bills; where it only moved cost between others there are none. A run whose rules were changed
since has none until the next run.

Whoever sees only what is theirs gets those of their own usage alone: of what was divided, others
used the rest.
"""

from collections.abc import Iterable, Sequence

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.allocation.pool import Bearer, Pool
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.reports.allocated import Allocated, Allocation, AllocationKey, bases
from chargeback_worker.reports.basis import Basis
from chargeback_worker.store import Transaction
from chargeback_worker.store.evidence import first_totals, records_behind
from chargeback_worker.store.groups import Group
from chargeback_worker.usage.total import UsageTotal


def first_usage_ids(
    transaction: Transaction,
    found: Allocated,
    rows: Sequence[Allocation],
    terms: Snapshot,
    *,
    most: int,
    of: Pair | None = None,
) -> dict[AllocationKey, list[str]]:
    """Of each of those rows at most so many usage ids, in the order of totals and times.

    With `of`, a team or a user, only ids of usage that belongs to them.
    """
    ids: dict[AllocationKey, list[str]] = {row.key: [] for row in rows}
    if not most or not rows:
        return ids
    for basis in bases(transaction, found, terms, {row.key.origin for row in rows}):
        own = [row for row in rows if row.key.origin == basis.origin]
        behind = groups_behind(basis, own, most, of)
        groups = {Group.of(group) for of_row in behind.values() for group in of_row}
        keys = first_totals(transaction, groups, basis.kept, basis.days, each=most)
        read: dict[tuple[Group, ...], list[str]] = {}
        for key, of_row in behind.items():
            # All that share a pool have the same usage behind them.
            names = tuple(map(Group.of, of_row))
            if names not in read:
                total_keys = [total_key for name in names for total_key in keys.get(name, ())]
                records = records_behind(transaction, total_keys, limit=most)
                read[names] = [record.usage_id for record in records]
            ids[key] = [*ids[key], *read[names]][:most]
    return ids


def groups_behind(
    basis: Basis, rows: Sequence[Allocation], most: int | None = None, of: Pair | None = None
) -> dict[AllocationKey, list[UsageTotal]]:
    """Of each row as many groups of totals as hold `most` records; all of them without that.
    With `of` only those of usage that belongs to that team or user."""
    wanted = {row.key: row for row in rows}
    behind: dict[AllocationKey, list[UsageTotal]] = {}
    for rule, pool in basis.pools:
        keys = [
            AllocationKey(basis.origin, rule.rule_id, rule.version, pair)
            for pair in pool.effective_weights()
        ]
        present = [key for key in keys if key in wanted]
        if not present:
            continue
        groups = _groups(pool, basis, of)
        for key in present:
            types = wanted[key].by_resource_type
            of_row = behind.setdefault(key, [])
            of_row += (group for group in groups if group.resource_type in types)
    if most is None:
        return behind
    return {key: _first(groups, most) for key, groups in behind.items()}


def _groups(pool: Pool, basis: Basis, of: Pair | None) -> list[UsageTotal]:
    wanted = None if of is None else Bearer(of)
    used = (one.total for one in pool.usage if wanted is None or wanted.bears(one.owner))
    return [total for total in used if basis.billed_in in (None, total.period)]


def _first(groups: Iterable[UsageTotal], most: int) -> list[UsageTotal]:
    first: list[UsageTotal] = []
    records = 0
    for group in sorted(groups, key=_order):
        if records >= most:
            break
        first.append(group)
        records += group.records
    return first


def _order(total: UsageTotal) -> tuple[object, ...]:
    texts = (total.team, total.user, total.resource_type, total.agent, *total.labels)
    return (total.period, total.day, *((text is not None, text or "") for text in texts))
