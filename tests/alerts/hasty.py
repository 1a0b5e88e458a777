"""A worker that does by the second what it does by the minute: planted from outside.

Only what alerts wait for is made faster: how often the scheduler looks, roles beat, figures are
read from the store, silence of the broker is asked about, and how soon a failed close is tried
again. python -m tests.alerts.hasty run --role all
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from chargeback_worker.cli import main as program
from tests.faults.failpoints import place

FACTOR = "CHARGEBACK_TEST_FACTOR"
_LEAST_S = 0.2
# On a slow database a poke takes longer than that, and the role would be at it all the time.
_LEAST_POKE_S = 3.0
_POKE = "chargeback_worker.worker.scheduler:POKE_S"
_TIMES = (
    "chargeback_worker.cli.run:HEARTBEAT_S",
    "chargeback_worker.worker.silence:_SILENCE_S",
    "chargeback_worker.pipeline.close:_RETRY_FIRST_S",
    "chargeback_worker.pipeline.close:_RETRY_LAST_S",
)
_FIGURES = "chargeback_worker.metrics.registry:Metrics.watch_store"


def hasten(factor: float) -> None:
    """Divide those times of this process."""
    for target, least_s in {_POKE: _LEAST_POKE_S, **dict.fromkeys(_TIMES, _LEAST_S)}.items():
        holder, name = place("hasty", target)
        setattr(holder, name, max(least_s, getattr(holder, name) / factor))
    holder, name = place("hasty", _FIGURES)
    kept: dict[str, Any] = getattr(holder, name).__kwdefaults__
    kept["cached_s"] = max(_LEAST_S, kept["cached_s"] / factor)


def main(environ: Mapping[str, str], arguments: list[str]) -> None:
    hasten(float(environ[FACTOR]))
    sys.argv = ["chargeback", *arguments]
    program()


if __name__ == "__main__":
    main(os.environ, sys.argv[1:])
