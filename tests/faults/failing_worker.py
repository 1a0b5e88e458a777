"""The program, which sends itself a signal at a failpoint.

python -m tests.faults.failing_worker NAME COUNT SIGNAL run --role ingest
"""

import signal
import sys

from chargeback_worker.cli import main
from tests.faults.failpoints import arm

if __name__ == "__main__":
    name, count, how, *arguments = sys.argv[1:]
    arm(name, int(count), signal.Signals[f"SIG{how}"])
    sys.argv = ["chargeback", *arguments]
    main()
