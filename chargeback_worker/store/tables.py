"""The schema: every table, the same on SQLite and PostgreSQL.

Sums and quantities are two integers each (`x_whole`, `x_nano`, 0 <= nano < 10**9): a sum of
nano-dollars passes 64 bits at USD 9.2 billion, and SQLite would make it a float without a word.
Sums of quantities are three (`x_exa` counts 10**18 units): one quantity alone may be that large.
Instants are microseconds since 1970, billing days 20261031, periods 202610. What is written here
is made by the migrations; a test holds the two against each other.
"""

import sqlalchemy as sa

from chargeback_worker.store.columns import (
    Bytes,
    Digest,
    Text,
    amount,
    metadata,
    number_id,
    period,
    table,
    text,
    whole,
    wide_amount,
)

__all__ = ["metadata"]

# What may never change once usage is stored: time zone, labels and source of the grain.
installation = table("installation", sa.Column("name", Text, primary_key=True), text("value"))

billing_period = table(
    "billing_period",
    period(primary_key=True),
    whole("starts_us"),
    whole("ends_us"),
    sa.Column(
        "state",
        Text,
        sa.CheckConstraint("state IN ('open', 'closing', 'closed', 'reopened')", name="state"),
        nullable=False,
    ),
    sa.Column("revision", sa.Integer, nullable=False),
    # What a failed close goes back to.
    text("state_before", nullable=True),
    text("lease_owner", nullable=True),
    whole("lease_until_us", nullable=True),
    whole("due_seen_us", nullable=True),
    whole("closed_us", nullable=True),
    whole("failures", 0),
    text("failure", nullable=True),
    # When a failed close is tried again by itself, on the database's clock.
    whole("retry_us", nullable=True),
)

