"""The points at which a worker can be made to end: where each lies, as data.

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
from functools import wraps
from random import Random
from typing import Any, Literal

_INGEST = "chargeback_worker.pipeline.ingest:ingest"
_COMMIT = "sqlalchemy.engine.default:DefaultDialect.do_commit"


@dataclass(frozen=True, slots=True)
class Failpoint:
    """Before or after which function.

    Passages count only where one of the arguments is a text that begins with `naming`, where the
    call is made `within` another one, and, with `giving`, where it returned something.
    `counts` are the passages of which one is the last: from the second on there is progress before
    each kill, without which a record would be suspected and its partition rightly stopped.
    """

    when: Literal["before", "after"]
    target: str
    naming: str = ""
    within: str = ""
    giving: bool = False
    counts: tuple[int, int] = (2, 6)

    def count(self, draw: Random) -> int:
        return draw.randint(*self.counts)


FAILPOINTS: dict[str, Failpoint] = {
    "after poll": Failpoint(
        "after", "chargeback_worker.broker.kafka_consumer:KafkaReader.poll", giving=True
    ),
    "after decode": Failpoint(
        "after", "chargeback_worker.pipeline.ingest:read_events", giving=True
    ),
    # Twice at most: a start is given no more partitions than that.
    "in the assignment listener": Failpoint(
        "after", "chargeback_worker.pipeline.offsets:take_partition", counts=(1, 2)
    ),
    "after BEGIN": Failpoint(
        "before", "chargeback_worker.store.dialects.postgresql:PostgreSQL.share_periods"
    ),
    "after the period lock": Failpoint(
        "after", "chargeback_worker.store.dialects.postgresql:PostgreSQL.share_periods"
    ),
    "after keys": Failpoint("after", "chargeback_worker.store.dialects.postgresql_usage:copy_keys"),
    "after records": Failpoint(
        "after", "chargeback_worker.store.dialects.postgresql:PostgreSQL.insert_records"
    ),
    "after totals": Failpoint("after", "chargeback_worker.store.totals:add"),
    "after the cursor": Failpoint("after", "chargeback_worker.store.cursors:advance"),
    "after quarantine": Failpoint("after", "chargeback_worker.store.quarantine:insert"),
    "before COMMIT": Failpoint("before", _COMMIT, within=_INGEST),
    "after COMMIT": Failpoint("after", _COMMIT, within=_INGEST),
    "after the group commit": Failpoint(
        "after", "chargeback_worker.broker.kafka_consumer:KafkaConsumer.commit", counts=(2, 3)
    ),
}


class UnknownPlace(Exception):
    """The program has no function of that name any more."""

    def __init__(self, name: str, target: str) -> None:
        super().__init__(
            f"failpoint {name!r}: there is no {target}; see tests/faults/failpoints.py"
        )


def arm(name: str, count: int, how: signal.Signals) -> None:
    """Make this process send itself a signal the `count`th time it passes that point."""
    point = FAILPOINTS[name]
    passed = _Passages(name, count, how)
    inside = threading.local()
    if point.within:

        def entered(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def call(*arguments: Any, **named: Any) -> Any:
                with _noted(inside):
                    return original(*arguments, **named)

            return call

        _wrap(name, point.within, entered)

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            counts = _names(arguments, point.naming) and (
                not point.within or getattr(inside, "depth", 0) > 0
            )
            if counts and point.when == "before":
                passed.once_more()
            result = original(*arguments, **named)
            if counts and point.when == "after" and (result or not point.giving):
                passed.once_more()
            return result

        return call

    _wrap(name, point.target, watched)


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
