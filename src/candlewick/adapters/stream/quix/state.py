"""Hot and cold state of a key as bytes in Quix's store.

Every value has a format byte in front. Quix takes a restored store whose values all begin with 8 bytes that could be
a time of expiry (0 < ms < 10^15, big-endian) for one of an older version of its own and strips them; with a first
byte of 1 no value can be read so (quixstreams 3.28.1, state/rocksdb/partition.py, ``complete_recovery``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from candlewick.kernel.errors import Corrupt

_FORMAT = b"\x01"
_HOT = b"h"
_COLD = b"c"


class StateCorrupt(Corrupt):
    """A stored state is not of a format that this version writes."""

    code = "STATE_CORRUPT"


class QuixState(Protocol):
    """What is used of ``quixstreams.State``: entries of one message key."""

    def get_bytes(self, key: bytes) -> bytes | None: ...

    def set_bytes(self, key: bytes, value: bytes) -> None: ...

    def delete(self, key: bytes) -> None: ...


class StoredKey:
    """Keeps ``_messages.KeyState``. Raises StateCorrupt."""

    __slots__ = ("_state",)

    def __init__(self, state: QuixState) -> None:
        self._state = state

    def hot(self) -> bytes | None:
        return self._get(_HOT)

    def cold(self, names: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        return {name: self._get(_COLD + name) for name in names}

    def put(self, hot: bytes, cold: Mapping[bytes, bytes | None]) -> None:
        self._state.set_bytes(_HOT, _FORMAT + hot)
        for name, value in cold.items():
            if value is None:
                self._state.delete(_COLD + name)
            else:
                self._state.set_bytes(_COLD + name, _FORMAT + value)

    def _get(self, name: bytes) -> bytes | None:
        stored = self._state.get_bytes(name)
        if stored is None:
            return None
        if stored[:1] != _FORMAT:
            raise StateCorrupt(f"a stored state must begin with {_FORMAT!r}, was {stored[:8]!r}")
        return stored[1:]


class Files:
    """The state's files as an engine opens them. Where RocksDB cannot close one in order, as on a full disk, it stays
    locked for as long as anything holds it, and no later engine of this process could open it."""

    def __init__(self, stores: Any) -> None:
        """``stores``: Quix's manager of them, before the first partition is assigned."""
        self._opened: list[Any] = []
        for store in (one for named in stores.stores.values() for one in named.values()):
            store.create_new_partition = self._noting(store.create_new_partition)

    def _noting(self, make: Callable[[int], Any]) -> Callable[[int], Any]:
        def noted(partition: int) -> Any:
            made = make(partition)
            self._opened.append(made)
            return made

        return noted

    def release(self) -> None:
        """Let go of all of them, closed or not. What was not flushed lies in their own logs."""
        for one in self._opened:
            one._cf_cache, one._cf_handle_cache, one._db = {}, {}, None
        self._opened.clear()
