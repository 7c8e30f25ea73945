"""Files of market data into the platform, through the same log and services as everything else."""
