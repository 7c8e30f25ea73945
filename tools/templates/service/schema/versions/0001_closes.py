"""The newest closes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "closes",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("open_time", sa.BigInteger, nullable=False),
        sa.Column("close", sa.Text, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("closes")
