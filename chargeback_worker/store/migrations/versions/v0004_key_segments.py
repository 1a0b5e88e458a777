"""Usage keys in segments on PostgreSQL: those that are there are the first, and sealed."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE TABLE usage_key_1 (PRIMARY KEY (identity)) INHERITS (usage_key)")
        # Room to change a total where it stands: its indexes are then left alone.
        op.execute("ALTER TABLE usage_total SET (fillfactor = 50)")
    # A release that knows no segments would store a key beside the one that a newer one stores.
    op.execute("UPDATE installation SET value = '4' WHERE name = 'oldest_revision'")
