"""What the worker itself needs: the installation, the audit, leases, heartbeats."""

import sqlalchemy as sa

from chargeback_worker.store.columns import (
    Text,
    number_id,
    table,
    text,
    whole,
)

installation = table("installation", sa.Column("name", Text, primary_key=True), text("value"))

audit = table(
    "audit",
    number_id("audit_id"),
    whole("at_us"),
    text("actor"),
    text("action"),
    text("subject"),
    text("before", nullable=True),
    text("after", nullable=True),
    text("reason", nullable=True),
)

lease = table(
    "lease",
    sa.Column("name", Text, primary_key=True),
    text("owner"),
    whole("until_us"),
    whole("epoch"),
)

heartbeat = table(
    "heartbeat",
    sa.Column("instance", Text, primary_key=True),
    sa.Column("role", Text, primary_key=True),
    whole("started_us"),
    whole("at_us"),
    text("detail"),
)
