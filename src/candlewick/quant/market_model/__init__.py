"""The demo market: a seeded, deterministic model of eight correlated symbols, for any instant, without end.

``MarketModel`` in ``model`` is the door. Nothing here reads a clock or a file.
"""
