"""How far each door has come, what it has counted, and what stands in its way."""

from collections.abc import Mapping

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import format_us
from chargeback_worker.store import Store, cursors
from chargeback_worker.store.cursors import Cursor, Door


def offsets(
    store: Store,
    *,
    kind: Door | None = None,
    ends: Mapping[tuple[str, int], int] | None = None,
) -> Document:
    """Every cursor, those put away too. `ends` are the ends of partitions where they are known."""
    with store.read() as transaction:
        listed = cursors.listed(transaction, kind)
    return {"offsets": [_document(cursor, ends or {}) for cursor in listed]}


def _document(cursor: Cursor, ends: Mapping[tuple[str, int], int]) -> Document:
    of_topic = cursor.kind is Door.TOPIC
    end = ends.get((cursor.name, cursor.partition)) if of_topic and not cursor.retired else None
    tally = cursor.tally
    return {
        "cursor_id": cursor.cursor_id,
        "door": cursor.kind.value,
        "name": cursor.name,
        "partition": cursor.partition if of_topic else None,
        "topic_id": cursor.topic_id or None,
        "retired": cursor.retired,
        "first_position": cursor.first_position,
        "next_position": cursor.next_position,
        "end_position": end,
        "lag": None if end is None else max(end - cursor.next_position, 0),
        **tally.outcomes(),
        "skipped": tally.skipped,
        "consumed": tally.consumed,
        "attempts": cursor.attempts,
        "suspect_position": cursor.suspect_position,
        "stopped": cursor.stopped,
        "updated_at": format_us(cursor.updated_us),
    }
