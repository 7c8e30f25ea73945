"""What every database needs of an Alembic history: its revisions without importing Alembic, and its steps."""
