"""Which errors of SQLite mean: busy, unusable, or not a database."""

import sqlite3

from chargeback_worker.errors import ChargebackError, Misconfigured, Unavailable

BUSY_TIMEOUT_S = 30
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNUSABLE = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)


class DatabaseBusy(Unavailable):
    """Another process has held the file for longer than we wait."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"The database {database} was locked by another process for {BUSY_TIMEOUT_S} s.",
            "Try again, or find the process that holds it open.",
        )


class DatabaseUnusable(Unavailable):
    """The file cannot be opened, read or written."""

    def __init__(self, database: str, fault: str) -> None:
        super().__init__(
            f"The database {database} cannot be used: {fault}.",
            "Check that the folder exists, that it may be written to, and that the disk has room.",
        )


class NotADatabase(Misconfigured):
    """The file is something else."""

    def __init__(self, database: str) -> None:
        super().__init__(
            f"The file {database} is not a SQLite database.",
            "Point database.url at another file.",
        )


def refusal_of(error: Exception, database: str) -> ChargebackError | None:
    """What an error of the driver means to a caller; None where it is our own fault."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in BUSY:
        return DatabaseBusy(database)
    if primary == sqlite3.SQLITE_NOTADB:
        return NotADatabase(database)
    if primary in _UNUSABLE:
        return DatabaseUnusable(database, str(error))
    return None
