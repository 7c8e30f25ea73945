"""One folder a service, all of one shape; they meet in events and HTTP, never in each other's code or tables."""
