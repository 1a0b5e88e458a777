"""Totals against the records that they sum."""

from typing import Any

from chargeback_worker.money import NANO
from chargeback_worker.period import Period
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.store import recount, sums
from chargeback_worker.store.rows import read_wide
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import total_key

_HINT = "Totals of open periods can be made anew from the records: chargeback db rebuild"


def totals(found: Comparison) -> None:
    """Each total is the sum of its records in cost, quantity and count, under its own key."""
    for row in recount.totals_beside_records(found.transaction, found.period):
        found.rows += 1
        cost = sums.read_column(row, "summed_cost")
        if row.total_key is None:
            found.differ(
                f"total {row.key.hex()}",
                f"a total of {row.counted} records",
                "no total",
                _HINT,
            )
            continue
        name = _name(row)
        if row.key is None:
            found.differ(name, "records", "no record of it", _HINT)
            continue
        quantity = sums.read_amount(row, "summed_quantity")
        found.amounts(f"{name}: cost", cost, row.cost_whole * NANO + row.cost_nano, _HINT)
        stored_quantity = read_wide(row, "quantity")
        found.amounts(f"{name}: quantity", quantity, stored_quantity, _HINT)
        found.equal(f"{name}: records", row.counted, row.records, _HINT)
        key = total_key(
            row.period,
            row.day,
            row.team_id,
            row.user_id,
            row.agent_id,
            row.resource_type,
            read_labels(row.labels),
        )
        found.equal(f"{name}: key", key.hex(), row.total_key.hex(), _HINT)


def _name(row: Any) -> str:
    owner = "/".join(text or "–" for text in (row.team_id, row.user_id, row.agent_id))
    return f"total of {Period.from_number(row.period)}, {row.day}, {owner}, {row.resource_type}"
