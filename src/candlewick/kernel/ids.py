"""Event ids: UUIDv7 for roots, UUIDv8 for what is derived from them (RFC 9562)."""

import hashlib
import struct
from typing import Protocol
from uuid import UUID


class IdSource(Protocol):
    """Where a unit draws root ids."""

    def new(self) -> UUID:
        """A UUIDv7 not handed out before; later calls sort after earlier ones of the same source."""
        ...


def uuid7(unix_ms: int, random_74: int) -> UUID:
    """RFC 9562, 5.7: 48 bits of Unix milliseconds, then 74 random bits."""
    if not 0 <= unix_ms < 1 << 48:
        raise ValueError(f"unix_ms must fit 48 bits, was {unix_ms!r}")
    rand_a = (random_74 >> 62) & 0xFFF
    rand_b = random_74 & ((1 << 62) - 1)
    return UUID(int=(unix_ms << 80) | (0x7 << 76) | (rand_a << 64) | (0b10 << 62) | rand_b)


def derived_id(operator: str, version: int, inputs: tuple[tuple[str, int, int], ...], ordinal: int) -> UUID:
    """A UUIDv8 that a replay mints again: hash of operator, version, input positions and the output's ordinal.

    ``inputs`` are (topic, partition, offset) of the messages the output was made from.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{operator}\x00{version}\x00".encode())
    for topic, partition, offset in inputs:
        digest.update(f"{topic}\x00".encode())
        digest.update(struct.pack("<iq", partition, offset))
    digest.update(struct.pack("<q", ordinal))
    value = int.from_bytes(digest.digest(), "big")
    value &= ~((0xF << 76) | (0b11 << 62))
    return UUID(int=value | (0x8 << 76) | (0b10 << 62))
