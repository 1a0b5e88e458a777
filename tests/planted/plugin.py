"""A plugin of pytest that plants one fault (CHARGEBACK_TEST_PLANT) before any test is collected."""

import importlib
import os

from tests.planted.faults import FAULTS

PLANT = "CHARGEBACK_TEST_PLANT"


def pytest_configure() -> None:
    fault = FAULTS[os.environ[PLANT]]
    module, _, path = fault.target.partition(":")
    *owners, name = path.split(".")
    holder = importlib.import_module(module)
    for owner in owners:
        holder = getattr(holder, owner)
    # Of a class what it holds, not what it gives: a property is not asked.
    found = vars(holder)[name]
    setattr(holder, name, fault.instead(found))
