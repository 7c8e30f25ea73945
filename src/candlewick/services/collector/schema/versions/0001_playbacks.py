"""How far recordings were played."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "playbacks",
        sa.Column("recording", sa.Text, primary_key=True),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("line", sa.BigInteger, nullable=False),
        sa.Column("parser", sa.LargeBinary, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("playbacks")
