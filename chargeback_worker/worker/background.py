"""One job at a time in a thread of its own, so that the thread that gave it can go on meanwhile."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Worker(Protocol[T]):
    """Does the job that it is given; its result is asked for before the next one is given."""

    def start(self, job: Callable[[], T]) -> None: ...

    def done(self) -> bool:
        """Whether `result` will not wait."""
        ...

    def result(self) -> T:
        """What the job returned or raised; waits until it has ended."""
        ...


class Background(Generic[T]):
    """Does it in a thread that does not keep the process from ending, whatever it waits for."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def start(self, job: Callable[[], T]) -> None:
        self._jobs.put(job)

    def done(self) -> bool:
        return not self._ended.empty()

    def result(self) -> T:
        result, error = self._ended.get()
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                ended = job(), None
            except BaseException as error:
                self._ended.put((None, error))
            else:
                self._ended.put(ended)
            # What was written would otherwise be kept until the next job comes.
            del job
