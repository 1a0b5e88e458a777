"""The grain: whether the labels make more totals than a close should have to read."""

from collections.abc import Iterator

from chargeback_worker.cli.doctor.finding import Fault, Finding, Patient, warn
from chargeback_worker.reports.grain import wide_periods


def totals_are_few(patient: Patient) -> Iterator[Finding]:
    if not patient.has_books:
        return
    most = patient.settings.grain.totals_max
    for wide in wide_periods(patient.world.store, most):
        detail = f"{wide.period} has {wide.totals:,} usage totals, more than grain.totals_max"
        detail += f" {most:,}"
        fix = "Send fewer agents and resource types, or raise grain.totals_max"
        if wide.label is not None:
            detail += f"; the label {wide.label!r} has {wide.values:,} values"
            fix = f"Send fewer values of {wide.label!r}: each makes totals that a close reads"
        yield warn("grain", Fault.PERIOD_HAS_MANY_TOTALS, detail, fix)
