"""Records against their keys: nothing lost, nothing doubled, nothing altered."""

from collections.abc import Callable
from typing import Any

from chargeback_worker.money import NANO
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.store import installation, pruned, recount
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.digests import content_digest, identity_digest
from chargeback_worker.usage.instant import BillingDays
from chargeback_worker.usage.total import total_key

_ALTERED = "A record or its key was altered after it was stored; compare with the topic."
_LOST = "Rows were removed by hand; restore the database from a backup and ingest again."


def records(found: Comparison) -> None:
    """Each record recomputes to its key, its content, its day, its period and its total."""
    grain = installation.read_grain(found.transaction)
    day_of = BillingDays(grain.zone()).of if grain else None
    total_of: dict[tuple[object, ...], bytes] = {}
    for row in recount.records(found.transaction, found.period):
        found.rows += 1
        fault = _fault(row, day_of, total_of)
        if fault is not None:
            what, expected, stored = fault
            found.differ(
                f"record {row.source!r}/{row.usage_id!r}: {what}", expected, stored, _ALTERED
            )


def keys(found: Comparison) -> None:
    """Each key has its one record, or that was dropped after retention.records."""
    transaction = found.transaction
    gone = pruned.listed(transaction)
    found.rows = recount.keys(transaction, found.period)
    for identity in recount.keys_without_record(transaction, found.period, pruned=gone):
        found.differ(f"key {identity.hex()}", "its record", "no record", _LOST)
    for period, of_period in gone.items():
        if found.period in (None, period):
            there = recount.count(transaction, period)
            left = recount.keys(transaction, period) - of_period.records
            found.equal(f"records of {period} that were not dropped", left, there, _LOST)
    for row in recount.identities_twice(found.transaction):
        found.differ(f"key {row.identity.hex()}", "1 record", f"{row.records} records", _LOST)


_Fault = tuple[str, object, object]


def _fault(
    row: Any, day_of: Callable[[int], int] | None, total_of: dict[tuple[object, ...], bytes]
) -> _Fault | None:
    """The first thing about a record that does not recompute."""
    if row.key_content is None:
        return "its key", row.identity.hex(), "no key"
    labels = read_labels(row.labels)
    owner = (row.team_id, row.user_id, row.agent_id)
    if (identity := identity_digest(row.source, row.usage_id)) != row.identity:
        return "identity", identity.hex(), row.identity.hex()
    quantity = row.quantity_whole * NANO + row.quantity_nano
    rest = (*owner, row.resource_type, quantity, row.cost_nano, labels)
    content = content_digest(row.time_us, *rest)
    # An event that said no time was counted at its receipt, which is no part of what it said.
    received = row.time_us == row.received_us and content_digest(None, *rest)
    if row.key_content not in (content, received):
        return "content", row.key_content.hex(), content.hex()
    if day_of is not None and (day := day_of(row.time_us)) != row.day:
        return "billing day", day, row.day
    if row.period != row.key_period or row.period < row.day // 100:
        expected = f"{row.key_period}, not before {row.day // 100}"
        return "billing period", expected, row.period
    grain = (row.period, row.day, *owner, row.resource_type, labels)
    # Many records share a total.
    if (key := total_of.get(grain)) is None:
        if len(total_of) >= _REMEMBERED_MAX:
            total_of.clear()
        key = total_of[grain] = total_key(*grain)
    return None if key == row.total_key else ("total key", key.hex(), row.total_key.hex())


_REMEMBERED_MAX = 100_000
