"""How a worker is made to end at a point of its program; the points are data (`points`).

The program has no hooks for tests: a failpoint wraps a function of the program, or of a library, by
its name. A name that is no longer there is a loud error, so that no point is lost unnoticed.
"""

import importlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from random import Random
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Before or after which function.

    Passages count only where one of the arguments is a text that begins with `naming`, where the
    call is made `within` another one, `since` another one has returned, and, with `giving`, where
    it returned something. `breaking` is a function that raises an error instead of what it does.
    `counts` are the passages of which one is the last: from the second on there is progress before
    each kill, without which a record would be suspected and its partition rightly stopped.
    """

    when: Literal["before", "after"]
    target: str
    naming: str = ""
    within: str = ""
    since: str = ""
    breaking: str = ""
    giving: bool = False
    counts: tuple[int, int] = (2, 6)

    def count(self, draw: Random) -> int:
        return draw.randint(*self.counts)

    @property
    def places(self) -> tuple[str, ...]:
        """The functions that it needs."""
        return tuple(filter(None, (self.target, self.within, self.since, self.breaking)))


class UnknownPlace(Exception):
    """The program has no function of that name any more."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(
            f"failpoint {name!r}: there is no {target}; see tests/faults/failpoints.py"
        )


def arm(name: str, point: Failpoint, count: int, how: signal.Signals) -> None:
    """Make this process send itself a signal the `count`th time it passes that point."""
    passed = _Passages(name, count, how)
    inside = threading.local()
    if point.within:
        _wrap(name, point.within, partial(_noting_entry, inside))
    done_before = threading.Event()
    if point.since:
        _wrap(name, point.since, partial(_noting_return, done_before))
    else:
        done_before.set()
    if point.breaking:
        _wrap(name, point.breaking, _broken)

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            counts = (
                _names(arguments, point.naming)
                and (not point.within or getattr(inside, "depth", 0) > 0)
                and done_before.is_set()
            )
            if counts and point.when == "before":
                passed.once_more()
            result = original(*arguments, **named)
            if counts and point.when == "after" and (result or not point.giving):
                passed.once_more()
            return result

        return call

    _wrap(name, point.target, watched)


def _noting_entry(inside: threading.local, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        with _noted(inside):
            return original(*arguments, **named)

    return call


def _noting_return(returned: threading.Event, original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(*arguments: Any, **named: Any) -> Any:
        result = original(*arguments, **named)
        returned.set()
        return result

    return call


def _broken(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def call(*_: Any, **__: Any) -> Any:
        raise RuntimeError("planted: this step is broken")

    return call


def place(name: str, target: str) -> tuple[Any, str]:
    """What holds the function, and under which name. Raises UnknownPlace."""
    module, _, path = target.partition(":")
    *owners, attribute = path.split(".")
    try:
        holder: Any = importlib.import_module(module)
        for owner in owners:
            holder = getattr(holder, owner)
        getattr(holder, attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownPlace(name, target) from error
    return holder, attribute


def _wrap(name: str, target: str, wrapper: Callable[[Callable[..., Any]], Any]) -> None:
    holder, attribute = place(name, target)
    setattr(holder, attribute, wrapper(getattr(holder, attribute)))


def _names(arguments: tuple[Any, ...], naming: str) -> bool:
    return not naming or any(isinstance(a, str) and a.startswith(naming) for a in arguments)


@contextmanager
def _noted(inside: threading.local) -> Iterator[None]:
    inside.depth = getattr(inside, "depth", 0) + 1
    try:
        yield
    finally:
        inside.depth -= 1


class _Passages:
    def __init__(self, name: str, count: int, how: signal.Signals) -> None:
        self._name = name
        self._left = count
        self._how = how
        self._lock = threading.Lock()

    def once_more(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
            said = {"action": "failpoint", "failpoint": self._name}
            os.write(2, (json.dumps(said) + "\n").encode())
            # To this very thread: one that stops the process through another may go on for a while.
            signal.pthread_kill(threading.get_ident(), self._how)
