"""Events and totals as the plain values that both dialects bind."""

import msgspec

from chargeback_worker.money import EXA, NANO, exa_whole_and_nano
from chargeback_worker.period import day_number
from chargeback_worker.store.dialects import NewRecord
from chargeback_worker.usage.total import UsageTotal

RECORD_COLUMNS = (
    "period",
    "day",
    "time_us",
    "cost_nano",
    "quantity_whole",
    "quantity_nano",
    "cursor_id",
    "position",
    "received_us",
    "source",
    "usage_id",
    "team_id",
    "user_id",
    "agent_id",
    "resource_type",
    "resource_id",
    "labels",
    "metadata",
)
TOTAL_COLUMNS = (
    "period",
    "day",
    "team_id",
    "user_id",
    "agent_id",
    "resource_type",
    "labels",
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


def record_row(record: NewRecord) -> tuple[int | str | None, ...]:
    """The columns of a record after its identity and total key, in `RECORD_COLUMNS` order."""
    event = record.event
    quantity_whole, quantity_nano = divmod(event.quantity, NANO)
    return (
        record.period,
        event.day,
        event.time_us,
        event.cost,
        quantity_whole,
        quantity_nano,
        record.cursor_id,
        record.position,
        record.received_us,
        event.source,
        event.usage_id,
        event.team,
        event.user,
        event.agent,
        event.resource_type,
        event.resource_id,
        labels_text(event.labels),
        event.metadata,
    )


def total_row(total: UsageTotal) -> tuple[int | str | None, ...]:
    """The columns of a total after its key, in `TOTAL_COLUMNS` order."""
    return (
        total.period.number,
        day_number(total.day),
        total.team,
        total.user,
        total.agent,
        total.resource_type,
        labels_text(total.labels),
        *divmod(total.cost, NANO),
        *exa_whole_and_nano(total.quantity),
        total.records,
    )


def upsert_totals(source: str, *, modulo: str = "%") -> str:
    """The statement that adds rows from `source` (VALUES or SELECT) to the totals, with carry.

    `modulo` is how the driver wants that operator written.
    """
    columns = ", ".join(("total_key", *TOTAL_COLUMNS))
    both = {name: f"usage_total.{name} + excluded.{name}" for name in TOTAL_COLUMNS[-6:]}
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
