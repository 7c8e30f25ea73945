"""A service process as a supervisor sees it, small and quick: answers HTTP with its name, does as the words say.

Run as ``PYTHON supervised.py [what goes wrong]``-like interpreter: the supervisor calls ``PYTHON -m
candlewick.app.cli.main run SERVICE ... --member NAME --handover FD``, and this takes the place of the whole.
"""

import asyncio
import contextlib
import os
import sys
from pathlib import Path

from candlewick.app.cluster.handover import TRY_AGAIN, Handover

SCRIPT = '#!/bin/sh\nexec "{python}" "{file}" "{version}" "{fault}" "{trace}" "$@"\n'


def interpreter(folder: Path, version: str, fault: str = "") -> str:
    """A stand-in for an interpreter that has ``version`` installed. ``fault``: dies, never-ready, never-level,
    dies-once, passing, ends-when-serving."""
    file = folder / f"python-{version}{fault and '-'}{fault}"
    text = SCRIPT.format(python=sys.executable, file=__file__, version=version, fault=fault, trace=folder / "trace")
    file.write_text(text)
    file.chmod(0o755)
    return str(file)


def trace(folder: Path) -> list[str]:
    """What the processes said of their lives, in order."""
    file = folder / "trace"
    return file.read_text().splitlines() if file.exists() else []


class Answering:
    """Answers each request with the version; one of ``/slow`` after a second."""

    def __init__(self, listener, version):
        self.listener, self.version = listener, version
        self.busy = 0

    async def start(self):
        self.server = await asyncio.start_server(self.answer, sock=self.listener)

    async def answer(self, reader, writer):
        self.busy += 1
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            if b"/slow" in asked:
                await asyncio.sleep(1)
            body = f'{{"version": "{self.version}", "status": "ready"}}'.encode()
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.busy -= 1
            writer.close()

    async def stop(self):
        self.server.close()

    async def leave(self, closed):
        self.server.close()
        closed()
        while self.busy:
            await asyncio.sleep(0.01)


async def main(version, fault, file, member, descriptor):
    def say(what):
        with Path(file).open("a") as out:
            out.write(f"{member} {version} {what}\n")

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(15, stop.set)
    handover = Handover(descriptor, stop)
    own = Answering(await handover.own_listener(), version)
    say("begins")
    print(f"{version} was begun", flush=True)
    if fault == "dies":
        print("it has no heart", flush=True)
        return 3
    if fault in {"dies-once", "passing"} and not Path(file + fault).exists():
        Path(file + fault).touch()
        return TRY_AGAIN
    if not await handover.may_start():
        say("never works")
        return 0
    say("works")
    if fault == "never-ready":
        return 4
    await own.start()

    async def caught_up():
        if fault == "never-level":
            await asyncio.Event().wait()
        say("level")

    def serving(listener):
        say("serves")
        if fault == "ends-when-serving":
            loop.call_later(0.3, os._exit, 9)
        return Answering(listener, version)

    await handover.serve(caught_up(), serving)
    say("ends")
    return 0


if __name__ == "__main__":
    words = sys.argv[4:]
    named = {words[at]: words[at + 1] for at in range(len(words) - 1)}
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main(*sys.argv[1:4], named["--member"], int(named["--handover"]))))
