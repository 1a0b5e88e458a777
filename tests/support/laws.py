"""How laws are tried: how often, and never against the clock."""

from collections.abc import Callable
from typing import TypeVar

from hypothesis import settings

Test = TypeVar("Test", bound=Callable[..., None])


def law(max_examples: int = 40) -> Callable[[Test], Test]:
    """A law that random input is tried against, so many times."""
    return settings(max_examples=max_examples, deadline=None)
