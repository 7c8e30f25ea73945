"""Keys to paths and back.

A key's parts are folders and its last part is a file whose name ends in ``~``, so that ``a`` and ``a/b`` can both be
there. A part longer than file systems allow (255 bytes) is cut; every piece but the last is a folder ending in ``+``.
Neither sign can be in a key.
"""

import re
from pathlib import Path, PurePosixPath

from candlewick.ports.objects import BadObjectKey

_KEY = re.compile(r"[A-Za-z0-9._=-]+(?:/[A-Za-z0-9._=-]+)*", re.ASCII)
_LONGEST_KEY = 512
_PIECE = 200


def path_of(key: str) -> PurePosixPath:
    """Where an object lies below the folder. Raises BadObjectKey."""
    if not 1 <= len(key) <= _LONGEST_KEY or _KEY.fullmatch(key) is None or {".", ".."} & set(key.split("/")):
        raise BadObjectKey(
            f"a key is 1 to {_LONGEST_KEY} characters of [A-Za-z0-9._=-] in parts divided by '/', was {key!r}"
        )
    pieces: list[str] = []
    for part in key.split("/"):
        cut = [part[i : i + _PIECE] for i in range(0, len(part), _PIECE)]
        pieces.extend(f"{piece}+" for piece in cut[:-1])
        pieces.append(cut[-1])
    return PurePosixPath(*pieces[:-1], f"{pieces[-1]}~")


def key_of(path: Path) -> str | None:
    """The key of a file below the folder; None for a file that is no object."""
    name = path.as_posix()
    return name[:-1].replace("+/", "") if name.endswith("~") else None


def folder_of(prefix: str) -> PurePosixPath:
    """The deepest folder that holds every key with this prefix."""
    folder = prefix.rpartition("/")[0]
    if not folder or _KEY.fullmatch(folder) is None or {".", ".."} & set(folder.split("/")):
        return PurePosixPath()
    # The last piece of a part is a folder without a sign when something follows it.
    return PurePosixPath(str(path_of(folder[:_LONGEST_KEY]))[:-1])
