"""How a fault is planted."""

import importlib
from collections.abc import Callable
from typing import Any


def put_in_place(target: str, instead: Callable[[Any], Any]) -> None:
    """Put what `instead` makes of it in the place of what `target` (module:name) names."""
    module, _, path = target.partition(":")
    *owners, name = path.split(".")
    holder = importlib.import_module(module)
    for owner in owners:
        holder = getattr(holder, owner)
    # Of a class what it holds, not what it gives: a property is not asked.
    found = vars(holder)[name]
    setattr(holder, name, instead(found))
