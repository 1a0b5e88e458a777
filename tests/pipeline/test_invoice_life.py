"""The life of invoices in random order: whatever happens, the books add up and nothing is lost."""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.invoice_life.machine import InvoiceLife
from tests.support.invoice_life.witness import Opened, Witness

NewStore = Callable[[], Opened]
_TIMES = int(os.environ.get("CHARGEBACK_TEST_WALKS", "1"))
"""So many times as many walks as are made each time; for a long run, for instance 50."""
_ALWAYS_REACHED = (
    "late usage after a reopening",
    "several reopened at once",
    "adjustment",
    "invoice: correction",
    "credit as a correction",
    "close again, approval auto",
    "close again, approval manual",
    "approved by hand",
    "draft of a reopened month",
    "draft became cancelled",
    "billed apart, revision 1",
    "billed apart, revision 2",
    "replacement",
    "replacement of a draft",
    "sent by the broker's acknowledgement",
    "sent became overdue, by the scheduler",
    "acknowledged while cancelled",
    "parked",
    "released",
    "refused: AwaitsApproval",
    "refused: BilledAlready",
    "refused: EarlierReopened",
    "refused: NotClosedYet",
)
"""Not all that can be, but all that a walk would be idle without."""


def _walk(new_store: NewStore, examples: int, steps: int, **how: Any) -> Counter[str]:
    reached: Counter[str] = Counter()

    def begin() -> InvoiceLife:
        return InvoiceLife(Witness(new_store(), reached))

    tried = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        **how,
    )
    try:
        run_state_machine_as_test(begin, settings=tried)  # type: ignore[arg-type]
    finally:
        print("\n".join(f"{times:6} {what}" for what, times in sorted(reached.items())))
    return reached


# A walk that fails is made shorter, which takes Hypothesis up to five minutes.
@pytest.mark.timeout(600 + 300 * _TIMES)
def test_whatever_happens_the_books_add_up(new_store: NewStore, store_kind: str) -> None:
    examples, steps = {"sqlite": (15, 40), "postgresql": (6, 30)}[store_kind]
    _walk(new_store, examples * _TIMES, steps)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("store_kind", ["sqlite"])
def test_walks_that_are_always_the_same_reach_everything(new_store: NewStore) -> None:
    reached = _walk(new_store, 24, 50, derandomize=True, database=None)
    assert [what for what in _ALWAYS_REACHED if not reached[what]] == []
