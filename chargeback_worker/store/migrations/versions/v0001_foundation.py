"""The foundation: identity, records, totals, cursors, periods, bookings, invoices, outbox."""

import sqlalchemy as sa
from alembic import op

from chargeback_worker.store.columns import Digest, Text, Whole

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("audit_id", Whole, sa.Identity(always=False), nullable=False),
        sa.Column("at_us", Whole, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.Column("action", Text, nullable=False),
        sa.Column("subject", Text, nullable=False),
        sa.Column("before", Text, nullable=True),
        sa.Column("after", Text, nullable=True),
        sa.Column("reason", Text, nullable=True),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billing_period",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("starts_us", Whole, nullable=False),
        sa.Column("ends_us", Whole, nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state_before", Text, nullable=True),
        sa.Column("lease_owner", Text, nullable=True),
        sa.Column("lease_until_us", Whole, nullable=True),
        sa.Column("due_seen_us", Whole, nullable=True),
        sa.Column("closed_us", Whole, nullable=True),
        sa.Column("failures", Whole, server_default="0", nullable=False),
        sa.Column("failure", Text, nullable=True),
        sa.Column("retry_us", Whole, nullable=True),
        sa.CheckConstraint(
            "state IN ('open', 'closing', 'closed', 'reopened')",
            name=op.f("ck_billing_period_state"),
        ),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_billing_period")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "booking",
        sa.Column("allocation_id", Text, nullable=False),
        sa.Column("resource_type", Text, nullable=False),
        sa.Column("origin_period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("billing_period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("rule_id", Text, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("receiver", Text, nullable=True),
        sa.Column("cost_whole", Whole, nullable=False),
        sa.Column("cost_nano", sa.Integer(), nullable=False),
        sa.Column("quantity_exa", Whole, server_default="0", nullable=False),
        sa.Column("quantity_whole", Whole, nullable=False),
        sa.Column("quantity_nano", sa.Integer(), nullable=False),
        sa.Column("records", Whole, nullable=False),
        sa.Column("shared", sa.Integer(), nullable=False),
        sa.Column("cause", Text, nullable=True),
        sa.CheckConstraint("cost_nano BETWEEN 0 AND 999999999", name=op.f("ck_booking_cost_nano")),
        sa.CheckConstraint(
            "quantity_nano BETWEEN 0 AND 999999999", name=op.f("ck_booking_quantity_nano")
        ),
        sa.CheckConstraint(
            "quantity_whole BETWEEN 0 AND 999999999999999999",
            name=op.f("ck_booking_quantity_whole"),
        ),
        sa.PrimaryKeyConstraint("allocation_id", "resource_type", name=op.f("pk_booking")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_booking_billing_period_revision",
        "booking",
        ["billing_period", "revision"],
        unique=False,
    )
    op.create_index("ix_booking_origin_period", "booking", ["origin_period"], unique=False)
    op.create_table(
        "heartbeat",
        sa.Column("instance", Text, nullable=False),
        sa.Column("role", Text, nullable=False),
        sa.Column("started_us", Whole, nullable=False),
        sa.Column("at_us", Whole, nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.PrimaryKeyConstraint("instance", "role", name=op.f("pk_heartbeat")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "ingest_cursor",
        sa.Column("cursor_id", Whole, sa.Identity(always=False), nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic_id", Text, nullable=False),
        sa.Column("retired", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_position", Whole, nullable=False),
        sa.Column("next_position", Whole, nullable=False),
        sa.Column("accepted", Whole, server_default="0", nullable=False),
        sa.Column("duplicate", Whole, server_default="0", nullable=False),
        sa.Column("conflict", Whole, server_default="0", nullable=False),
        sa.Column("quarantined", Whole, server_default="0", nullable=False),
        sa.Column("skipped", Whole, server_default="0", nullable=False),
        sa.Column("attempts", Whole, server_default="0", nullable=False),
        sa.Column("suspect_position", Whole, nullable=True),
        sa.Column("suspect_attempts", Whole, server_default="0", nullable=False),
        sa.Column("stopped", Text, nullable=True),
        sa.Column("updated_us", Whole, nullable=False),
        sa.PrimaryKeyConstraint("cursor_id", name=op.f("pk_ingest_cursor")),
        sa.UniqueConstraint(
            "kind",
            "name",
            "partition",
            "topic_id",
            name=op.f("uq_ingest_cursor_kind_name_partition_topic_id"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "installation",
        sa.Column("name", Text, nullable=False),
        sa.Column("value", Text, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "invoice",
        sa.Column("invoice_id", Text, nullable=False),
        sa.Column("number", Text, nullable=True),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("status", Text, nullable=False),
        sa.Column("currency", Text, nullable=False),
        sa.Column("subtotal_whole", Whole, nullable=False),
        sa.Column("subtotal_nano", sa.Integer(), nullable=False),
        sa.Column("tax_whole", Whole, nullable=False),
        sa.Column("tax_nano", sa.Integer(), nullable=False),
        sa.Column("total_whole", Whole, nullable=False),
        sa.Column("total_nano", sa.Integer(), nullable=False),
        sa.Column("due_day", sa.Integer(), nullable=True),
        sa.Column("paid_day", sa.Integer(), nullable=True),
        sa.Column("published_us", Whole, nullable=True),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("updated_us", Whole, nullable=False),
        sa.Column("replaces", Text, nullable=True),
        sa.Column("references", Text, nullable=False),
        sa.Column("metadata", Text, nullable=False),
        sa.CheckConstraint(
            "subtotal_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_subtotal_nano")
        ),
        sa.CheckConstraint("tax_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_tax_nano")),
        sa.CheckConstraint(
            "total_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_total_nano")
        ),
        sa.PrimaryKeyConstraint("invoice_id", name=op.f("pk_invoice")),
        sa.UniqueConstraint("number", name=op.f("uq_invoice_number")),
        sa.UniqueConstraint(
            "receiver",
            "period",
            "revision",
            "ordinal",
            name=op.f("uq_invoice_receiver_period_revision_ordinal"),
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_invoice_period", "invoice", ["period"], unique=False)
    op.create_index(
        "uq_invoice_live",
        "invoice",
        ["receiver", "period", "revision"],
        unique=True,
        sqlite_where=sa.text("status <> 'cancelled'"),
        postgresql_where=sa.text("status <> 'cancelled'"),
    )
    op.create_table(
        "invoice_series",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", Whole, nullable=False),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_invoice_series")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "lease",
        sa.Column("name", Text, nullable=False),
        sa.Column("owner", Text, nullable=False),
        sa.Column("until_us", Whole, nullable=False),
        sa.Column("epoch", Whole, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "outbox",
        sa.Column("message_id", Whole, sa.Identity(always=False), nullable=False),
        sa.Column("ce_id", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("seq", Whole, nullable=False),
        sa.Column("type", Text, nullable=False),
        sa.Column("headers", Text, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("invoice_id", Text, nullable=True),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("published_us", Whole, nullable=True),
        sa.Column("topic_partition", sa.Integer(), nullable=True),
        sa.Column("topic_offset", Whole, nullable=True),
        sa.Column("parked", Text, nullable=True),
        sa.PrimaryKeyConstraint("message_id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("ce_id", name=op.f("uq_outbox_ce_id")),
        sa.UniqueConstraint("key", "seq", name=op.f("uq_outbox_key_seq")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["key", "seq"],
        unique=False,
        sqlite_where=sa.text("published_us IS NULL"),
        postgresql_where=sa.text("published_us IS NULL"),
    )
    op.create_table(
        "outbox_sequence",
        sa.Column("key", Text, nullable=False),
        sa.Column("last", Whole, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_outbox_sequence")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "period_close",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("closed_us", Whole, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.Column("booked_whole", Whole, nullable=False),
        sa.Column("booked_nano", sa.Integer(), nullable=False),
        sa.Column("invoiced_whole", Whole, nullable=False),
        sa.Column("invoiced_nano", sa.Integer(), nullable=False),
        sa.Column("unallocated_whole", Whole, nullable=False),
        sa.Column("unallocated_nano", sa.Integer(), nullable=False),
        sa.Column("invoices", Whole, nullable=False),
        sa.Column("forced", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reason", Text, nullable=True),
        sa.CheckConstraint(
            "booked_nano BETWEEN 0 AND 999999999", name=op.f("ck_period_close_booked_nano")
        ),
        sa.CheckConstraint(
            "invoiced_nano BETWEEN 0 AND 999999999", name=op.f("ck_period_close_invoiced_nano")
        ),
        sa.CheckConstraint(
            "unallocated_nano BETWEEN 0 AND 999999999",
            name=op.f("ck_period_close_unallocated_nano"),
        ),
        sa.PrimaryKeyConstraint("period", "revision", name=op.f("pk_period_close")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "period_watermark",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("topic", Text, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("end_offset", Whole, nullable=False),
        sa.PrimaryKeyConstraint("period", "topic", "partition", name=op.f("pk_period_watermark")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "quarantine",
        sa.Column("quarantine_id", Whole, sa.Identity(always=False), nullable=False),
        sa.Column("cursor_id", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("reason", Text, nullable=False),
        sa.Column("detail", Text, nullable=False),
        sa.Column("received_us", Whole, nullable=False),
        sa.Column("size_bytes", Whole, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("replayable", sa.Integer(), nullable=False),
        sa.Column("state", Text, nullable=False),
        sa.Column("outcome", Text, nullable=True),
        sa.Column("resolved_us", Whole, nullable=True),
        sa.CheckConstraint(
            "state IN ('held', 'replayed', 'dismissed')", name=op.f("ck_quarantine_state")
        ),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("cursor_id", "position", name=op.f("uq_quarantine_cursor_id_position")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(op.f("ix_quarantine_state"), "quarantine", ["state"], unique=False)
    op.create_table(
        "snapshot",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", Text, nullable=False),
        sa.Column("digest", Digest, nullable=False),
        sa.PrimaryKeyConstraint("period", "revision", name=op.f("pk_snapshot")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "usage_conflict",
        sa.Column("conflict_id", Whole, sa.Identity(always=False), nullable=False),
        sa.Column("identity", Digest, nullable=False),
        sa.Column("content", Digest, nullable=False),
        sa.Column("source", Text, nullable=False),
        sa.Column("usage_id", Text, nullable=False),
        sa.Column("cursor_id", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("received_us", Whole, nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("conflict_id", name=op.f("pk_usage_conflict")),
        sa.UniqueConstraint(
            "cursor_id", "position", name=op.f("uq_usage_conflict_cursor_id_position")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "usage_key",
        sa.Column("identity", Digest, nullable=False),
        sa.Column("content", Digest, nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("identity", name=op.f("pk_usage_key")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "usage_record",
        sa.Column("identity", Digest, nullable=False),
        sa.Column("total_key", Digest, nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("time_us", Whole, nullable=False),
        sa.Column("cost_nano", Whole, nullable=False),
        sa.Column("quantity_whole", Whole, nullable=False),
        sa.Column("quantity_nano", sa.Integer(), nullable=False),
        sa.Column("cursor_id", Whole, nullable=False),
        sa.Column("position", Whole, nullable=False),
        sa.Column("received_us", Whole, nullable=False),
        sa.Column("source", Text, nullable=False),
        sa.Column("usage_id", Text, nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("agent_id", Text, nullable=True),
        sa.Column("resource_type", Text, nullable=False),
        sa.Column("resource_id", Text, nullable=True),
        sa.Column("labels", Text, nullable=True),
        sa.Column("metadata", Text, nullable=True),
        sa.CheckConstraint(
            "quantity_nano BETWEEN 0 AND 999999999", name=op.f("ck_usage_record_quantity_nano")
        ),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(op.f("ix_usage_record_total_key"), "usage_record", ["total_key"], unique=False)
    op.create_table(
        "usage_total",
        sa.Column("total_key", Digest, nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("agent_id", Text, nullable=True),
        sa.Column("resource_type", Text, nullable=False),
        sa.Column("labels", Text, nullable=True),
        sa.Column("cost_whole", Whole, nullable=False),
        sa.Column("cost_nano", sa.Integer(), nullable=False),
        sa.Column("quantity_exa", Whole, server_default="0", nullable=False),
        sa.Column("quantity_whole", Whole, nullable=False),
        sa.Column("quantity_nano", sa.Integer(), nullable=False),
        sa.Column("records", Whole, nullable=False),
        sa.CheckConstraint(
            "cost_nano BETWEEN 0 AND 999999999", name=op.f("ck_usage_total_cost_nano")
        ),
        sa.CheckConstraint(
            "quantity_nano BETWEEN 0 AND 999999999", name=op.f("ck_usage_total_quantity_nano")
        ),
        sa.CheckConstraint(
            "quantity_whole BETWEEN 0 AND 999999999999999999",
            name=op.f("ck_usage_total_quantity_whole"),
        ),
        sa.PrimaryKeyConstraint("total_key", name=op.f("pk_usage_total")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(op.f("ix_usage_total_day"), "usage_total", ["day"], unique=False)
    op.create_index("ix_usage_total_period_day", "usage_total", ["period", "day"], unique=False)
    op.create_table(
        "invoice_line",
        sa.Column("invoice_id", Text, nullable=False),
        sa.Column("line", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", Text, nullable=False),
        sa.Column("description", Text, nullable=False),
        sa.Column("resource_type", Text, nullable=False),
        sa.Column("quantity_exa", Whole, server_default="0", nullable=True),
        sa.Column("quantity_whole", Whole, nullable=True),
        sa.Column("quantity_nano", sa.Integer(), nullable=True),
        sa.Column("unit_price_exa", Whole, server_default="0", nullable=True),
        sa.Column("unit_price_whole", Whole, nullable=True),
        sa.Column("unit_price_nano", sa.Integer(), nullable=True),
        sa.Column("total_price_whole", Whole, nullable=False),
        sa.Column("total_price_nano", sa.Integer(), nullable=False),
        sa.Column("exact_whole", Whole, nullable=False),
        sa.Column("exact_nano", sa.Integer(), nullable=False),
        sa.Column("allocation_id", Text, nullable=False),
        sa.Column("rule_id", Text, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("origin_period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cause", Text, nullable=True),
        sa.Column("original_invoice", Text, nullable=True),
        sa.CheckConstraint(
            "exact_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_line_exact_nano")
        ),
        sa.CheckConstraint(
            "quantity_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_line_quantity_nano")
        ),
        sa.CheckConstraint(
            "quantity_whole BETWEEN 0 AND 999999999999999999",
            name=op.f("ck_invoice_line_quantity_whole"),
        ),
        sa.CheckConstraint(
            "total_price_nano BETWEEN 0 AND 999999999",
            name=op.f("ck_invoice_line_total_price_nano"),
        ),
        sa.CheckConstraint(
            "unit_price_nano BETWEEN 0 AND 999999999", name=op.f("ck_invoice_line_unit_price_nano")
        ),
        sa.CheckConstraint(
            "unit_price_whole BETWEEN 0 AND 999999999999999999",
            name=op.f("ck_invoice_line_unit_price_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["invoice_id"], ["invoice.invoice_id"], name=op.f("fk_invoice_line_invoice_id")
        ),
        sa.PrimaryKeyConstraint("invoice_id", "line", name=op.f("pk_invoice_line")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.execute("INSERT INTO installation (name, value) VALUES ('oldest_revision', '1')")
