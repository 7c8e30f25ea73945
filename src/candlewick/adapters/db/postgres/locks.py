"""Advisory locks of a service's database. They are the database's own, so services do not meet in them."""

import zlib

WRITER = 0x43414E444C4501
MIGRATION = 0x43414E444C4502


def of(name: str) -> int:
    """The lock of a name: a number above 2^32, away from those."""
    return (1 << 32) + zlib.crc32(name.encode())
