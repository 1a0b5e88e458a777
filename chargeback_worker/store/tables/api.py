"""What the HTTP API keeps for itself: its keys, and what it has answered."""

import sqlalchemy as sa

from chargeback_worker.store.columns import Bytes, Text, table, text, whole

api_key = table(
    "api_key",
    sa.Column("key_id", Text, primary_key=True),
    text("name"),
    # Of the whole key, which itself is kept nowhere.
    sa.Column("digest", Bytes, nullable=False, unique=True),
    sa.Column(
        "role",
        Text,
        sa.CheckConstraint("role IN ('read', 'operate', 'admin')", name="role"),
        nullable=False,
    ),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    whole("created_us"),
    text("created_by"),
    whole("revoked_us", nullable=True),
)

api_answer = table(
    "api_answer",
    sa.Column("owner", Text, primary_key=True),
    # The Idempotency-Key of a request of that owner; of a piece of a batch, with its place.
    sa.Column("key", Text, primary_key=True),
    sa.Column("digest", Bytes, nullable=False),
    sa.Column("status", sa.Integer, nullable=False),
    text("headers"),
    sa.Column("body", Bytes, nullable=False),
    whole("created_us"),
    sa.Index("ix_api_answer_created_us", "created_us"),
)
