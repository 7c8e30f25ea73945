"""What everything kept in PostgreSQL shares: connections, statements, errors."""
