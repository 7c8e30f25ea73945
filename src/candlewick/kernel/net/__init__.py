"""What every client of a network needs, as small pure pieces: back-off, breaker, budget, deadline."""
