"""Candles in one SQLite file: day blobs and a tail table."""

from candlewick.adapters.candles.sqlite.store import SqliteCandleStore

__all__ = ["SqliteCandleStore"]
