"""Large immutable things by key: history files, results, backups. A folder, or S3; the same keys in both.

Keys are ``/``-separated, of [A-Za-z0-9._=-], no empty part, no ``.`` or ``..``; 1 to 512 bytes. A put is all or nothing
and visible at once; a killed put leaves nothing that ``list`` or ``get`` shows. Overwriting is replacing as a whole.
"""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from candlewick.kernel.errors import Conflict, NotFound, Rejected, Retryable


class ObjectNotFound(NotFound):
    """Nothing is stored under the key."""

    code = "OBJECT_NOT_FOUND"


class ObjectExists(Conflict):
    """Something is stored under the key, and the call asked not to replace it."""

    code = "OBJECT_EXISTS"


class BadObjectKey(Rejected):
    """A key with an empty, ``.`` or ``..`` part, with other characters than those allowed, or too long."""

    code = "BAD_OBJECT_KEY"


class ObjectsUnavailable(Retryable):
    """The folder or the service cannot be reached or refuses to work now."""

    code = "OBJECTS_UNAVAILABLE"


class ObjectInfo(msgspec.Struct, frozen=True):
    """``etag`` changes whenever the content does."""

    key: str
    size: int
    etag: str
    modified_ns: int


class Objects(Protocol):
    async def put(self, key: str, data: bytes, *, create_only: bool = False) -> ObjectInfo:
        """Raises ObjectExists when ``create_only`` and the key is taken; of two at once exactly one wins."""
        ...

    async def get(self, key: str) -> bytes: ...

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end); shorter at the object's end."""
        ...

    async def info(self, key: str) -> ObjectInfo: ...

    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Every object whose key starts with ``prefix``, in key order."""
        ...

    async def delete(self, key: str) -> bool: ...

    async def close(self) -> None: ...
