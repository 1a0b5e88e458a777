"""Records are found by day and total: new ones touch few pages of that index."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_usage_record_day_total_key", "usage_record", ["day", "total_key"])
    op.drop_index("ix_usage_record_total_key", "usage_record")
