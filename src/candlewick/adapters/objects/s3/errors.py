"""The client's errors as the port's. It tells most of them apart by their text alone."""

from typing import Final

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from candlewick.kernel.errors import CandlewickError, StorageFull
from candlewick.ports.objects import ObjectNotFound, ObjectsUnavailable

_NO_ROOM: Final = ("507 Insufficient Storage", "<Code>QuotaExceeded", "<Code>XMinioStorageFull")
_NO_BUCKET: Final = "<Code>NoSuchBucket"
_NO_RANGE: Final = "416 Range Not Satisfiable"


def is_beyond_the_end(error: BaseException) -> bool:
    """Whether a range was asked for that begins at the object's end or behind it."""
    return _NO_RANGE in str(error)


def is_no_bucket(error: BaseException) -> bool:
    """Whether the server says that it has no such bucket."""
    return _NO_BUCKET in str(error)


def translated(error: BaseException, key: str) -> CandlewickError:
    """What to raise instead."""
    text = str(error)
    if is_no_bucket(error):
        return no_bucket(key)
    if isinstance(error, FileNotFoundError):
        return ObjectNotFound(f"no such object, was {key!r}")
    if any(sign in text for sign in _NO_ROOM):
        return StorageFull(
            f"no room to keep the object, was {key!r}", hint="Free space on the server; what was accepted is safe"
        )
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return ObjectsUnavailable(
            f"the object server refuses these credentials, was {key!r}", hint="Check the access key and its rights"
        )
    # What follows is the client's own dump of itself.
    reason = text.partition("\n\nDebug source:")[0].strip()
    return ObjectsUnavailable(f"the object server cannot be used: {reason}")


def no_bucket(key: str) -> ObjectsUnavailable:
    """There is no bucket where the object should be."""
    return ObjectsUnavailable(f"there is no such bucket to hold the object, was {key!r}", hint="Make the bucket first")
