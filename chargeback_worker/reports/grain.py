"""Whether the months that take usage have become too many totals, and by which label."""

from dataclasses import dataclass

from chargeback_worker.period import Period
from chargeback_worker.store import Store, installation, periods, totals
from chargeback_worker.store.periods import PeriodState


@dataclass(frozen=True, slots=True)
class WidePeriod:
    """A month with too many totals, and the label with the most values, if there are labels."""

    period: Period
    totals: int
    label: str | None
    values: int


def wide_periods(store: Store, totals_max: int) -> list[WidePeriod]:
    """The months with more totals than `totals_max`; of a closed one nothing can be changed.

    It reads all totals, and those of such a month once more.
    """
    with store.read() as transaction:
        labels = installation.labels(transaction)
        closed = {
            row.period for row in periods.listed(transaction) if row.state is PeriodState.CLOSED
        }
        found = []
        for period, (_, count) in sorted(totals.size_by_period(transaction).items()):
            if count <= totals_max or period in closed:
                continue
            values = totals.count_label_values(transaction, period, len(labels))
            most, label = max(zip(values, labels, strict=True), default=(0, None))
            found.append(WidePeriod(period, count, label, most))
    return found
