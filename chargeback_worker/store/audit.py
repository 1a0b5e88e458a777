"""Who changed what, when and why: rows that nothing updates or deletes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa

from chargeback_worker.errors import Invalid
from chargeback_worker.store import Transaction
from chargeback_worker.store.tables import audit as table


@dataclass(frozen=True, slots=True)
class AuditRow:
    audit_id: int
    at_us: int
    actor: str
    action: str
    subject: str
    before: Any
    after: Any
    reason: str | None


class ReasonMissing(Invalid):
    """An act that has to be justified came without a reason."""

    def __init__(self, act: str) -> None:
        super().__init__(f"To {act}, a reason is required.", "Say why, with --reason TEXT.")


@dataclass(frozen=True, slots=True)
class Act:
    """Who does something by hand, when and why; `now_us` of the caller's clock."""

    actor: str
    now_us: int
    reason: str | None = None

    def require_reason(self, act: str) -> None:
        """Raises ReasonMissing where none was given."""
        if not (self.reason or "").strip():
            raise ReasonMissing(act)


def append(
    transaction: Transaction,
    act: Act,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a row in the transaction of the change itself."""
    transaction.execute(
        sa.insert(table).values(
            at_us=act.now_us,
            actor=act.actor,
            action=action,
            subject=subject,
            before=None if before is None else msgspec.json.encode(before).decode(),
            after=None if after is None else msgspec.json.encode(after).decode(),
            reason=act.reason,
        )
    )


def append_all(
    transaction: Transaction, act: Act, action: str, outcomes: Iterable[tuple[str, str]]
) -> None:
    """Add a row for each of many (subject, outcome) of one act."""
    same = {"at_us": act.now_us, "actor": act.actor, "action": action, "reason": act.reason}
    rows = [
        {**same, "subject": subject, "after": msgspec.json.encode({"outcome": outcome}).decode()}
        for subject, outcome in outcomes
    ]
    if rows:
        transaction.execute(sa.insert(table), rows)


def listed(
    transaction: Transaction,
    *,
    since_us: int | None = None,
    limit: int = 200,
    after: int | None = None,
) -> Sequence[AuditRow]:
    """Newest first; `after` is the last id of the page before."""
    statement = sa.select(table).order_by(table.c.audit_id.desc()).limit(limit)
    if after is not None:
        statement = statement.where(table.c.audit_id < after)
    if since_us is not None:
        statement = statement.where(table.c.at_us >= since_us)
    return [_row(row) for row in transaction.execute(statement)]


def about(transaction: Transaction, kind: str) -> Iterator[AuditRow]:
    """All rows whose subject is of a kind, as `rule:rent` is of `rule`; oldest first."""
    statement = sa.select(table).where(table.c.subject.startswith(f"{kind}:", autoescape=True))
    return (_row(row) for row in transaction.execute(statement.order_by(table.c.audit_id)))


def _row(row: sa.Row[Any]) -> AuditRow:
    return AuditRow(
        row.audit_id,
        row.at_us,
        row.actor,
        row.action,
        row.subject,
        row.before and msgspec.json.decode(row.before),
        row.after and msgspec.json.decode(row.after),
        row.reason,
    )
