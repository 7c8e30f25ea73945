"""What every venue does with trades: gather them in columns, watch their ids, and say how far they are complete."""
