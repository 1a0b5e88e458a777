"""Months that pass in seconds: planted into a worker from outside, as failpoints are.

Its clock, and the one that says what is due, stand where a file says until that is written anew;
it looks several times a second for what is due; and its leases, on the database's clock as ever,
last a few seconds.
"""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from chargeback_worker.period import to_us
from tests.faults.failpoints import place

CLOCK = "CHARGEBACK_TEST_CLOCK"
LEASE = "CHARGEBACK_TEST_LEASE"
_CLOSE = "chargeback_worker.pipeline.close"
_PUBLISH = "chargeback_worker.pipeline.publish"
_POKE_S = 0.2
_SHORTER: Mapping[str, Any] = {
    "chargeback_worker.worker.scheduler:POKE_S": _POKE_S,
    "chargeback_worker.worker.publisher:IDLE_S": _POKE_S,
    # A close that failed is tried again at once.
    f"{_CLOSE}:_RETRY_FIRST_S": 0,
}


class Clock:
    """What the workers that read that file take for the time."""

    def __init__(self, path: Path, at: datetime) -> None:
        self.path = path
        self.set(at)

    def set(self, at: datetime) -> None:
        self.now = at
        written = self.path.with_suffix(".new")
        written.write_text(json.dumps(at.astimezone(UTC).isoformat()))
        # Nobody reads half of it.
        os.replace(written, self.path)


def quicken(environ: Mapping[str, str]) -> None:
    """Let this process live by such a clock, where its environment names one."""
    if CLOCK not in environ:
        return
    path, lease_s = Path(environ[CLOCK]), float(environ[LEASE])

    def now() -> datetime:
        return datetime.fromisoformat(json.loads(path.read_text()))

    _put("chargeback_worker.app:now", now)
    # Months pass for the database too, while it keeps its leases by its own clock.
    _put("chargeback_worker.app:App.closing_now_us", lambda app: to_us(now()))
    for target, value in _SHORTER.items():
        _put(target, value)
    for module in (_CLOSE, _PUBLISH):
        _put(f"{module}:LEASE_S", lease_s)
    for target in (f"{_CLOSE}:close", f"{_PUBLISH}:publish"):
        holder, name = place("quick", target)
        defaults = getattr(holder, name).__kwdefaults__
        assert "lease_s" in defaults, target
        defaults["lease_s"] = lease_s
    for target in ("chargeback_worker.store:IDLE_S", f"{_CLOSE}:SETTLING_IDLE_S"):
        _put(target, max(1, round(lease_s)))
    _tell_pokes()
    _tell_rounds()


def _put(target: str, value: Any) -> None:
    holder, name = place("quick", target)
    setattr(holder, name, value)


def _tell_pokes() -> None:
    """Log each poke when it is over, with the time that it began at."""
    holder, name = place("quick", "chargeback_worker.worker.scheduler:Scheduler.poke")
    now, _ = place("quick", "chargeback_worker.app:now")
    poke, log = getattr(holder, name), structlog.get_logger(__name__)

    def told(scheduler: Any) -> None:
        at = now.now()
        poke(scheduler)
        log.info("poked", action="poked", at=at.isoformat())

    setattr(holder, name, told)


def _tell_rounds() -> None:
    """Log each round of publishing that has ended, and what it has marked: None if it may not."""
    holder, name = place("quick", "chargeback_worker.worker.publisher:publish")
    publish, log = getattr(holder, name), structlog.get_logger(__name__)

    def told(*arguments: Any, **named: Any) -> Any:
        done = publish(*arguments, **named)
        log.info("round", action="round", sent=None if done is None else done.sent)
        return done

    setattr(holder, name, told)
