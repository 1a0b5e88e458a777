"""The engine against a model of the written rules that shares nothing with it."""

from hypothesis import given

from chargeback_worker.allocation.engine import allocate
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import Period
from chargeback_worker.usage.total import UsageTotal
from tests.support import made_rules, made_usage, reference_allocation
from tests.support.laws import law
from tests.support.reference_allocation import Row

OCTOBER, NOVEMBER = Period(2025, 10), Period(2025, 11)
usages = made_usage.totals(labels=made_usage.LABELS)


def allocated(totals: list[UsageTotal], snapshot: Snapshot) -> dict[object, Row]:
    parts = allocate(totals, snapshot)
    assert len({part.key for part in parts}) == len(parts)
    return {
        part.key: Row(part.cost, part.quantity, part.records, part.shared, part.share)
        for part in parts
    }


@law(250)
@given(usages, made_rules.snapshots())
def test_an_allocation_is_what_the_written_rules_say(
    totals: list[UsageTotal], snapshot: Snapshot
) -> None:
    assert allocated(totals, snapshot) == reference_allocation.rows(totals, snapshot)
