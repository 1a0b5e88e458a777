"""Usage as the plain values that both dialects bind."""

import msgspec

from chargeback_worker.money import EXA, NANO, exa_whole_and_nano
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.usage.total import UsageSum

GRAIN_COLUMNS = (
    "total_key",
    "period",
    "day",
    "team_id",
    "user_id",
    "agent_id",
    "resource_type",
    "labels",
)
"""What a record has in common with its total."""
RECORD_COLUMNS = (
    "identity",
    "time_us",
    "cost_nano",
    "quantity_whole",
    "quantity_nano",
    "cursor_id",
    "position",
    "received_us",
    "source",
    "usage_id",
    "resource_id",
    "metadata",
)
"""What it has for itself."""
SUM_COLUMNS = (
    "cost_whole",
    "cost_nano",
    "quantity_exa",
    "quantity_whole",
    "quantity_nano",
    "records",
)


def labels_text(labels: tuple[str | None, ...]) -> str | None:
    """The labels of the grain as a JSON list in the grain's order; nothing where it has none."""
    return msgspec.json.encode(labels).decode() if labels else None


def grain_row(
    sum_: UsageSum,
) -> tuple[bytes, int, int, str | None, str | None, str | None, str, str | None]:
    """The values of `GRAIN_COLUMNS`."""
    return (
        sum_.key,
        sum_.period,
        sum_.day,
        sum_.team,
        sum_.user,
        sum_.agent,
        sum_.resource_type,
        labels_text(sum_.labels),
    )


def record_row(record: NewRecord) -> tuple[bytes | int | str | None, ...]:
    """The values of `RECORD_COLUMNS`."""
    event = record.event
    return (
        event.identity,
        event.time_us,
        event.cost,
        *divmod(event.quantity, NANO),
        record.cursor_id,
        record.position,
        record.received_us,
        event.source,
        event.usage_id,
        event.resource_id,
        event.metadata,
    )


def sum_row(sum_: UsageSum) -> tuple[int, ...]:
    """The values of `SUM_COLUMNS`."""
    return (*divmod(sum_.cost, NANO), *exa_whole_and_nano(sum_.quantity), sum_.records)


def upsert_totals(source: str, *, modulo: str = "%") -> str:
    """The statement that adds rows from `source` (VALUES or SELECT) to the totals, with carry.

    `modulo` is how the driver wants that operator written.
    """
    columns = ", ".join((*GRAIN_COLUMNS, *SUM_COLUMNS))
    both = {name: f"usage_total.{name} + excluded.{name}" for name in SUM_COLUMNS}
    cost_whole = f"{both['cost_whole']} + ({both['cost_nano']}) / {NANO}"
    whole = f"{both['quantity_whole']} + ({both['quantity_nano']}) / {NANO}"
    added = {
        "cost_whole": cost_whole,
        "cost_nano": f"({both['cost_nano']}) {modulo} {NANO}",
        "quantity_exa": f"{both['quantity_exa']} + ({whole}) / {EXA}",
        "quantity_whole": f"({whole}) {modulo} {EXA}",
        "quantity_nano": f"({both['quantity_nano']}) {modulo} {NANO}",
        "records": both["records"],
    }
    assignments = ", ".join(f"{name} = {sum_}" for name, sum_ in added.items())
    return (
        f"INSERT INTO usage_total ({columns}) {source}"
        f" ON CONFLICT (total_key) DO UPDATE SET {assignments}"
    )
