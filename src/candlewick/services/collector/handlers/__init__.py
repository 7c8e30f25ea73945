"""From feeds and recordings to the log."""
