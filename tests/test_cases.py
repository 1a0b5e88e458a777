"""The worked cases, acted out by the real steps on both stores."""

import pytest

from chargeback_worker.store import Store
from tests.support.cases import Case, Stage, line_of, read_cases

CASES = read_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_worked_case_comes_out_to_the_nano_dollar(case: Case, store: Store) -> None:
    stage = Stage(store, case)

    stage.act_out()

    assert stage.outcome() == case.content["expect"]


def test_no_case_waits_for_a_step_that_there_is_not() -> None:
    assert len(CASES) == 50
    assert [case.name for case in CASES if case.waits_for] == []


def test_numbers_reach_the_steps_in_their_own_digits() -> None:
    event = next(case for case in CASES if case.number == "15").content["events"]["october"][0]

    assert b"0.14483999999999997" in line_of(event)
