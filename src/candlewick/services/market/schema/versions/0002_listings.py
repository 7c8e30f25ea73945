"""Whose turn it is to ask a venue what it lists, and what it last said."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "listings",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("looked_at", sa.BigInteger, nullable=False),
        sa.Column("instruments", sa.LargeBinary, nullable=True),
    )


def downgrade() -> None:
    op.drop_table("listings")
