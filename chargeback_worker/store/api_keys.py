"""Keys of the HTTP API: who made them, what they may do, and a digest to know them by."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.errors import Conflict, NotFound
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import api_key as table

# Made once: each request asks.
_WITH_DIGESTS = sa.select(table).where(
    table.c.digest.in_(sa.bindparam("digests", expanding=True)), table.c.revoked_us.is_(None)
)
_ANY_MADE = sa.select(table.c.key_id).limit(1)


class Role(StrEnum):
    """What a key may do, from the least to the most; each may all that those before it may."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def reaches(self, wanted: "Role") -> bool:
        order = list(Role)
        return order.index(self) >= order.index(wanted)


class KeyIdUnknown(NotFound):
    """No API key has this id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"There is no API key {key_id!r}.", "List them: chargeback keys list")


class AlreadyRevoked(Conflict):
    """The API key was revoked before."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"The API key {key_id} is revoked already.")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`scope` is a team or a user whose things alone it sees; None sees all."""

    key_id: str
    name: str
    role: Role
    scope: Pair | None
    created_us: int
    created_by: str
    revoked_us: int | None = None


def digest(key: str) -> bytes:
    """What a key is known by. A key is random and long, so that a plain digest tells nothing."""
    return hashlib.sha256(key.encode()).digest()


def insert(transaction: Transaction, key: ApiKey, digest_of_key: bytes) -> None:
    scope = key.scope or Pair()
    transaction.execute(
        sa.insert(table).values(
            key_id=key.key_id,
            name=key.name,
            digest=digest_of_key,
            role=key.role.value,
            team_id=scope.team,
            user_id=scope.user,
            created_us=key.created_us,
            created_by=key.created_by,
        )
    )


def find_all(transaction: Transaction, digests: Collection[bytes]) -> dict[bytes, ApiKey]:
    """The keys with those digests, by digest; of those that are not revoked."""
    rows = transaction.execute(_WITH_DIGESTS, {"digests": list(digests)})
    return {bytes(row.digest): _key(row) for row in rows}


def any_made(transaction: Transaction) -> bool:
    """Whether a key was ever made. One that is revoked counts: who locks a door means it."""
    return transaction.execute(_ANY_MADE).first() is not None


def listed(transaction: Transaction) -> Sequence[ApiKey]:
    """All of them, revoked ones too, newest first."""
    statement = sa.select(table).order_by(table.c.created_us.desc(), table.c.key_id)
    return [_key(row) for row in transaction.execute(statement)]


def get(transaction: Transaction, key_id: str) -> ApiKey:
    """Raises KeyIdUnknown."""
    row = transaction.execute(sa.select(table).where(table.c.key_id == key_id)).one_or_none()
    if row is None:
        raise KeyIdUnknown(key_id)
    return _key(row)


def revoke(transaction: Transaction, key_id: str, now_us: int) -> None:
    """Raises AlreadyRevoked."""
    revoked = transaction.execute(
        sa.update(table)
        .where(table.c.key_id == key_id, table.c.revoked_us.is_(None))
        .values(revoked_us=now_us)
    )
    if revoked.rowcount != 1:
        raise AlreadyRevoked(key_id)


def _key(row: sa.Row[Any]) -> ApiKey:
    scope = Pair(row.team_id, row.user_id)
    return ApiKey(
        row.key_id,
        row.name,
        Role(row.role),
        scope if scope != Pair() else None,
        row.created_us,
        row.created_by,
        row.revoked_us,
    )
