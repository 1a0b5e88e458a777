"""Requests that are given up, without a clock: as soon as what is held has begun."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from chargeback_worker.api import in_time


class Late:
    """Holds functions back until `release`; whoever waits meanwhile waits no longer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._begun = threading.Event()
        self._released = threading.Event()
        monkeypatch.setattr(in_time, "_ends", self._ends)

    def held(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def holds(*arguments: Any, **options: Any) -> Any:
            self._begun.set()
            assert self._released.wait(60)
            return function(*arguments, **options)

        return holds

    def release(self) -> None:
        self._released.set()

    async def _ends(self, task: asyncio.Future[Any], seconds: float) -> bool:
        while not task.done() and (self._released.is_set() or not self._begun.is_set()):
            await asyncio.wait({task}, timeout=0.01)
        return task.done()
