"""Which group is at work, once one version has taken over from another."""

from collections.abc import Mapping
from typing import Final

from candlewick.adapters._kafka.admin import Place
from candlewick.adapters.stream.quix.looking import Look
from candlewick.kernel.errors import Conflict

_HERE: Final = 0
_GONE: Final = 1


class HandedOver(Conflict):
    """Another version has gone on where this group stopped: at work it would write again what that one has written."""

    code = "HANDED_OVER"


def mark(group: str) -> str:
    """The group whose one position says whether another has taken over."""
    return f"{group}.left"


def marks(old: str, new: str, place: Place) -> Mapping[str, Mapping[Place, int]]:
    """By group: what is committed where the new one takes over from the old one; ``place`` is any of the input's."""
    return {mark(old): {place: _GONE}, mark(new): {place: _HERE}}


def check_at_work(look: Look, group: str, place: Place) -> None:
    """Raises HandedOver."""
    if look.committed(mark(group), [place])[place] == _GONE:
        raise HandedOver(
            f"another version has taken over from this group, was {group!r}",
            hint="Set cluster.stream_group to the group at work; 'candlewick shadow' is the way back, too",
        )
