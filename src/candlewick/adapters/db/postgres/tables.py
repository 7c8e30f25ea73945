"""The tables of a PostgreSQL database's schema ``public``, by the server's catalogue."""

from candlewick.adapters._tables.describing import in_order, table
from candlewick.ports.database import Table, Transaction

_OWN = (
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' {more} "
    "WHERE c.relkind IN ('r', 'p') AND c.relname NOT IN ('alembic_version', 'schema_allows')"
)
_COLUMNS = (
    "SELECT c.relname, a.attname, format_type(a.atttypid, NULL), "
    "coalesce(array_position(i.indkey::int[], a.attnum::int), -1) "
    + _OWN.format(
        more="JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped "
        "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary"
    )
    + " ORDER BY c.relname, a.attnum"
)
_REFERENCES = "SELECT c.relname, r.relname " + _OWN.format(
    more="JOIN pg_constraint f ON f.conrelid = c.oid AND f.contype = 'f' JOIN pg_class r ON r.oid = f.confrelid"
)


async def described(tx: Transaction) -> list[Table]:
    """Raises StatementRefused."""
    rows = await tx.fetch(_COLUMNS)
    references = await tx.fetch(_REFERENCES)
    found = {}
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row[1:] for row in rows if row[0] == name]
        key = [column for column, _, at in sorted(mine, key=lambda row: row[2]) if at >= 0]
        found[name] = table(name, [(column, declared) for column, declared, _ in mine], key)
    return in_order(found, [(one, other) for one, other in references])
