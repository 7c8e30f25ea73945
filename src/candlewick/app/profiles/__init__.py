"""Which adapters a profile picks."""
