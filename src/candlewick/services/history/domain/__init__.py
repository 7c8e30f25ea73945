"""What history decides, as pure functions: rows, gaps, plans, quality."""
