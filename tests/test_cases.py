"""The worked cases, acted out by the real steps on both stores."""

import pytest

from chargeback_worker.store import Store
from tests.support.cases import Case, Stage, line_of, read_cases

CASES = read_cases()
READY = [case for case in CASES if not case.waits_for]
WAITING = {case.number: sorted(case.waits_for) for case in CASES if case.waits_for}


@pytest.mark.parametrize("case", READY, ids=lambda case: case.name)
def test_a_worked_case_comes_out_to_the_nano_dollar(case: Case, store: Store) -> None:
    stage = Stage(store, case)

    stage.act_out()

    assert stage.outcome() == case.content["expect"]


def test_every_case_that_needs_no_more_than_usage_and_closes_is_acted_out() -> None:
    assert " ".join(case.number for case in READY) == "01 10 14 15 17 21 22 23 29 38 39 42 47"


def test_each_other_case_waits_for_a_step_that_there_is_not_yet() -> None:
    waiting: dict[str, str] = {}
    for number, verbs in WAITING.items():
        waiting[" ".join(verbs)] = " ".join(filter(None, [waiting.get(" ".join(verbs)), number]))

    assert waiting == {
        "delete_rule rules": "33",
        "directory": "20 25",
        "directory reopen rules": "41",
        "directory rules": "03 07 26 35 43 48",
        "invoice": "02",
        "reopen": "19 40",
        "reopen rules": "13 45 46",
        "rules": "04 05 06 08 09 11 12 16 18 24 27 28 30 31 32 34 36 37 44 49 50",
    }


def test_numbers_reach_the_steps_in_their_own_digits() -> None:
    event = next(case for case in CASES if case.number == "15").content["events"]["october"][0]

    assert b"0.14483999999999997" in line_of(event)
