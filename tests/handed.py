"""Runs a test's own functions as jobs of other processes: what the worker is given is a stub that asks back here.

So a suite whose functions share events and lists with the test can be run on an adapter that really hands jobs to
processes elsewhere. A worker that is killed leaves nobody who could report: what is left of its function here is
interrupted, and told so (Fenced) when it tries.
"""

import asyncio
import functools
import pickle

from candlewick.kernel.errors import Fenced
from candlewick.ports.jobs import JobCancelled


async def _receive(reader):
    return pickle.loads(await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big")))


def _send(writer, value):
    data = pickle.dumps(value)
    writer.write(len(data).to_bytes(4, "big") + data)


async def handed(host, port, name, context, args):
    """The stub, in the worker."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        _send(writer, (name, dict(args), context.checkpoint))
        while True:
            said, *rest = await _receive(reader)
            if said == "done":
                return rest[0]
            if said == "raised":
                raise rest[0]
            try:
                await context.report(rest[0], rest[1], checkpoint=rest[2])
                answer = None
            except (JobCancelled, Fenced) as error:
                answer = error
            _send(writer, answer)
    finally:
        writer.close()


class _Context:
    def __init__(self, writer, checkpoint):
        self._writer, self.checkpoint = writer, checkpoint
        self.answers = asyncio.Queue()
        self.is_lost = False

    async def report(self, progress, note="", *, checkpoint=None):
        if self.is_lost:
            raise Fenced("the process of this worker was ended")
        _send(self._writer, ("report", progress, note, checkpoint))
        answer = await self.answers.get()
        if answer is not None:
            raise answer


class Desk:
    """The test's side."""

    def __init__(self):
        self._functions, self._server, self._tasks = [], None, set()

    async def open(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stub(self, function):
        """What to register in place of the function."""
        self._functions.append(function)
        host, port = self._server.sockets[0].getsockname()
        return functools.partial(handed, host, port, len(self._functions) - 1)

    async def _serve(self, reader, writer):
        name, args, checkpoint = await _receive(reader)
        context = _Context(writer, checkpoint)
        task = asyncio.ensure_future(self._run(self._functions[name], context, args, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while True:
                context.answers.put_nowait(await _receive(reader))
        except (asyncio.IncompleteReadError, ConnectionError):
            context.is_lost = True
            context.answers.put_nowait(Fenced("the process of this worker was ended"))
            task.cancel()
        finally:
            writer.close()

    async def _run(self, function, context, args, writer):
        try:
            said = ("done", await function(context, args))
        except Exception as error:
            said = ("raised", error)
        _send(writer, said)
