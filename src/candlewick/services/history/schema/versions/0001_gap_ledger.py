"""The gap ledger, what is still to be asked for, and since when each followed symbol is complete."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "gaps",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("exchange", sa.Text, nullable=False),
        sa.Column("symbol", sa.Text, nullable=False),
        sa.Column("start_ns", sa.BigInteger, nullable=False),
        sa.Column("end_ns", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("trades_missing", sa.BigInteger, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("detected_at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("delays", sa.Integer, nullable=False),
        sa.Column("repaired", sa.Integer, nullable=False),
        sa.Column("empty", sa.Integer, nullable=False),
        sa.CheckConstraint("end_ns > start_ns", name="gap_has_a_length"),
    )
    op.create_index("gaps_by_symbol", "gaps", ["exchange", "symbol", "start_ns"])
    op.create_index("gaps_by_state", "gaps", ["state"])
    op.create_table(
        "pending",
        sa.Column("gap_id", sa.Text, sa.ForeignKey("gaps.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("timeframe_s", sa.Integer, primary_key=True),
        sa.Column("from_ns", sa.BigInteger, primary_key=True),
        sa.Column("to_ns", sa.BigInteger, nullable=False),
        sa.Column("due_ns", sa.BigInteger, nullable=False),
    )
    op.create_index("pending_by_due", "pending", ["due_ns"])
    op.create_table(
        "coverage",
        sa.Column("exchange", sa.Text, primary_key=True),
        sa.Column("symbol", sa.Text, primary_key=True),
        sa.Column("since_ns", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("coverage")
    op.drop_table("pending")
    op.drop_table("gaps")
