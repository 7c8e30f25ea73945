"""A server that leaves while another takes its connections: nobody it serves gets an error."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from candlewick.app.http import server as servers
from candlewick.app.http.server import Server, bind


class App:
    """Tells who answers; a socket stays open until the other side or the server ends it."""

    def __init__(self, name):
        self.name, self.finish = name, asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        if scope["path"] == "/slow":
            await self.finish.wait()
        body = self.name.encode()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Asker:
    """One kept connection."""

    def __init__(self, port):
        self.port = port

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def ask(self, path="/"):
        """Head and body."""
        self.writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        return await self.answer()

    async def answer(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].split("\r\n")[0])
        return head, (await self.reader.readexactly(length)).decode()


@pytest.fixture
async def two(monkeypatch):
    """Two servers on one listening socket; the second not started."""
    monkeypatch.setattr(servers, "_LINGER_S", 1.0)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    apps = App("old"), App("new")
    old, new = (Server(app, listener.dup()) for app in apps)
    await old.start()
    yield port, apps, old, new
    for app in apps:
        app.finish.set()
    await old.stop()
    await new.stop()
    listener.close()


async def test_requests_on_kept_connections_are_answered_and_told_to_come_back_anew(two):
    port, (old_app, _), old, new = two
    async with Asker(port) as kept, Asker(port) as slow:
        head, body = await kept.ask()
        assert (body, "connection: close" in head) == ("old", False)
        waiting = asyncio.ensure_future(slow.ask("/slow"))
        await asyncio.sleep(0.1)
        await new.start()
        closed = asyncio.Event()
        leaving = asyncio.ensure_future(old.leave(closed.set))
        await asyncio.wait_for(closed.wait(), 5)
        head, body = await kept.ask()
        assert (body, "connection: close" in head) == ("old", True)
        assert await kept.reader.read() == b""
        for _ in range(5):
            async with Asker(port) as fresh:
                assert (await fresh.ask())[1] == "new"
        old_app.finish.set()
        assert (await waiting)[1] == "old", "what is in hand is finished"
        await asyncio.wait_for(leaving, 20)


async def test_what_nobody_has_taken_yet_waits_for_the_next_one(two):
    port, _, old, new = two
    await old.leave(lambda: None)
    async with Asker(port) as early:
        waiting = asyncio.ensure_future(early.ask())
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await new.start()
        assert (await asyncio.wait_for(waiting, 10))[1] == "new"


async def test_sockets_are_closed_as_a_restart_and_not_all_at_once(two, monkeypatch):
    port, _, old, new = two
    loop = asyncio.get_running_loop()
    ended = []

    async def listen():
        async with connect(f"ws://127.0.0.1:{port}/", proxy=None) as ws:
            opened.release()
            try:
                await ws.recv()
            except ConnectionClosed as error:
                ended.append((loop.time(), error.rcvd.code))

    opened = asyncio.Semaphore(0)
    listeners = [asyncio.ensure_future(listen()) for _ in range(40)]
    for _ in listeners:
        await opened.acquire()
    await new.start()
    began = loop.time()
    await old.leave(lambda: None)
    await asyncio.gather(*listeners)
    assert {code for _, code in ended} == {1012}
    assert max(at for at, _ in ended) - min(at for at, _ in ended) > 0.2
    assert began <= ended[0][0]
