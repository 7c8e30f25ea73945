"""Settings of the stream processor."""

import msgspec


class StreamSettings(msgspec.Struct, frozen=True):
    """None yet: what the operator does is fixed by the laws of the data plane."""
