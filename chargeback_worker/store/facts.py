"""What a database knows of itself as a whole: rows of the installation, a text under a name."""

import sqlalchemy as sa

from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import installation

_INSERT = "INSERT INTO installation (name, value) VALUES (:name, :value) ON CONFLICT (name) DO "


def listed(transaction: Transaction, prefix: str = "") -> dict[str, str]:
    """All whose name begins so, by name."""
    rows = transaction.execute(
        sa.select(installation).where(installation.c.name.startswith(prefix, autoescape=True))
    )
    return {row.name: row.value for row in rows}


def find(transaction: Transaction, name: str) -> str | None:
    value: str | None = transaction.execute(
        sa.select(installation.c.value).where(installation.c.name == name)
    ).scalar()
    return value


def put(transaction: Transaction, name: str, value: str) -> None:
    """Write it, in the place of what was there."""
    statement = sa.text(f"{_INSERT} UPDATE SET value = excluded.value")
    transaction.execute(statement, {"name": name, "value": value})


def put_first(transaction: Transaction, name: str, value: str) -> None:
    """Write it where nothing is yet; of several at once the first one writes."""
    transaction.execute(sa.text(f"{_INSERT} NOTHING"), {"name": name, "value": value})


def remove(transaction: Transaction, name: str) -> bool:
    """Whether it was there. Of two at once one removes it."""
    statement = sa.delete(installation).where(installation.c.name == name)
    return transaction.execute(statement).rowcount == 1
