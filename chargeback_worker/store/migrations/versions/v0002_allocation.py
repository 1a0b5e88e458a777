"""Who bears which cost: rules and the directory with their versions, and allocation runs."""

import sqlalchemy as sa
from alembic import op

from chargeback_worker.store.columns import Text, Whole

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "allocation",
        sa.Column("allocation_id", Text, nullable=False),
        sa.Column("resource_type", Text, nullable=False),
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("rule_id", Text, nullable=False),
        sa.Column("rule_version", sa.Integer(), nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("cost_whole", Whole, nullable=False),
        sa.Column("cost_nano", sa.Integer(), nullable=False),
        sa.Column("quantity_exa", Whole, server_default="0", nullable=False),
        sa.Column("quantity_whole", Whole, nullable=False),
        sa.Column("quantity_nano", sa.Integer(), nullable=False),
        sa.Column("records", Whole, nullable=False),
        sa.Column("shared", sa.Integer(), nullable=False),
        sa.Column("share", Text, nullable=True),
        sa.CheckConstraint(
            "cost_nano BETWEEN 0 AND 999999999", name=op.f("ck_allocation_cost_nano")
        ),
        sa.CheckConstraint(
            "quantity_nano BETWEEN 0 AND 999999999", name=op.f("ck_allocation_quantity_nano")
        ),
        sa.CheckConstraint(
            "quantity_whole BETWEEN 0 AND 999999999999999999",
            name=op.f("ck_allocation_quantity_whole"),
        ),
        sa.PrimaryKeyConstraint("allocation_id", "resource_type", name=op.f("pk_allocation")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_allocation_period", "allocation", ["period"], unique=False)
    op.create_table(
        "allocation_run",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_allocation_run")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "directory_version",
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", Text, nullable=False),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_directory_version")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "rule_version",
        sa.Column("rule_id", Text, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", Text, nullable=False),
        sa.Column("created_us", Whole, nullable=False),
        sa.Column("actor", Text, nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "version", name=op.f("pk_rule_version")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.add_column("booking", sa.Column("share", Text, nullable=True))
    # A release that knows no rules would close a month without them.
    op.execute("UPDATE installation SET value = '2' WHERE name = 'oldest_revision'")
