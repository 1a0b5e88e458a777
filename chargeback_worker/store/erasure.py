"""Where a person is in the books: by name, in what was kept of refused events, and by id.

The id is in whatever was booked, issued or told, and stays there; names and payloads can go.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.allocation.pair import Pair
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import (
    allocation,
    audit,
    booking,
    directory_version,
    invoice,
    invoice_line,
    invoice_request,
    outbox,
    outbox_sequence,
    quarantine,
    rule_version,
    snapshot,
    usage_conflict,
    usage_record,
    usage_total,
)

Is = sa.ColumnElement[bool]
_KEPT_APART = {"quarantine": quarantine, "usage_conflict": usage_conflict}
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class KeptApart:
    """A refused or conflicting event: what is kept of it, None once erased, and what is told."""

    row_id: int
    payload: bytes | None
    detail: str


def names_of(transaction: Transaction, user: str) -> tuple[str, ...]:
    """The names that versions of the directory give a user and nobody else."""
    theirs: set[str] = set()
    others: set[str] = set()
    for _, document in _directories(transaction):
        for member in _members(document):
            if member.get("name"):
                (theirs if member["user_id"] == user else others).add(member["name"])
    return tuple(sorted(theirs - others))


def erase_names(transaction: Transaction, user: str) -> int:
    """Take a user's name out of all versions of the directory; in how many it was."""
    changed = 0
    for version, document in list(_directories(transaction)):
        named = [m for m in _members(document) if m["user_id"] == user and m.get("name")]
        for member in named:
            member["name"] = None
        if named:
            changed += 1
            content = msgspec.json.encode(document, order="sorted").decode()
            transaction.execute(
                sa.update(directory_version)
                .where(directory_version.c.version == version)
                .values(content=content)
            )
    return changed


def kept_apart(transaction: Transaction, table: str, after: int) -> list[KeptApart]:
    """The next rows of `quarantine` or `usage_conflict`, by id."""
    of = _KEPT_APART[table]
    row_id = next(iter(of.primary_key.columns))
    detail = of.c.detail if "detail" in of.c else sa.literal("")
    rows = transaction.execute(
        sa.select(row_id.label("row_id"), of.c.payload, detail.label("detail"))
        .where(row_id > after)
        .order_by(row_id)
        .limit(_ROWS_AT_ONCE)
    )
    return [KeptApart(row.row_id, row.payload, row.detail) for row in rows]


def erase_conflicts(transaction: Transaction, ids: Sequence[int]) -> None:
    """Digests, ids and positions stay."""
    transaction.execute(
        sa.update(usage_conflict).where(usage_conflict.c.conflict_id.in_(ids)).values(payload=b"")
    )


def erase_quarantined(
    transaction: Transaction, ids: Sequence[int], *, detail: str, now_us: int
) -> None:
    """Digest and reason stay; `detail` stands for what was told of them, which cites them.

    Those still held are dismissed by it: there is nothing left to try again.
    """
    columns = quarantine.c
    mine = columns.quarantine_id.in_(ids)
    transaction.execute(
        sa.update(quarantine)
        .where(mine, columns.state == "held")
        .values(state="dismissed", outcome="erased", resolved_us=now_us)
    )
    transaction.execute(
        sa.update(quarantine).where(mine).values(payload=None, replayable=0, detail=detail)
    )


def next_day(transaction: Transaction, after: int) -> int | None:
    """The next day that there are records of."""
    statement = sa.select(sa.func.min(usage_record.c.day)).where(usage_record.c.day > after)
    day: int | None = transaction.execute(statement).scalar()
    return day


def erase_metadata(transaction: Transaction, user: str, day: int) -> int:
    """Erase what a user's records of a day hold besides what is billed; how many had any."""
    columns = usage_record.c
    return transaction.execute(
        sa.update(usage_record)
        .where(columns.day == day, columns.user_id == user, columns.metadata.is_not(None))
        .values(metadata=None)
    ).rowcount


