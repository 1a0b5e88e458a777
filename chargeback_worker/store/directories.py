"""The directory: the document that people wrote, each version whole."""

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.directory import EMPTY, Directory
from chargeback_worker.allocation.writing.directory import read_directory
from chargeback_worker.store import Transaction
from chargeback_worker.store.audit import Act
from chargeback_worker.store.tables import directory_version as table


@dataclass(frozen=True, slots=True)
class StoredDirectory:
    """One version with the names and addresses in it, and who wrote it when."""

    version: int
    document: dict[str, Any]
    created_us: int
    actor: str

    @property
    def directory(self) -> Directory:
        """What of it decides about money."""
        return read_directory(self.document).directory(self.version)


_CURRENT = sa.select(table).order_by(table.c.version.desc()).limit(1)


def current(transaction: Transaction) -> StoredDirectory | None:
    """The last version; None where none was ever applied."""
    return _read(transaction, _CURRENT)


def find(transaction: Transaction, version: int) -> StoredDirectory | None:
    return _read(transaction, sa.select(table).where(table.c.version == version))


def directory_of_now(transaction: Transaction) -> Directory:
    """What decides now; the empty one where none was ever applied."""
    row = transaction.execute(_CURRENT).one_or_none()
    if row is None:
        return EMPTY
    # Reading ten thousand members takes half a second, and they change seldom. Not known by their
    # text: names must not outlive their erasure here.
    key = (row.version, hashlib.sha256(row.content.encode()).digest())
    found = _known.get(key)
    if found is None:
        found = _stored(row).directory
        _known.clear()
        _known[key] = found
    return found


_known: dict[tuple[int, bytes], Directory] = {}


def insert(
    transaction: Transaction, version: int, document: dict[str, Any], act: Act
) -> StoredDirectory:
    """Add the version that follows the last one."""
    content = msgspec.json.encode(document, order="sorted")
    transaction.execute(
        sa.insert(table).values(
            version=version, content=content.decode(), created_us=act.now_us, actor=act.actor
        )
    )
    return StoredDirectory(version, document, act.now_us, act.actor)


def _read(transaction: Transaction, statement: sa.Select[Any]) -> StoredDirectory | None:
    row = transaction.execute(statement).one_or_none()
    return None if row is None else _stored(row)


def _stored(row: sa.Row[Any]) -> StoredDirectory:
    return StoredDirectory(row.version, msgspec.json.decode(row.content), row.created_us, row.actor)
