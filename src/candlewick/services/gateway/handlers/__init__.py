"""Use cases of the gateway: the status of the whole, answers that are kept for a while."""