def places_of_id(transaction: Transaction, user: str) -> dict[str, int]:
    """In how many rows of each table a user's id stands, where in any."""
    key = Pair(user=user).key

    def is_key(column: sa.ColumnElement[str]) -> Is:
        # A share that is billed apart has the key team:T/user:U.
        start = sa.func.length(column) - len(key)
        end = sa.func.substr(column, start, len(key) + 1)
        return (column == key) | ((start > 0) & (end == f"/{key}"))

    found = {}
    for table, columns in _HOLD_IDS.items():
        tests = [table.c[c] == user if c == "user_id" else is_key(table.c[c]) for c in columns]
        found[table.name] = _count(transaction, table, tests)
    for table, columns in _HOLD_JSON.items():
        within = [
            transaction.dialect.contains(table.c[c], text)
            for c in columns
            for text in (_json(user), f'{_json(key)[1:-1]}"')
        ]
        of_table = [table.c[c] for c in columns]
        rows = transaction.execute(sa.select(*of_table).where(sa.or_(*within)))
        found[table.name] = found.get(table.name, 0) + sum(
            any(_says(msgspec.json.decode(text), user) for text in row if text) for row in rows
        )
    found["outbox"] = sum(
        user.encode() in payload and _says(msgspec.json.decode(payload), user)
        for payload in _messages(transaction)
    )
    return {place: rows for place, rows in found.items() if rows}


def places_of_names(transaction: Transaction, names: Sequence[str]) -> dict[str, int]:
    """In how many rows of each table one of those names still stands in a text, where in any."""
    texts = [_json(name)[1:-1] for name in names]
    contains = transaction.dialect.contains
    found = {
        table.name: _count(
            transaction, table, [contains(table.c[c], text) for c in columns for text in texts]
        )
        for table, columns in _HOLD_TEXTS.items()
    }
    found["outbox"] = sum(
        any(text.encode() in payload for text in texts) for payload in _messages(transaction)
    )
    return {place: rows for place, rows in found.items() if rows}


_HOLD_IDS: Mapping[sa.Table, Sequence[str]] = {
    usage_record: ("user_id",),
    usage_total: ("user_id",),
    allocation: ("user_id",),
    booking: ("user_id", "receiver"),
    invoice: ("user_id", "receiver"),
    invoice_line: ("user_id",),
    invoice_request: ("user_id", "receiver"),
    outbox_sequence: ("key",),
    audit: ("subject",),
}
_HOLD_JSON: Mapping[sa.Table, Sequence[str]] = {
    rule_version: ("content",),
    directory_version: ("content",),
    snapshot: ("content",),
    audit: ("before", "after"),
}
_USER_FIELDS = frozenset({"user", "user_id", "user_ids"})
_HOLD_TEXTS: Mapping[sa.Table, Sequence[str]] = {
    usage_record: ("metadata", "labels", "resource_id", "usage_id", "agent_id"),
    usage_total: ("labels",),
    usage_conflict: ("usage_id",),
    rule_version: ("content",),
    directory_version: ("content",),
    snapshot: ("content",),
    invoice: ("metadata",),
    invoice_line: ("description",),
    quarantine: ("detail",),
    audit: ("actor", "before", "after", "reason"),
}


def _directories(transaction: Transaction) -> Iterator[tuple[int, dict[str, Any]]]:
    rows = transaction.execute(
        sa.select(directory_version).order_by(directory_version.c.version)
    ).all()
    return ((row.version, msgspec.json.decode(row.content)) for row in rows)


def _members(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    return (member for team in document["teams"] for member in team["members"])


def _count(transaction: Transaction, table: sa.Table, any_of: Sequence[Is]) -> int:
    if not any_of:
        return 0
    statement = sa.select(sa.func.count()).select_from(table).where(sa.or_(*any_of))
    return int(transaction.execute(statement).scalar_one())


def _messages(transaction: Transaction) -> Iterator[bytes]:
    rows = transaction.connection.execute(
        sa.select(outbox.c.payload), execution_options={"yield_per": 500}
    )
    return (bytes(row.payload) for row in rows)


def _says(document: Any, user: str, field: str = "") -> bool:
    """Whether something that we have written names a user, by a field of users or by a key."""
    if isinstance(document, dict):
        return any(
            _says(name, user) or _says(value, user, name) for name, value in document.items()
        )
    if isinstance(document, list):
        return any(_says(value, user, field) for value in document)
    if not isinstance(document, str):
        return False
    if field in _USER_FIELDS and document == user:
        return True
    key = Pair(user=user).key
    return document == key or (document.startswith("team:") and document.endswith(f"/{key}"))


def _json(text: str) -> str:
    """As it stands in JSON that we have written."""
    return msgspec.json.encode(text).decode()
