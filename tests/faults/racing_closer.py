"""A process that closes a month at a given instant, again and again, and logs how that ended.

python -m tests.faults.racing_closer PIPE, with the settings in its environment: a line of the pipe
names the instant, the month, and whether it acts as the scheduler or as a person.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chargeback_worker import app
from chargeback_worker.cli import run
from chargeback_worker.errors import ChargebackError
from chargeback_worker.period import Period
from chargeback_worker.pipeline.close import CloseResult, close
from chargeback_worker.pipeline.closing.may_close import CloseInProgress
from chargeback_worker.pipeline.closing.settlement import terms_of
from chargeback_worker.settings import load
from tests.faults.quick import quicken


def main(arguments: Sequence[str]) -> None:
    (pipe,) = arguments
    quicken(os.environ)
    noting = _Noting()
    # What the scheduler calls, for which another closer at work is nothing to speak of.
    vars(run)["close"] = noting.close
    with app.opened(load({}, os.environ)) as opened, Path(pipe).open() as asking:
        _say("ready")
        for line in asking:
            asked = json.loads(line)
            _wait_until(asked["at_s"])
            noting.said = "nothing due"
            try:
                if asked["scheduler"]:
                    run.close_due(opened)
                else:
                    terms, owner = terms_of(opened.settings), f"{opened.instance}:close"
                    month = Period.parse(asked["month"])
                    noting.close(opened.store, month, terms, opened.act(), owner=owner)
            except ChargebackError as error:
                noting.said = type(error).__name__
            _say(noting.said)


class _Noting:
    """Closes, and keeps how that ended."""

    said = ""

    def close(self, *arguments: Any, **named: Any) -> CloseResult:
        try:
            done = close(*arguments, **named)
        except CloseInProgress as refusal:
            self.said = type(refusal).__name__
            raise
        self.said = "was closed" if done.closed_before else "closed"
        return done


def _say(answer: str) -> None:
    os.write(2, (json.dumps({"action": "answer", "answer": answer}) + "\n").encode())


def _wait_until(at_s: float) -> None:
    """Awake from a little before on: a sleep ends when it likes."""
    time.sleep(max(0.0, at_s - time.time() - 0.005))
    while time.time() < at_s:
        pass


if __name__ == "__main__":
    main(sys.argv[1:])
