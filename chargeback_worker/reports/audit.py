"""Who changed what, when and why."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from chargeback_worker.invoicing.document import Document
from chargeback_worker.period import first_instant, format_us, to_us
from chargeback_worker.reports.pages import PAGE_MAX
from chargeback_worker.store import Store, audit, installation


def audited(
    store: Store,
    *,
    since: date | datetime | None = None,
    limit: int = 200,
    cursor: int | None = None,
) -> Document:
    """Newest first. A date begins with its first instant in the billing time zone."""
    limit = min(limit, PAGE_MAX)
    with store.read() as transaction:
        since_us = None
        if isinstance(since, datetime):
            since_us = to_us(since)
        elif since is not None:
            grain = installation.read_grain(transaction)
            since_us = to_us(first_instant(since, grain.zone() if grain else ZoneInfo("UTC")))
        rows = audit.listed(transaction, since_us=since_us, limit=limit + 1, after=cursor)
    page = rows[:limit]
    return {
        "audit": [
            {
                "audit_id": row.audit_id,
                "at": format_us(row.at_us),
                "actor": row.actor,
                "action": row.action,
                "subject": row.subject,
                "before": row.before,
                "after": row.after,
                "reason": row.reason,
            }
            for row in page
        ],
        "next_cursor": str(page[-1].audit_id) if len(rows) > limit else None,
    }
