"""Nothing is waited for longer than a request may take; what was begun goes on by itself.

A thread cannot be ended from outside, and a write that is broken off says no more than one that is
late. So whoever waits is answered, the work ends as it ends, and the log tells how.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import structlog

from chargeback_worker.errors import ChargebackError, Unavailable

T = TypeVar("T")
_log = structlog.get_logger(__name__)

_given_up: set[asyncio.Future[Any]] = set()


async def in_time(work: Awaitable[T], seconds: float, late: Callable[[float], Unavailable]) -> T:
    """What `work` comes to. Raises what `late` makes of the seconds where it takes longer."""
    task, began_s = asyncio.ensure_future(work), time.monotonic()
    if await _ends(task, seconds):
        return task.result()
    _given_up.add(task)
    task.add_done_callback(_given_up.discard)
    task.add_done_callback(partial(_ended, began_s))
    raise late(seconds)


async def _ends(task: asyncio.Future[Any], seconds: float) -> bool:
    done, _ = await asyncio.wait({task}, timeout=seconds)
    return bool(done)


def goes_on() -> bool:
    """Whether anything that was given up in this loop is still under way."""
    loop = asyncio.get_running_loop()
    return any(task.get_loop() is loop for task in _given_up)


def _ended(began_s: float, task: asyncio.Future[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    fault = error if not isinstance(error, ChargebackError) else None
    _log.log(
        logging.ERROR if fault else logging.INFO,
        "ended after it was given up",
        action="ended_late",
        seconds=round(time.monotonic() - began_s, 1),
        error=None if error is None else str(error),
        exc_info=fault,
    )
