"""Invoices on request: drafts, what was asked for them, when each was issued, tax of each line."""

import sqlalchemy as sa
from alembic import op

from chargeback_worker.store.columns import Text, Whole

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "invoice_request",
        sa.Column("period", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("receiver", Text, nullable=False),
        sa.Column("team_id", Text, nullable=True),
        sa.Column("user_id", Text, nullable=True),
        sa.Column("tax_rate", Whole, nullable=True),
        sa.Column("due_days", sa.Integer(), nullable=True),
        sa.Column("created_us", Whole, nullable=False),
        sa.PrimaryKeyConstraint("period", "receiver", name=op.f("pk_invoice_request")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.add_column("invoice", sa.Column("issued_us", Whole, nullable=True))
    op.add_column("invoice", sa.Column("final", sa.Integer(), server_default="1", nullable=False))
    op.add_column("invoice_line", sa.Column("tax_rate", Whole, nullable=True))
    # There were no drafts: each was issued when it was made.
    op.execute("UPDATE invoice SET issued_us = created_us WHERE number IS NOT NULL")
    # A release that knows no requests would bill a share with its team that is to be billed apart.
    op.execute("UPDATE installation SET value = '3' WHERE name = 'oldest_revision'")
