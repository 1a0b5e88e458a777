"""Refused events: which, why, and what they hold."""

from collections.abc import Iterable

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import format_us
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Store, quarantine
from chargeback_worker.store.cursors import Door, Tally
from chargeback_worker.store.quarantine import Held, Quarantined
from chargeback_worker.usage.event import RawEvent


def quarantined(
    store: Store,
    *,
    state: Held | None = Held.HELD,
    reason: str | None = None,
    limit: int = 200,
    cursor: int | None = None,
) -> Document:
    """Newest first, without what they hold; `state` None asks for all. `cursor` continues."""
    limit = min(limit, PAGE_MAX)
    with store.read() as transaction:
        rows = quarantine.listed(
            transaction, state=state, reason=reason, limit=limit + 1, after=cursor
        )
    page = rows[:limit]
    return {
        "quarantine": [_document(row) for row in page],
        "next_cursor": str(page[-1].quarantine_id) if len(rows) > limit else None,
    }


def quarantined_event(store: Store, quarantine_id: int) -> Document:
    """One of them with what it holds. Raises QuarantineUnknown."""
    with store.read() as transaction:
        row = quarantine.get(transaction, quarantine_id)
    return {"quarantined": {**_document(row), "event": row.raw and _event(row.raw)}}


def replay_document(outcomes: Iterable[tuple[int, str]]) -> Document:
    """How replayed events ended, by id, and how many in which way."""
    rows = [{"quarantine_id": one, "outcome": str(how)} for one, how in outcomes]
    tally = Tally().outcomes()
    for row in rows:
        tally[str(row["outcome"])] += 1
    return {"replayed": rows, "tally": tally}


def _document(row: Quarantined) -> Document:
    return {
        "quarantine_id": row.quarantine_id,
        "state": row.state.value,
        "reason": row.reason,
        "detail": row.detail,
        "door": row.door,
        "name": row.name,
        "partition": row.partition if row.door == Door.TOPIC else None,
        "position": row.position,
        "received_at": format_us(row.received_us),
        "size_bytes": row.size_bytes,
        "digest": row.digest.hex(),
        "replayable": row.replayable,
        "outcome": row.outcome,
        "resolved_at": None if row.resolved_us is None else format_us(row.resolved_us),
    }


def _event(raw: RawEvent) -> Document:
    """The bytes as a text for people, and exactly, in base64, where that text is not exact."""
    value, exact = _text(raw.value)
    return {
        "value": value,
        "value_base64": None if exact else raw.value,
        "key": _text(raw.key)[0],
        "headers": {name: _text(content)[0] for name, content in raw.headers},
    }


def _text(content: bytes | None) -> tuple[str | None, bool]:
    if content is None:
        return None, True
    try:
        return content.decode(), True
    except UnicodeDecodeError:
        return content.decode(errors="backslashreplace"), False
