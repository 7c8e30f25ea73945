"""What history does: store, ledger gaps, repair, fetch, keep, archive."""
