"""The tables of a SQLite file, by its own catalogue (https://www.sqlite.org/pragma.html#pragma_table_info)."""

from candlewick.adapters._tables.describing import in_order, table
from candlewick.ports.database import Table, Transaction

_OWN = (
    "m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!' AND m.name NOT IN ('alembic_version', 'schema_allows')"
)


async def described(tx: Transaction) -> list[Table]:
    """Raises StatementRefused."""
    rows = await tx.fetch(
        f"SELECT m.name, p.name, p.type, p.pk FROM sqlite_schema m, pragma_table_info(m.name) p WHERE {_OWN} "
        "ORDER BY m.name, p.cid"
    )
    references = await tx.fetch(
        f'SELECT m.name, f."table" FROM sqlite_schema m, pragma_foreign_key_list(m.name) f WHERE {_OWN}'
    )
    found = {}
    for name in dict.fromkeys(row[0] for row in rows):
        mine = [row[1:] for row in rows if row[0] == name]
        key = [column for column, _, at in sorted(mine, key=lambda row: row[2]) if at]
        found[name] = table(name, [(column, declared) for column, declared, _ in mine], key)
    return in_order(found, [(one, other) for one, other in references])
