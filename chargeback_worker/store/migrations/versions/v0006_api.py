"""Keys of the HTTP API, and the answers that a repeated request gets again."""

import sqlalchemy as sa
from alembic import op

from chargeback_worker.store.columns import Text, Whole

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("key_id", Text, nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("role", Text, nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("created_by", Text, nullable=False),
        sa.Column("revoked_us", Whole, nullable=True),
        sa.CheckConstraint("role IN ('read', 'operate', 'admin')", name=op.f("ck_api_key_role")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("digest", name=op.f("uq_api_key_digest")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "api_answer",
        sa.Column("owner", Text, nullable=False),
        sa.Column("key", Text, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("headers", Text, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_us", Whole, nullable=False),
        sa.PrimaryKeyConstraint("owner", "key", name=op.f("pk_api_answer")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_api_answer_created_us", "api_answer", ["created_us"], unique=False)
