"""Which version each service of this machine was switched to, written down for the next start."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from candlewick.kernel.errors import Conflict, Corrupt, Rejected

#: In the data dir of ``up``.
FILE: Final = "cluster/versions.json"
_ASK_WITHIN_S: Final = 60.0
_FORGET: Final = "--forget-versions"


class BadInterpreter(Rejected):
    """What --python or --venv names cannot run Candlewick."""

    code = "BAD_INTERPRETER"


class VersionGone(Conflict):
    """The version that a service was switched to is no longer there, so its service cannot be begun."""

    code = "VERSION_GONE"


class VersionsUnreadable(Corrupt):
    """The file that says which version each service was switched to cannot be read."""

    code = "VERSIONS_UNREADABLE"


class Version(msgspec.Struct, frozen=True):
    """What a service runs, and what it goes back to (None: nothing), as paths of interpreters."""

    python: str
    before: str | None = None


class Versions:
    """The services that were ever switched, in ``file``. A service that is not in it runs what ``up`` runs."""

    def __init__(self, file: Path) -> None:
        """Raises VersionsUnreadable."""
        self._file = file
        self._known: dict[str, Version] = {}
        try:
            self._known = msgspec.json.decode(file.read_bytes(), type=dict[str, Version])
        except FileNotFoundError:
            pass
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise VersionsUnreadable(
                f"the versions that services were switched to cannot be read ({error}), was {str(file)!r}",
                hint=f"Start with {_FORGET} to run every service with the version of 'candlewick up' itself",
            ) from None

    def of(self, service: str) -> Version | None:
        return self._known.get(service)

    def keep(self, service: str, version: Version) -> None:
        """All or nothing, whenever the machine stops. Raises OSError; then the file is as it was."""
        known = {**self._known, service: version}
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._file.with_suffix(".new")
        with new.open("wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(known), indent=1))
            out.flush()
            os.fsync(out.fileno())
        new.replace(self._file)
        self._known = known

    def elsewhere(self, services: Sequence[str], own: str) -> dict[str, list[str]]:
        """Those of ``services`` that run another interpreter than ``own``, by its path."""
        found: dict[str, list[str]] = {}
        for name in services:
            if (kept := self._known.get(name)) is not None and kept.python != own:
                found.setdefault(kept.python, []).append(name)
        return found


def remembered(file: Path, services: Sequence[str], own: str, *, forget: bool) -> tuple[Versions, list[str]]:
    """What ``file`` says, nothing any more with ``forget``; and a line for people about each version that is not
    ``own``. Asks each of these interpreters. Raises VersionGone, VersionsUnreadable, OSError."""
    if forget:
        file.unlink(missing_ok=True)
    known = Versions(file)
    lines = []
    for python, names in known.elsewhere(services, own).items():
        who, is_one = ", ".join(names), len(names) == 1
        try:
            version = version_of(python)
        except BadInterpreter as error:
            raise VersionGone(
                f"{who} {'was' if is_one else 'were'} switched to a version that is gone: {error.detail}",
                hint=f"Put it back, or start with {_FORGET} to run every service with {own}",
            ) from None
        run = "runs" if is_one else "run"
        lines.append(f"{who} {run} Candlewick {version} of {python}, as switched to ({_FORGET} ends that)")
    return known, lines


def version_of(python: str) -> str:
    """The version of Candlewick that an interpreter has installed; blocks for up to a minute. Raises BadInterpreter."""
    asked = [python, "-c", "import candlewick; print(candlewick.__version__)"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_ASK_WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadInterpreter(f"this cannot be run ({error}), was {python!r}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise BadInterpreter(f"Candlewick is not installed there ({last}), was {python!r}")
    return done.stdout.strip()
