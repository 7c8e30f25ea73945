"""Keys as the server names them, and back; both ways the order of keys is kept, so a listing streams.

``plain`` names an object by its key, as S3 itself does. ``folders`` is for servers that keep objects as files below
folders (versitygw): there ``a`` and ``a/b`` could not both be, and no part could pass a file name's 255 bytes. So every
name ends in ``!``, which sorts before all that a key may hold, and a part longer than 200 is cut, each piece but the
last ending in ``+`` or ``~``: whichever keeps what follows on the same side of ``/``.
"""

import re
from typing import Literal

from candlewick.ports.objects import BadObjectKey

Style = Literal["plain", "folders"]

_KEY = re.compile(r"[A-Za-z0-9._=-]+(?:/[A-Za-z0-9._=-]+)*", re.ASCII)
_PREFIX = re.compile(r"(?:[A-Za-z0-9._=-]+/)*[A-Za-z0-9._=-]*", re.ASCII)
_CUT = re.compile(r"[+~]/")
_LONGEST_KEY = 512
_PIECE = 200
_END = "!"
_BEFORE_SLASH = "-."


def name_of(key: str, style: Style) -> str:
    """What the server calls the object. Raises BadObjectKey."""
    if not 1 <= len(key) <= _LONGEST_KEY or _KEY.fullmatch(key) is None or {".", ".."} & set(key.split("/")):
        raise BadObjectKey(
            f"a key is 1 to {_LONGEST_KEY} characters of [A-Za-z0-9._=-] in parts divided by '/', was {key!r}"
        )
    return key if style == "plain" else _cut(key) + _END


def key_of(name: str, style: Style) -> str | None:
    """The key of an object; None for an object of somebody else's."""
    if style == "folders":
        if not name.endswith(_END):
            return None
        name = _CUT.sub("", name[:-1])
    return name if len(name) <= _LONGEST_KEY and _KEY.fullmatch(name) else None


def span_of(prefix: str, style: Style) -> tuple[str | None, str | None] | None:
    """Where to list: the folder that holds every name with the prefix, and a name that sorts right before them all
    (None: from the start). None when no key can have the prefix."""
    if _PREFIX.fullmatch(prefix) is None or len(prefix) > _LONGEST_KEY:
        return None
    start = prefix if style == "plain" else _cut(prefix)
    folder = start.rpartition("/")[0] or None
    if not start or start.endswith("/"):
        return folder, None
    # '~' sorts after all that a key may hold.
    return folder, f"{start[:-1]}{chr(ord(start[-1]) - 1)}~"


def _cut(key: str) -> str:
    return "/".join(_cut_part(part) for part in key.split("/"))


def _cut_part(part: str) -> str:
    pieces = [part[i : i + _PIECE] for i in range(0, len(part), _PIECE)]
    cut = pieces[:1]
    for piece in pieces[1:]:
        cut.append(f"{'+' if piece[0] in _BEFORE_SLASH else '~'}/{piece}")
    return "".join(cut)
