"""Which errors of PostgreSQL mean: not reachable, try again, or refused; by their SQLSTATE."""

import psycopg

from chargeback_worker.errors import ChargebackError, Misconfigured, Unavailable

# The server ended an idle or a long transaction.
_ENDED_BY_SERVER = ("25P03", "25P04")
# A standby: until it is promoted, or the primary is found by connecting anew.
_READ_ONLY = "25006"


class DatabaseUnreachable(Unavailable):
    """No answer, or the connection was lost; whether a commit took effect may be unknown."""

    def __init__(self, database: str, fault: str) -> None:
        super().__init__(
            f"The database {database} is not reachable: {fault}.",
            "Check database.url, and that the server runs.",
        )


class TransactionLost(Unavailable):
    """The database gave another transaction precedence; the same one can be tried again."""

    def __init__(self, fault: str) -> None:
        super().__init__(f"The database asked for the transaction again: {fault}.", "Try again.")


class AccessRefused(Misconfigured):
    """The server answers, and refuses the user or the name of the database."""

    def __init__(self, database: str, fault: str) -> None:
        super().__init__(
            f"The database {database} refuses us: {fault}.",
            "Check the user, the password and the name in database.url.",
        )


def refusal_of(error: Exception, database: str, *, writes: bool) -> ChargebackError | None:
    """What an error of psycopg means to a caller; None where it is our own fault."""
    fault = " ".join(str(error).split()).rstrip(".?")
    state = getattr(error, "sqlstate", None) or ""
    if state in ("40001", "40003", "40P01", "55P03"):
        return TransactionLost(fault)
    if state in _ENDED_BY_SERVER or (writes and state == _READ_ONLY):
        return DatabaseUnreachable(database, fault)
    if state[:2] in ("28", "3D") or _names_refused_access(fault):
        return AccessRefused(database, fault)
    if state[:2] in ("08", "53", "57", "58"):
        return DatabaseUnreachable(database, fault)
    if not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseUnreachable(database, fault)
    return None


def _names_refused_access(fault: str) -> bool:
    # A refusal while connecting has no code yet, only words.
    return "authentication failed" in fault or ("database" in fault and "does not exist" in fault)
