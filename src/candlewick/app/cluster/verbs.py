"""What a running ``up --profile cluster`` can be asked for at its control door, and what it shows of its processes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from candlewick.app.cluster.child import LEVEL_WITHIN_S
from candlewick.app.cluster.supervisor import Supervisor
from candlewick.app.control.door import Answer, Say
from candlewick.app.control.logs import FOLDER, LogFile, Terminal
from candlewick.kernel.errors import Retryable


class StillStarting(Retryable):
    """``up`` has not begun its services yet."""

    code = "STILL_STARTING"


def verbs(supervisor: Callable[[], Supervisor]) -> Mapping[str, Answer]:
    """``supervisor`` raises StillStarting while there is none."""

    async def status(asked: Mapping[str, Any], _: Say) -> Any:
        return {"services": await supervisor().status(asked.get("service"))}

    async def switch(asked: Mapping[str, Any], say: Say) -> Any:
        within_s = float(asked.get("within_s") or LEVEL_WITHIN_S)
        await supervisor().switch(str(asked.get("service")), asked.get("python"), say, within_s=within_s)
        return await status(asked, say)

    async def rollback(asked: Mapping[str, Any], say: Say) -> Any:
        within_s = float(asked.get("within_s") or LEVEL_WITHIN_S)
        await supervisor().rollback(str(asked.get("service")), say, within_s=within_s)
        return await status(asked, say)

    return {"status": status, "switch": switch, "rollback": rollback}


class Shown:
    """What the processes print, on this process's standard error and in a file a service."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER
        self._terminal = Terminal(sys.stderr)
        self._files: dict[str, LogFile] = {}

    def write(self, service: str, lines: bytes) -> None:
        """Whole lines of one of the service's processes."""
        self._terminal.write(lines)
        if service not in self._files:
            self._files[service] = LogFile(self._folder / f"{service}.log")
        self._files[service].write(lines)

    def close(self) -> None:
        self._terminal.close()
        for file in self._files.values():
            file.close()
