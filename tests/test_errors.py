import inspect

import pytest

from chargeback_worker import errors
from chargeback_worker.errors import (
    ChargebackError,
    Conflict,
    Invalid,
    Misconfigured,
    NotFound,
    Unavailable,
)


def test_there_are_four_families_and_a_setting_at_fault_is_invalid() -> None:
    assert set(ChargebackError.__subclasses__()) == {Invalid, NotFound, Conflict, Unavailable}
    assert issubclass(Misconfigured, Invalid)
    named = [cls for _, cls in inspect.getmembers(errors, inspect.isclass)]
    assert all(issubclass(cls, ChargebackError) for cls in named)


@pytest.mark.parametrize("family", [Invalid, Misconfigured, NotFound, Conflict, Unavailable])
def test_an_error_is_a_sentence_and_the_next_thing_to_do(family: type[ChargebackError]) -> None:
    error = family("Period 2026-10 is open.", "Close it: chargeback close 2026-10.")
    assert str(error) == error.message == "Period 2026-10 is open."
    assert error.hint == "Close it: chargeback close 2026-10."
    assert family("No database.").hint == ""
