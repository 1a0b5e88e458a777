"""The program, for which months pass in seconds.

python -m tests.faults.quick_worker run --role all
"""

import os
import sys
from collections.abc import Sequence

from chargeback_worker.cli import main as program
from tests.faults.quick import quicken


def main(arguments: Sequence[str]) -> None:
    quicken(os.environ)
    sys.argv = ["chargeback", *arguments]
    program()


if __name__ == "__main__":
    main(sys.argv[1:])
