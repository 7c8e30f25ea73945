"""The composition root: the only place that knows which services there are and which adapters serve them."""
