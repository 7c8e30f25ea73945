"""Followed symbols."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "symbols",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("venue_symbol", sa.Text, nullable=False),
        sa.Column("base", sa.Text, nullable=False),
        sa.Column("quote", sa.Text, nullable=False),
        sa.Column("price_tick", sa.Text, nullable=False),
        sa.Column("size_step", sa.Text, nullable=False),
        sa.Column("price_scale", sa.Integer, nullable=False),
        sa.Column("size_scale", sa.Integer, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("added_at", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("symbols")
