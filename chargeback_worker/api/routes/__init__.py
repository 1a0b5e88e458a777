"""The routes, one file a resource: each takes what was asked to a report or a step."""

from chargeback_worker.api.routes import (
    allocations,
    books,
    directory,
    docs,
    health,
    invoices,
    periods,
    preview,
    quarantine,
    reports,
    rules,
    usage,
)
from chargeback_worker.api.routing import Routes

ALL: tuple[Routes, ...] = (
    usage.routes,
    rules.routes,
    allocations.routes,
    invoices.routes,
    reports.routes,
    periods.routes,
    preview.routes,
    directory.routes,
    quarantine.routes,
    books.routes,
    health.routes,
    docs.routes,
)
"""In the order in which they are shown."""
