"""How often the API reads the directory to know what a caller may record."""

import pytest

from chargeback_worker.allocation.directory import Directory
from chargeback_worker.store import Transaction, directories


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the version that was read with each time."""
    read, found = list[int](), directories.directory_of_now

    def reads(transaction: Transaction) -> Directory:
        directory = found(transaction)
        read.append(directory.version)
        return directory

    monkeypatch.setattr(directories, "directory_of_now", reads)
    return read
