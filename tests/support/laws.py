"""How laws are tried: how often. Never against the clock: see `tests/conftest.py`."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, settings

Test = TypeVar("Test", bound=Callable[..., None])


def law(max_examples: int = 40) -> Callable[[Test], Test]:
    """A law that random input is tried against, so many times."""
    return settings(max_examples=max_examples)


def law_on_a_store(max_examples: int) -> Callable[[Test], Test]:
    """A law about a store, which is one for all tries: each finds what those before it left."""
    return settings(
        max_examples=max_examples,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