# The end of each partition when a period was first seen due: ingest must have come so far.
period_watermark = table(
    "period_watermark",
    period(primary_key=True),
    sa.Column("topic", Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    whole("end_offset"),
)

# How far each door has come, and what it has counted: a partition of a topic, a file, the replay.
ingest_cursor = table(
    "ingest_cursor",
    number_id("cursor_id"),
    text("kind"),
    text("name"),
    sa.Column("partition", sa.Integer, nullable=False),
    text("topic_id"),
    sa.Column("retired", sa.Integer, nullable=False, server_default="0"),
    whole("first_position"),
    whole("next_position"),
    whole("accepted", 0),
    whole("duplicate", 0),
    whole("conflict", 0),
    whole("quarantined", 0),
    # Positions that hold no event: transaction markers, and gaps accepted by a person.
    whole("skipped", 0),
    whole("attempts", 0),
    whole("suspect_position", nullable=True),
    whole("suspect_attempts", 0),
    text("stopped", nullable=True),
    whole("updated_us"),
    sa.UniqueConstraint("kind", "name", "partition", "topic_id"),
)

# Identity for ever: this row is what makes an event count once.
usage_key = table(
    "usage_key",
    sa.Column("identity", Digest, primary_key=True),
    sa.Column("content", Digest, nullable=False),
    period(),
    without_rowid=True,
)

usage_record = table(
    "usage_record",
    sa.Column("identity", Digest, nullable=False),
    sa.Column("total_key", Digest, nullable=False, index=True),
    period(),
    sa.Column("day", sa.Integer, nullable=False),
    whole("time_us"),
    whole("cost_nano"),
    *amount("quantity"),
    whole("cursor_id"),
    whole("position"),
    whole("received_us"),
    text("source"),
    text("usage_id"),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    text("agent_id", nullable=True),
    text("resource_type"),
    text("resource_id", nullable=True),
    text("labels", nullable=True),
    text("metadata", nullable=True),
)

usage_total = table(
    "usage_total",
    sa.Column("total_key", Digest, primary_key=True),
    period(),
    sa.Column("day", sa.Integer, nullable=False, index=True),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    text("agent_id", nullable=True),
    text("resource_type"),
    text("labels", nullable=True),
    *amount("cost"),
    *wide_amount("quantity"),
    whole("records"),
    sa.Index("ix_usage_total_period_day", "period", "day"),
)

usage_conflict = table(
    "usage_conflict",
    number_id("conflict_id"),
    sa.Column("identity", Digest, nullable=False),
    sa.Column("content", Digest, nullable=False),
    text("source"),
    text("usage_id"),
    whole("cursor_id"),
    whole("position"),
    whole("received_us"),
    sa.Column("payload", Bytes, nullable=False),
    sa.UniqueConstraint("cursor_id", "position"),
)

quarantine = table(
    "quarantine",
    number_id("quarantine_id"),
    whole("cursor_id"),
    whole("position"),
    text("reason"),
    text("detail"),
    whole("received_us"),
    whole("size_bytes"),
    sa.Column("digest", Digest, nullable=False),
    # zlib; the whole message while `replayable`, its head where it was too large.
    sa.Column("payload", Bytes, nullable=True),
    sa.Column("replayable", sa.Integer, nullable=False),
    sa.Column(
        "state",
        Text,
        sa.CheckConstraint("state IN ('held', 'replayed', 'dismissed')", name="state"),
        nullable=False,
        index=True,
    ),
    text("outcome", nullable=True),
    whole("resolved_us", nullable=True),
    sa.UniqueConstraint("cursor_id", "position"),
)

snapshot = table(
    "snapshot",
    period(primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    text("content"),
    sa.Column("digest", Digest, nullable=False),
)

period_close = table(
    "period_close",
    period(primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    whole("closed_us"),
    text("actor"),
    *amount("booked"),
    *amount("invoiced"),
    *amount("unallocated"),
    whole("invoices"),
    sa.Column("forced", sa.Integer, nullable=False, server_default="0"),
    text("reason", nullable=True),
)

# What each close booked: one row per allocation and resource type, never changed.
booking = table(
    "booking",
    sa.Column("allocation_id", Text, primary_key=True),
    sa.Column("resource_type", Text, primary_key=True),
    period("origin_period"),
    period("billing_period"),
    sa.Column("revision", sa.Integer, nullable=False),
    text("rule_id"),
    sa.Column("rule_version", sa.Integer, nullable=False),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    text("receiver", nullable=True),
    *amount("cost"),
    *wide_amount("quantity"),
    whole("records"),
    sa.Column("shared", sa.Integer, nullable=False),
    text("cause", nullable=True),
    sa.Index("ix_booking_origin_period", "origin_period"),
    sa.Index("ix_booking_billing_period_revision", "billing_period", "revision"),
)

invoice = table(
    "invoice",
    sa.Column("invoice_id", Text, primary_key=True),
    sa.Column("number", Text, unique=True),
    period(),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("ordinal", sa.Integer, nullable=False),
    text("kind"),
    text("receiver"),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    text("status"),
    text("currency"),
    *amount("subtotal"),
    *amount("tax"),
    *amount("total"),
    sa.Column("due_day", sa.Integer),
    sa.Column("paid_day", sa.Integer),
    whole("published_us", nullable=True),
    whole("created_us"),
    whole("updated_us"),
    text("replaces", nullable=True),
    text("references"),
    text("metadata"),
    sa.UniqueConstraint("receiver", "period", "revision", "ordinal"),
    sa.Index(
        "uq_invoice_live",
        "receiver",
        "period",
        "revision",
        unique=True,
        sqlite_where=sa.text("status <> 'cancelled'"),
        postgresql_where=sa.text("status <> 'cancelled'"),
    ),
    sa.Index("ix_invoice_period", "period"),
)

invoice_line = table(
    "invoice_line",
    sa.Column("invoice_id", Text, sa.ForeignKey("invoice.invoice_id"), primary_key=True),
    sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
    text("kind"),
    text("description"),
    text("resource_type"),
    *wide_amount("quantity", nullable=True),
    *wide_amount("unit_price", nullable=True),
    *amount("total_price"),
    *amount("exact"),
    text("allocation_id"),
    text("rule_id"),
    sa.Column("rule_version", sa.Integer, nullable=False),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    period("origin_period"),
    text("cause", nullable=True),
    text("original_invoice", nullable=True),
)

# The last number given out of each month's series.
invoice_series = table("invoice_series", period(primary_key=True), whole("last"))

outbox = table(
    "outbox",
    number_id("message_id"),
    sa.Column("ce_id", Text, nullable=False, unique=True),
    text("key"),
    whole("seq"),
    text("type"),
    text("headers"),
    sa.Column("payload", Bytes, nullable=False),
    period(),
    sa.Column("revision", sa.Integer, nullable=False),
    text("invoice_id", nullable=True),
    whole("created_us"),
    whole("published_us", nullable=True),
    sa.Column("topic_partition", sa.Integer),
    whole("topic_offset", nullable=True),
    text("parked", nullable=True),
    sa.UniqueConstraint("key", "seq"),
    sa.Index(
        "ix_outbox_waiting",
        "key",
        "seq",
        sqlite_where=sa.text("published_us IS NULL"),
        postgresql_where=sa.text("published_us IS NULL"),
    ),
)

# The last `seq` given out to each key of the invoices topic.
outbox_sequence = table("outbox_sequence", sa.Column("key", Text, primary_key=True), whole("last"))

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
