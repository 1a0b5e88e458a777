"""Usage records: the one of an event, and pages of those of some days, the newest day first."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from chargeback_worker.invoicing.document import Amount, Document
from chargeback_worker.period import BillingRange, Period, day_from_number, day_number, format_us
from chargeback_worker.reports.pages import (
    DIGEST_BYTES,
    PAGE_MAX,
    UnknownPlace,
    digest_of,
    number_of,
)
from chargeback_worker.store import Store, Transaction, usage_records
from chargeback_worker.store.usage_records import RecordAt, WholeRecord
from chargeback_worker.usage.event import UsageEvent

_DAYS_BACK = 40


def show_records(store: Store, events: Sequence[UsageEvent]) -> list[Document]:
    """What is stored of each of some events, which must be stored; where a record was dropped after
    retention.records, what this event says of it."""
    with store.read() as transaction:
        return [_shown(transaction, event) for event in events]


def accepted_record(event: UsageEvent, period: Period) -> Document:
    """What `show_records` says of an event that was accepted just now, billed in that period:
    nothing has to be read for it."""
    return {"usage_record": _document(_as_stored(event, period))}


def list_records(
    store: Store,
    days: BillingRange,
    *,
    team: str | None = None,
    user: str | None = None,
    limit: int = 200,
    cursor: str | None = None,
) -> Document:
    """A page of the records of those days; an empty team or user asks for what has none.

    `cursor` continues. Raises UnknownPlace.
    """
    limit = min(limit, PAGE_MAX)
    after = None if cursor is None else _place(cursor)
    with store.read() as transaction:
        rows = usage_records.listed(
            transaction, days, team=team, user=user, limit=limit + 1, after=after
        )
    page = rows[:limit]
    return {
        "period_start": days.start,
        "period_end": days.end,
        "usage_records": [_document(row) for row in page],
        "next_cursor": _cursor(page[-1].place) if len(rows) > limit else None,
    }


def _shown(transaction: Transaction, event: UsageEvent) -> Document:
    period = usage_records.billed_in(transaction, event.identity)
    assert period is not None, event.usage_id
    found = usage_records.find(transaction, event, period, _days(event.day))
    return {"usage_record": _document(found)} if found else accepted_record(event, period)


def _days(day: int) -> Iterator[int]:
    """The day of an event, then those before: one that said no time may have come before."""
    first = day_from_number(day)
    return (day_number(first - timedelta(days=back)) for back in range(_DAYS_BACK))


def _as_stored(event: UsageEvent, period: Period) -> WholeRecord:
    return WholeRecord(
        RecordAt(event.day, bytes(DIGEST_BYTES), event.time_us, event.identity),
        event.source,
        event.usage_id,
        event.team,
        event.user,
        event.agent,
        event.resource_type,
        event.resource_id,
        event.quantity,
        event.cost,
        event.metadata,
        period,
    )


def _document(record: WholeRecord) -> Document:
    metadata: Any = {} if record.metadata is None else msgspec.Raw(record.metadata.encode())
    return {
        "usage_id": record.usage_id,
        "timestamp": format_us(record.place.time_us),
        "team_id": record.team,
        "user_id": record.user,
        "agent_id": record.agent,
        "resource_type": record.resource_type,
        "quantity": Amount(record.quantity),
        "cost_usd": Amount(record.cost),
        "metadata": metadata,
        "source": record.source,
        "resource_id": record.resource_id,
        "billing_period": str(record.period),
        "late": record.late,
    }


def _cursor(place: RecordAt) -> str:
    return f"{place.day}.{place.total_key.hex()}.{place.time_us}.{place.identity.hex()}"


def _place(cursor: str) -> RecordAt:
    """Raises UnknownPlace."""
    try:
        day, total_key, time_us, identity = cursor.split(".")
        if len(day) != 8:
            raise ValueError(day)
        return RecordAt(
            number_of(day), digest_of(total_key), number_of(time_us), digest_of(identity)
        )
    except ValueError:
        raise UnknownPlace(cursor, of="usage records") from None
