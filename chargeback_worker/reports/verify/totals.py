"""Totals against the records that they sum."""

from collections.abc import Iterator, Mapping
from typing import Any

from chargeback_worker.period import Period
from chargeback_worker.reports.verify.comparison import Comparison
from chargeback_worker.store import pruned, recount, sums
from chargeback_worker.store.pruned import Pruned, RecordSums
from chargeback_worker.store.usage import read_labels
from chargeback_worker.usage.total import total_key

_HINT = "Totals of open periods can be made anew from the records: chargeback db rebuild"
_PRUNED = "Of dropped records only their sums are known; restore the totals from a backup."


def totals(found: Comparison) -> None:
    """Each total is the sum of its records in cost, quantity and count, under its own key.

    Where records of a period were dropped, all its totals of a month together are the sum of what
    is left and what is noted of those that are gone.
    """
    gone = pruned.listed(found.transaction)
    together: dict[tuple[Period, Period], list[RecordSums]] = {}
    periods = None if found.period is None else [found.period]
    for row in recount.totals_beside_records(found.transaction, periods):
        found.rows += 1
        if row.total_key is None:
            found.differ(
                f"total {row.key.hex()}",
                f"a total of {row.counted} records",
                "no total",
                _HINT,
            )
            continue
        _check_key(found, row)
        stored, summed = pruned.of_total(row), _of_records(row)
        period = Period.from_number(row.period)
        if period in gone:
            both = together.setdefault(
                (period, Period.from_number(row.day // 100)), [RecordSums(), RecordSums()]
            )
            both[:] = both[0] + stored, both[1] + summed
        elif row.key is None:
            found.differ(_name(row), "records", "no record of it", _HINT)
        else:
            _compare(found, _name(row), summed, stored, _HINT)
    _check_pruned(found, gone, together)


def _check_pruned(
    found: Comparison,
    gone: Mapping[Period, Pruned],
    together: Mapping[tuple[Period, Period], list[RecordSums]],
) -> None:
    for (period, origin), noted in _noted(found, gone):
        stored, there = together.get((period, origin), (RecordSums(), RecordSums()))
        name = f"totals of {origin} in {period}, whose records were dropped"
        _compare(found, name, there + noted, stored, _PRUNED)
    for (period, origin), (stored, there) in together.items():
        if origin not in gone[period].origins:
            _compare(found, f"totals of {origin} in {period}", there, stored, _PRUNED)


def _noted(
    found: Comparison, gone: Mapping[Period, Pruned]
) -> Iterator[tuple[tuple[Period, Period], RecordSums]]:
    for period, of_period in gone.items():
        if found.period in (None, period):
            for origin, noted in of_period.origins.items():
                yield (period, origin), noted


def _compare(
    found: Comparison, name: str, expected: RecordSums, stored: RecordSums, hint: str
) -> None:
    found.amounts(f"{name}: cost", expected.cost, stored.cost, hint)
    found.amounts(f"{name}: quantity", expected.quantity, stored.quantity, hint)
    found.equal(f"{name}: records", expected.records, stored.records, hint)


def _check_key(found: Comparison, row: Any) -> None:
    key = total_key(
        row.period,
        row.day,
        row.team_id,
        row.user_id,
        row.agent_id,
        row.resource_type,
        read_labels(row.labels),
    )
    found.equal(f"{_name(row)}: key", key.hex(), row.total_key.hex(), _HINT)


def _of_records(row: Any) -> RecordSums:
    return RecordSums(
        row.counted or 0,
        sums.read_column(row, "summed_cost"),
        sums.read_amount(row, "summed_quantity"),
    )


def _name(row: Any) -> str:
    owner = "/".join(text or "–" for text in (row.team_id, row.user_id, row.agent_id))
    return f"total of {Period.from_number(row.period)}, {row.day}, {owner}, {row.resource_type}"
