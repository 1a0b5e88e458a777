"""What came in: identity, records, totals, conflicts, quarantine, and how far each door is."""

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
    sa.Column("total_key", Digest, nullable=False),
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
    # Keys are random, but what comes together is of the same days: with the day before the key, new
    # records touch few pages of the index however many there are.
    sa.Index("ix_usage_record_day_total_key", "day", "total_key"),
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
