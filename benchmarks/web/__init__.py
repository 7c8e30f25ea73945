"""The page in a real browser: how soon there are candles, how even its frames are, what it loads.

The product runs as users start it (``candlewick up``, the demo market, a fresh data dir) and serves the built page;
Chromium visits it over loopback. Frames are those of a browser without a GPU, so every figure has the same of a bare
page beside it: one that does the same with the chart library alone, or nothing at all.
"""
