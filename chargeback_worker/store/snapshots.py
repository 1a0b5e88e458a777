"""What each close decided by, kept for ever: late usage of a month is settled by its own."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.rule import Rule, speaking
from chargeback_worker.allocation.snapshot import Snapshot
from chargeback_worker.period import BillingRange, Period
from chargeback_worker.store import Transaction, directories, requests, rules
from chargeback_worker.store.tables import snapshot as table


def of_now(
    transaction: Transaction,
    days: BillingRange,
    terms: Snapshot,
    *,
    instead: Iterable[Rule] | None = None,
) -> Snapshot:
    """What those days would be decided by now: the settings, and what is stored of the rest.

    `instead` stands in for all stored rules.
    """
    versions = rules.versions(transaction) if instead is None else instead
    directory = directories.directory_of_now(transaction)
    return replace(
        terms,
        rules=speaking(versions, days),
        directory=directory,
        requested=requests.of_days(transaction, days),
    )


def insert(transaction: Transaction, period: Period, revision: int, snapshot: Snapshot) -> None:
    content = msgspec.json.encode(snapshot.to_document(), order="sorted")
    transaction.execute(
        sa.insert(table).values(
            period=period.number,
            revision=revision,
            content=content.decode(),
            digest=digest(content),
        )
    )


def latest(transaction: Transaction, period: Period) -> Snapshot | None:
    """The snapshot of a period's last close; None if it never was closed."""
    content = transaction.execute(
        sa.select(table.c.content)
        .where(table.c.period == period.number)
        .order_by(table.c.revision.desc())
        .limit(1)
    ).scalar()
    return _read(content)


def of_close(transaction: Transaction, period: Period, revision: int) -> Snapshot | None:
    """What one close decided by."""
    content = transaction.execute(
        sa.select(table.c.content).where(
            table.c.period == period.number, table.c.revision == revision
        )
    ).scalar()
    return _read(content)


def digest(content: bytes) -> bytes:
    """What is stored beside a snapshot, to tell later that it is still the same."""
    return hashlib.blake2b(content, digest_size=16, person=b"snapshot").digest()


def _read(content: str | None) -> Snapshot | None:
    return None if content is None else Snapshot.from_document(msgspec.json.decode(content))
