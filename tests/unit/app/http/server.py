"""A server of another process, as far as a client can tell: a bare HTTP/1.1 socket that does what the test says."""

import asyncio
from contextlib import asynccontextmanager


class Said:
    """One request as it arrived."""

    def __init__(self, head, body):
        line, *headers = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = line.split(" ")
        self.headers = {k.lower(): v.strip() for k, _, v in (h.partition(":") for h in headers if h)}
        self.body = body


class Server:
    """Hands each request to ``answer(said) -> (status, headers, body)``; ``None`` closes the connection instead."""

    def __init__(self, answer):
        self.answer = answer
        self.said = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                said = Said(head[:-4], b"")
                said.body = await self._body(reader, said)
                self.said.append(said)
                found = self.answer(said)
                if asyncio.iscoroutine(found):
                    found = await found
                if found is None:
                    return
                status, headers, body = found
                lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
                lines += [f"{k}: {v}" for k, v in headers.items()]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _body(self, reader, said):
        if said.headers.get("transfer-encoding") == "chunked":
            found = b""
            while size := int(await reader.readline(), 16):
                found += (await reader.readexactly(size + 2))[:-2]
            await reader.readline()
            return found
        return await reader.readexactly(int(said.headers.get("content-length", 0)))


@asynccontextmanager
async def serving(answer):
    """Yields the server and its base URL."""
    server = Server(answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    finally:
        listener.close()
