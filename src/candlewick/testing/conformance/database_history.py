"""A schema history of two steps, and one that fails, for the suite of ``database``."""

from pathlib import Path
from textwrap import dedent

_FIRST = """
    import sqlalchemy as sa
    from alembic import op

    revision = "0001"
    down_revision = None


    def upgrade():
        op.create_table(
            "account",
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("amount", sa.BigInteger, nullable=False),
            sa.CheckConstraint("amount >= 0", name="positive"),
        )
        op.create_table(
            "value",
            sa.Column("name", sa.Text, primary_key=True),
            sa.Column("big", sa.BigInteger),
            sa.Column("real", sa.Double),
            sa.Column("words", sa.Text),
            sa.Column("raw", sa.LargeBinary),
        )


    def downgrade():
        op.drop_table("value")
        op.drop_table("account")
"""
_SECOND = """
    import sqlalchemy as sa
    from alembic import op

    revision: str = "0002"
    down_revision: str | None = "0001"


    def upgrade():
        with op.batch_alter_table("account") as batch:
            batch.add_column(sa.Column("note", sa.Text))


    def downgrade():
        with op.batch_alter_table("account") as batch:
            batch.drop_column("note")
"""
_FAILING = """
    import sqlalchemy as sa
    from alembic import op

    revision = "0003"
    down_revision = "0002"


    def upgrade():
        op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
        op.execute("INSERT INTO account (name, amount) VALUES ('from a step', 1)")
        op.execute("INSERT INTO nowhere VALUES (1)")


    def downgrade():
        op.drop_table("half")
"""


def write_history(folder: Path, *, failing: bool = False) -> Path:
    """An Alembic history of two steps (0001, 0002), and a third one that fails."""
    versions = folder / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    steps = {"0001_first.py": _FIRST, "0002_second.py": _SECOND}
    if failing:
        steps["0003_failing.py"] = _FAILING
    for name, text in steps.items():
        (versions / name).write_text(dedent(text))
    return folder
