"""What decides who bears which cost, and the last run of each open period."""

import sqlalchemy as sa

from chargeback_worker.store.columns import (
    Text,
    amount,
    period,
    table,
    text,
    whole,
    wide_amount,
)

rule_version = table(
    "rule_version",
    sa.Column("rule_id", Text, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    text("content"),
    whole("created_us"),
    text("actor"),
)

directory_version = table(
    "directory_version",
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    text("content"),
    whole("created_us"),
    text("actor"),
)

allocation_run = table(
    "allocation_run",
    period(primary_key=True),
    whole("created_us"),
    text("actor"),
)

allocation = table(
    "allocation",
    sa.Column("allocation_id", Text, primary_key=True),
    sa.Column("resource_type", Text, primary_key=True),
    period(),
    text("rule_id"),
    sa.Column("rule_version", sa.Integer, nullable=False),
    text("team_id", nullable=True),
    text("user_id", nullable=True),
    *amount("cost"),
    *wide_amount("quantity"),
    whole("records"),
    sa.Column("shared", sa.Integer, nullable=False),
    # The share of the pool that was split, as numerator/denominator.
    text("share", nullable=True),
    sa.Index("ix_allocation_period", "period"),
)
