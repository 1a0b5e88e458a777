"""A background that does its job at once, so that turns happen one after the other."""

from collections.abc import Callable
from functools import partial
from typing import Generic, Never, TypeVar

T = TypeVar("T")


class AtOnce(Generic[T]):
    """See `worker.background.Worker`."""

    def __init__(self) -> None:
        self._ended: list[Callable[[], T]] = []

    def start(self, job: Callable[[], T]) -> None:
        try:
            result = job()
        except BaseException as error:
            self._ended.append(partial(_raise, error))
        else:
            self._ended.append(lambda: result)

    def done(self) -> bool:
        return True

    def result(self) -> T:
        return self._ended.pop()()


def _raise(error: BaseException) -> Never:
    raise error
