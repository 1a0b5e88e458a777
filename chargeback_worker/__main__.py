"""`python -m chargeback_worker` is `chargeback`."""

from chargeback_worker.cli import main

if __name__ == "__main__":
    main()
