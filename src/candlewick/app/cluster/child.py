"""One service on one machine: somebody always serves it, and one version takes over from another without a break."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from candlewick.app.cluster.handover import CLOSED, GO, LEAVE, LEVEL, READY, SERVE, SERVING, TRY_AGAIN, WARM
from candlewick.app.cluster.life import Life, ProcessFailed, Recipe
from candlewick.kernel.errors import CandlewickError, Conflict, Fatal
from candlewick.kernel.logging import logger

_AGAIN_FIRST_S: Final = 0.5
_AGAIN_MOST_S: Final = 30.0
_FIRST_TRIES: Final = 5
_WELL_S: Final = 60.0
# Longer than this nobody shall wait in a queue that nobody takes from.
_QUEUE_S: Final = 1.0
LEVEL_WITHIN_S: Final = 120.0
_CLOSED_WITHIN_S: Final = 5.0

Say = Callable[[str], None]


class SwitchFailed(Fatal):
    """The new version did not come to serve; the old one serves on."""

    code = "SWITCH_FAILED"


class NothingToRollBack(Conflict):
    """The service was never switched, or was rolled back already."""

    code = "NOTHING_TO_ROLL_BACK"


class Child:
    """A process that is begun again when it ends by itself: at once, and later and later while it ends soon.
    ``listener`` is the service's port; it is handed to whoever serves."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        listener: socket.socket,
        show: Callable[[bytes], None],
        *,
        in_turn: bool,
        before: Recipe | None = None,
        on_switch: Callable[["Child", Say], None] = lambda *_: None,
    ) -> None:
        """``in_turn``: there may be one at a time, so the old one ends before the new one begins its work.
        ``before`` is what there is to go back to; ``on_switch`` is told as soon as another recipe serves."""
        self.name, self.recipe, self.in_turn = name, recipe, in_turn
        self.before, self._on_switch = before, on_switch
        self.life: Life | None = None
        self.coming: Life | None = None
        self.starts = 0
        self._listener, self._show = listener, show
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._log = logger("supervisor")

    def _new(self, recipe: Recipe, member: str) -> Life:
        """Not begun. ``member`` is stable over restarts: a new life has the seat of the one before it at once."""
        return Life(self.name, recipe, member, self._show)

    async def start(self) -> None:
        """Returns when it serves. Raises ProcessFailed. A process that ends because of something that may pass, such as
        a broker that does not know a new topic yet, is begun again a few times."""
        async with self._changing:
            for left in reversed(range(_FIRST_TRIES)):
                try:
                    await self._begin()
                    break
                except ProcessFailed:
                    life = self.life
                    if not left or life is None or not life.ended.done() or life.ended.result() != TRY_AGAIN:
                        raise
                    await life.end()
                    await asyncio.sleep(_AGAIN_FIRST_S)
        self._keeper = asyncio.ensure_future(self._keep())

    async def _begin(self) -> None:
        self.starts += 1
        life = self.life = self._new(self.recipe, self.life.member if self.life is not None else self.name)
        await life.begin()
        await life.until(WARM)
        life.say(GO)
        await life.until(READY)
        life.say(SERVE, self._listener)
        await life.until(SERVING)

    async def _keep(self) -> None:
        delay = 0.0
        loop = asyncio.get_running_loop()
        while True:
            life, seen = self.life, loop.time()
            assert life is not None
            status = await asyncio.shield(life.ended)
            if self.life is not life:
                continue
            if loop.time() - seen > _WELL_S:
                delay = 0.0
            if not life.is_leaving:
                self._log.error("a service's process ended", of=self.name, status=status, again_in_s=delay)
                await self._pause(delay)
                delay = min(max(delay * 2, _AGAIN_FIRST_S), _AGAIN_MOST_S)
            async with self._changing:
                if self.life is not life:
                    continue
                await life.end()
                try:
                    await self._begin()
                except ProcessFailed as error:
                    self._log.error("a service's process did not come up", of=self.name, detail=error.detail)
                    await self.life.end()
                    self.life.is_leaving = False

    async def _pause(self, seconds: float) -> None:
        """Connections wait a moment in the port's queue; whoever comes later is turned away at once."""
        await asyncio.sleep(min(seconds, _QUEUE_S))
        if seconds <= _QUEUE_S:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._listener, self._turn_away)
        try:
            await asyncio.sleep(seconds - _QUEUE_S)
        finally:
            loop.remove_reader(self._listener)

    def _turn_away(self) -> None:
        with suppress(OSError):
            while True:
                self._listener.accept()[0].close()

    async def switch(self, recipe: Recipe, say: Say, *, within_s: float = LEVEL_WITHIN_S) -> None:
        """Have ``recipe`` serve in place of what does now, which is kept for ``rollback``. It has ``within_s``
        to catch up with the log. Raises SwitchFailed, and Conflict while another switch is on its way."""
        await self._switch(recipe, self.recipe, say, within_s)

    async def _switch(self, recipe: Recipe, before: Recipe | None, say: Say, within_s: float) -> None:
        if self._changing.locked():
            raise Conflict(f"service {self.name} is being begun or switched already", hint="Look with 'deploy status'")
        async with self._changing:
            old = self.life
            assert old is not None
            # Two that run at once have different names in the service's groups.
            new = self.coming = self._new(recipe, f"{self.name}-2" if old.member == self.name else self.name)
            try:
                await self._take_over(old, new, say, within_s)
            except CandlewickError as error:
                new.is_leaving = True
                await new.end()
                kept = "the one before serves on" if not old.ended.done() else "the one before is begun again"
                raise SwitchFailed(f"{error.detail}; {kept}", hint=error.hint) from None
            finally:
                self.coming = None
            self.life, self.before, self.recipe = new, before, recipe
            say(f"{self.name}: process {new.pid} serves")
            self._on_switch(self, say)
            if not self.in_turn:
                # Both serve until here; what is in hand and every open socket is still the old one's.
                await self._leave(old, say)

    async def _take_over(self, old: Life, new: Life, say: Say, within_s: float) -> None:
        await new.begin()
        say(f"{self.name}: process {new.pid} begins, at http://{new.at[0]}:{new.at[1]} for whoever wants to look")
        await new.until(WARM)
        if self.in_turn:
            say(f"{self.name}: there is one at a time, so process {old.pid} ends first; connections wait meanwhile")
            await self._leave(old, say)
        new.say(GO)
        await new.until(READY)
        if not self.in_turn:
            say(f"{self.name}: process {new.pid} is ready and catches up with the log")
            await new.until(LEVEL, within_s)
        new.say(SERVE, self._listener)
        await new.until(SERVING)

    async def _leave(self, old: Life, say: Say) -> None:
        old.is_leaving = True
        old.say(LEAVE)
        with suppress(ProcessFailed):  # it has ended by itself, or does so soon
            await old.until(CLOSED, _CLOSED_WITHIN_S)
            say(f"{self.name}: process {old.pid} takes no new connection and finishes what it has in hand")
        status = await old.end(politely=True)
        say(f"{self.name}: process {old.pid} ended{f' with {status}' if status else ''}")

    async def rollback(self, say: Say, *, within_s: float = LEVEL_WITHIN_S) -> None:
        """Back to what served before the last switch. Raises NothingToRollBack, SwitchFailed, Conflict."""
        if self.before is None:
            raise NothingToRollBack(
                f"service {self.name} has nothing to go back to",
                hint="It was never switched, or was rolled back",
            )
        await self._switch(self.before, None, say, within_s)

    async def stop(self) -> int:
        """Exit status of what served."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self.coming is not None:
            await self.coming.end()
        return await self.life.end() if self.life is not None else 0

    def status(self) -> dict[str, Any]:
        """Its processes, as ``candlewick deploy status`` tells them, without what only they know."""
        lives = [("serves", self.life), ("comes", self.coming)]
        return {
            "service": self.name,
            "starts": self.starts,
            "before": self.before.python if self.before is not None else None,
            "processes": [
                {"role": role, **life.told()} for role, life in lives if life is not None and not life.ended.done()
            ],
        }
