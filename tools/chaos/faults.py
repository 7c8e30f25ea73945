"""How each kind of fault is brought about and undone."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from tools.chaos.disk import Disk
from tools.chaos.ground import Ground
from tools.chaos.links import Links
from tools.chaos.product import Product
from tools.chaos.schedule import Fault

#: A stand-in works so long beside the one it stands in for, before that one wakes and after.
_STANDS_S, _OVERLAP_S = 3.0, 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What faults are done to."""

    ground: Ground
    links: Links
    product: Product
    disk: Disk


class Trial:
    """One fault, from ``begin`` to ``end``; ``since`` is the instant from which recovery counts: the blow itself where
    the product is to get over it alone, else when the fault ends."""

    def __init__(self, fault: Fault, stage: Stage) -> None:
        self.fault, self._stage = fault, stage
        self.since = 0.0
        self._undo: list[Callable[[], Awaitable[None]]] = []

    async def run(self) -> None:
        """To its end, whatever happens in between."""
        try:
            self.since = time.monotonic()
            await getattr(self, "_" + self.fault.kind.replace("-", "_"))()
        finally:
            for undo in self._undo:
                await undo()

    async def _kill(self) -> None:
        await self._stage.product.kill_service(self.fault.target)

    async def _kill_broker(self) -> None:
        ground, name = self._stage.ground, self.fault.target
        self._undo.append(lambda: ground.begin(name))
        await ground.kill(name)
        await asyncio.sleep(self.fault.seconds)

    async def _hang_broker(self) -> None:
        stage, name = self._stage, self.fault.broker
        await stage.ground.pause(name)
        self._undo.append(lambda: stage.ground.begin(name))
        try:
            await asyncio.sleep(self.fault.seconds)
            await stage.product.kill_service(self.fault.target)
        finally:
            self.since = time.monotonic()
            await stage.ground.kill(name)

    async def _pause(self) -> None:
        product = self._stage.product
        begin = time.monotonic()
        paused = await product.pause(self.fault.target)
        beside: subprocess.Popen[bytes] | None = None
        try:
            beside = await product.stand_in(self.fault.target)
            spent = time.monotonic() - begin
            await asyncio.sleep(max(self.fault.seconds - spent, _STANDS_S))
        finally:
            await self._wake(paused, beside)

    async def _wake(self, paused: psutil.Process, beside: "subprocess.Popen[bytes] | None") -> None:
        product = self._stage.product
        self.since = time.monotonic()
        product.resume(paused)
        if beside is not None:
            await asyncio.sleep(_OVERLAP_S)
            await product.dismiss(beside)

    async def _cut(self) -> None:
        links, name = self._stage.links, self.fault.target
        await links.cut(name, self.fault.manner)
        try:
            await asyncio.sleep(self.fault.seconds)
        finally:
            self.since = time.monotonic()
            await links.mend(name)

    async def _fill_disk(self) -> None:
        disk = self._stage.disk
        await asyncio.to_thread(disk.fill)
        try:
            await asyncio.sleep(self.fault.seconds)
        finally:
            self.since = time.monotonic()
            disk.free()

    async def _restart(self) -> None:
        await self._stage.ground.restart(self.fault.target)
