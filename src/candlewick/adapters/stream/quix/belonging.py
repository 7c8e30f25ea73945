"""Which life of its changelogs the state on disk belongs to.

A changelog that was deleted and made anew under its name, as when a shadow is dropped and begun again, has other
records at the offsets that the state knows. Quix compares offsets alone and would go on with the old state.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from candlewick.adapters._kafka.admin import Admin

_FILE: Final = "changelogs.json"


class Belonging:
    """Beside one member's state. The file holds the brokers' id of each changelog. Raises what the brokers' refusal or
    silence raises."""

    def __init__(self, admin: Admin, folder: Path, changelogs: Sequence[str]) -> None:
        self._admin, self._file, self._changelogs = admin, folder / _FILE, tuple(changelogs)

    def is_strange(self) -> bool:
        """Whether a changelog is not the one that it was."""
        kept = self._kept()
        return bool(kept) and any(kept.get(name, now) != now for name, now in self._lives().items())

    def keep(self) -> None:
        """The state belongs to the changelogs that are there."""
        kept = self._kept()
        if kept.keys() >= set(self._changelogs):
            return
        # Where there is no room for this there is none for a state.
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            new = self._file.with_suffix(".new")
            new.write_text(json.dumps(kept | self._lives()))
            new.replace(self._file)

    def _lives(self) -> dict[str, str]:
        return {name: str(one.topic_id) for name, one in self._admin.topics(self._changelogs).items()}

    def _kept(self) -> dict[str, str]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
