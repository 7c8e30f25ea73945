"""One process a service on this machine: started, looked after, switched to another version, stopped in order."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from candlewick.app.cluster.child import Child, Say
from candlewick.app.cluster.life import ProcessFailed, Recipe
from candlewick.app.cluster.versions import Version, Versions
from candlewick.app.http.server import bind
from candlewick.app.registry import UnknownService

_ASK_WITHIN_S: Final = 3.0
_MOST_BYTES: Final = 1 << 20


class Supervisor:
    """Services in the order of their start. Their ports are bound here, before anything is begun, and stay bound."""

    def __init__(
        self,
        recipes: Mapping[str, Recipe],
        ports: Mapping[str, tuple[str, int]],
        show: Callable[[str, bytes], None],
        versions: Versions,
        *,
        in_turn: frozenset[str] = frozenset(),
    ) -> None:
        """``recipes`` are of the version that this process runs; a service that ``versions`` remembers is begun with
        the one it was switched to. ``show`` gets what each service's processes print. Raises PortTaken."""
        self._own = {name: recipe.python for name, recipe in recipes.items()}
        self._versions = versions
        self._listeners: dict[str, socket.socket] = {}
        try:
            for name in recipes:
                self._listeners[name] = bind(*ports[name])
        except BaseException:
            self._close()
            raise
        self.children: dict[str, Child] = {}
        for name, own in recipes.items():
            kept = versions.of(name)
            self.children[name] = Child(
                name,
                own if kept is None else own.of(kept.python),
                self._listeners[name],
                partial(show, name),
                in_turn=name in in_turn,
                before=own.of(kept.before) if kept is not None and kept.before is not None else None,
                on_switch=self._remember,
            )

    def _remember(self, child: Child, say: Say) -> None:
        """What serves now is what the next start begins. The same version in a new process is no choice of one."""
        python, before = child.recipe.python, child.before.python if child.before is not None else None
        if python == self._own[child.name] and self._versions.of(child.name) is None:
            return
        try:
            self._versions.keep(child.name, Version(python, before))
        except OSError as error:
            say(f"{child.name}: this cannot be written down ({error}), so the next start does not know of it")

    async def start(self) -> None:
        """All at once; returns when every one serves. Raises ProcessFailed."""
        begun = [asyncio.ensure_future(child.start()) for child in self.children.values()]
        try:
            await asyncio.gather(*begun)
        except ProcessFailed:
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)
            raise

    async def stop(self) -> dict[str, int]:
        """In reverse, one after the other; exit statuses by service."""
        try:
            return {name: await self.children[name].stop() for name in reversed(self.children)}
        finally:
            self._close()

    def _close(self) -> None:
        for listener in self._listeners.values():
            listener.close()

    def child(self, service: str) -> Child:
        """Raises UnknownService."""
        if service not in self.children:
            raise UnknownService(f"service must be one of {', '.join(self.children)}, was {service!r}")
        return self.children[service]

    async def switch(self, service: str, python: str | None, say: Say, *, within_s: float) -> None:
        """The version that ``python`` has installed takes over, the same one when None; it has ``within_s`` to catch up
        with the log. Raises UnknownService, SwitchFailed, Conflict."""
        child = self.child(service)
        await child.switch(child.recipe.of(python or child.recipe.python), say, within_s=within_s)

    async def rollback(self, service: str, say: Say, *, within_s: float) -> None:
        """Raises UnknownService, NothingToRollBack, SwitchFailed, Conflict."""
        await self.child(service).rollback(say, within_s=within_s)

    async def status(self, service: str | None = None) -> list[dict[str, Any]]:
        """Every service's processes, with version and state as each tells itself. Raises UnknownService."""
        names = [service] if service is not None else list(self.children)
        found = [self.child(name).status() | {"next_start": self._next_start(name)} for name in names]
        processes = [process for one in found for process in one["processes"]]
        told = await asyncio.gather(*(_health(*process["at"]) for process in processes))
        for process, health in zip(processes, told, strict=True):
            process |= {name: health.get(name, "") for name in ("version", "status", "detail")}
        return found

    def _next_start(self, service: str) -> str | None:
        """The interpreter that the next start begins it with; None when that is whatever ``up`` runs itself."""
        kept = self._versions.of(service)
        return kept.python if kept is not None else None


async def _health(host: str, port: int) -> dict[str, Any]:
    """What a process says of itself; nothing when it does not answer in time."""
    try:
        async with asyncio.timeout(_ASK_WITHIN_S):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(f"GET /health/detailed HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                _, _, body = (await reader.read(_MOST_BYTES)).partition(b"\r\n\r\n")
                while piece := await reader.read(_MOST_BYTES):
                    body += piece
            finally:
                writer.close()
        found = msgspec.json.decode(body)
    except (OSError, TimeoutError, msgspec.MsgspecError):
        return {}
    return found if isinstance(found, dict) else {}
