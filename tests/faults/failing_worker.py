"""The program, which sends itself a signal at a failpoint.

python -m tests.faults.failing_worker NAME COUNT SIGNAL run --role ingest
"""

import os
import signal
import sys
from collections.abc import Sequence

from chargeback_worker.cli import main as program
from tests.faults.failpoints import arm
from tests.faults.points import POINTS
from tests.faults.quick import quicken


def main(given: Sequence[str]) -> None:
    name, count, how, *arguments = given
    quicken(os.environ)
    arm(name, POINTS[name], int(count), signal.Signals[f"SIG{how}"])
    sys.argv = ["chargeback", *arguments]
    program()


if __name__ == "__main__":
    main(sys.argv[1:])
