"""Periods and what their closes have written: snapshots, bookings, invoices, messages."""

import sqlalchemy as sa

from chargeback_worker.store.columns import (
    Bytes,
    Digest,
    Text,
    amount,
    number_id,
    period,
    table,
    text,
    whole,
    wide_amount,
)

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

period_watermark = table(
    "period_watermark",
    period(primary_key=True),
    sa.Column("topic", Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    whole("end_offset"),
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
    # The share of the pool that was split, as numerator/denominator.
    text("share", nullable=True),
    sa.Index("ix_booking_origin_period", "origin_period"),
    sa.Index("ix_booking_billing_period_revision", "billing_period", "revision"),
)

invoice = table(
    "invoice",
    sa.Column("invoice_id", Text, primary_key=True),
    # None of a draft.
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
    whole("issued_us", nullable=True),
    # Whether a close has booked what it bills; if not, it is a projection of an open month.
    sa.Column("final", sa.Integer, nullable=False, server_default="1"),
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
    # In 10**-9.
    whole("tax_rate", nullable=True),
)

invoice_request = table(
    "invoice_request",
    period(primary_key=True),
    sa.Column("receiver", Text, primary_key=True),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    # What it is to have instead of the directory's and the settings'.
    whole("tax_rate", nullable=True),
    sa.Column("due_days", sa.Integer),
    whole("created_us"),
)

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

outbox_sequence = table("outbox_sequence", sa.Column("key", Text, primary_key=True), whole("last"))
