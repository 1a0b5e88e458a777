"""What was used: sums by resource type, agent and label, by the usage's own day, late or not.

It reads totals, never records, so it costs the same however many events there were.
"""

from collections.abc import Iterable, Sequence

from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import BillingRange
from chargeback_worker.store import Store, Transaction, installation, totals
from chargeback_worker.store.totals import By, SummedUsage
from chargeback_worker.store.usage import read_labels


def usage_summary(
    store: Store, days: BillingRange, *, team: str | None = None, user: str | None = None
) -> Document:
    """The usage of some days; an empty team or user asks for what has none.

    `by_label`, by the name of each label of the grain, is there only where the grain has labels.
    The key of what has no agent or label is the empty text.
    """
    with store.read() as transaction:
        return {"summary": summary_of(transaction, days, team=team, user=user)}


def summary_of(
    transaction: Transaction,
    days: BillingRange,
    *,
    team: str | None = None,
    user: str | None = None,
) -> Document:
    """The summary alone, of what one transaction sees."""
    by = _by_column(transaction, days, team, user)
    found = [row for _, row in by["resource_type"]]
    labels = installation.labels(transaction)
    by_resource_type = _broken_down(by["resource_type"])
    summary: Document = {
        "team_id": team,
        "user_id": user,
        "period_start": days.start,
        "period_end": days.end,
        "total_cost_usd": Amount(sum(row.cost for row in found)),
        "total_quantity": Amount(sum(row.quantity for row in found)),
        "mixed_units": len(by_resource_type) > 1,
        "record_count": sum(row.records for row in found),
        "by_resource_type": by_resource_type,
        "by_agent": _broken_down(by["agent_id"]),
    }
    if labels:
        by_labels = [(read_labels(text), row) for text, row in by["labels"]]
        summary["by_label"] = {
            name: _broken_down((values[place], row) for values, row in by_labels)
            for place, name in enumerate(labels)
        }
    return summary


_COLUMNS: tuple[By, ...] = ("resource_type", "agent_id", "labels")


def _by_column(
    transaction: Transaction, days: BillingRange, team: str | None, user: str | None
) -> dict[By, list[tuple[str | None, SummedUsage]]]:
    """The usage summed by each column at least, with its value."""
    if team is None and user is None:
        # One by one: all at once there would be a row for every combination.
        return {
            column: [(row.key[0], row) for row in totals.summed(transaction, days, (column,))]
            for column in _COLUMNS
        }
    # An owner has few combinations, and the totals are looked through once.
    found = totals.summed(transaction, days, _COLUMNS, team=team, user=user)
    return {
        column: [(row.key[place], row) for row in found] for place, column in enumerate(_COLUMNS)
    }


def usage_by(
    store: Store,
    days: BillingRange,
    column: By,
    *,
    team: str | None = None,
    user: str | None = None,
) -> Sequence[SummedUsage]:
    """The same usage summed by one column alone, what has none first."""
    with store.read() as transaction:
        return totals.summed(transaction, days, (column,), team=team, user=user)


def _broken_down(rows: Iterable[tuple[str | None, SummedUsage]]) -> Document:
    sums: dict[str, tuple[int, int]] = {}
    for key, row in rows:
        cost, quantity = sums.get(key or "", (0, 0))
        sums[key or ""] = (cost + row.cost, quantity + row.quantity)
    return {
        key: {"cost": Amount(cost), "quantity": Amount(quantity)}
        for key, (cost, quantity) in sorted(sums.items())
    }
