"""The schema: every table, the same on SQLite and PostgreSQL.

Sums and quantities are two integers each (`x_whole`, `x_nano`, 0 <= nano < 10**9): a sum of
nano-dollars passes 64 bits at USD 9.2 billion, and SQLite would make it a float without a word.
Sums of quantities are three (`x_exa` counts 10**18 units): one quantity alone may be that large.
Instants are microseconds since 1970, billing days 20261031, periods 202610. What is written here
is made by the migrations; a test holds the two against each other.
"""

from chargeback_worker.store.columns import metadata
from chargeback_worker.store.tables.allocation import (
    allocation,
    allocation_run,
    directory_version,
    rule_version,
)
from chargeback_worker.store.tables.api import api_answer, api_key
from chargeback_worker.store.tables.billing import (
    billing_period,
    booking,
    invoice,
    invoice_line,
    invoice_request,
    invoice_series,
    outbox,
    outbox_sequence,
    period_close,
    period_watermark,
    snapshot,
)
from chargeback_worker.store.tables.operation import (
    audit,
    heartbeat,
    installation,
    lease,
)
from chargeback_worker.store.tables.usage import (
    ingest_cursor,
    quarantine,
    usage_conflict,
    usage_key,
    usage_record,
    usage_total,
)

__all__ = [
    "allocation",
    "allocation_run",
    "api_answer",
    "api_key",
    "audit",
    "billing_period",
    "booking",
    "directory_version",
    "heartbeat",
    "ingest_cursor",
    "installation",
    "invoice",
    "invoice_line",
    "invoice_request",
    "invoice_series",
    "lease",
    "metadata",
    "outbox",
    "outbox_sequence",
    "period_close",
    "period_watermark",
    "quarantine",
    "rule_version",
    "snapshot",
    "usage_conflict",
    "usage_key",
    "usage_record",
    "usage_total",
]
