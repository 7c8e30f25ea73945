"""A running ``candlewick up``, found and spoken to by the other commands of the same data dir."""
