"""Links between two processes, laid through toxiproxy so that they can be cut."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

_SILENT: Final = ("upstream", "downstream")


class Links:
    """``reset`` ends every connection and refuses new ones; ``silent`` swallows what is sent and says nothing."""

    def __init__(self, url: str, ports: range) -> None:
        self._url, self._ports = url, iter(ports)
        self._upstreams: dict[str, str] = {}
        self._listens: dict[str, str] = {}

    def lay(self, name: str, upstream: str) -> str:
        """A link to host:port; returns where to connect instead."""
        listen = f"127.0.0.1:{next(self._ports)}"
        self._ask("POST", "/proxies", {"name": name, "listen": listen, "upstream": upstream, "enabled": True})
        self._upstreams[name], self._listens[name] = upstream, listen
        return listen

    def drop_all(self) -> None:
        """Forget every link."""
        for name in self._upstreams:
            self._ask("DELETE", f"/proxies/{name}", None)
        self._upstreams.clear()

    async def cut(self, name: str, manner: str) -> None:
        await asyncio.to_thread(self._cut, name, manner)

    async def mend(self, name: str) -> None:
        """Bytes that were swallowed are lost to their connection, so it ends."""
        await asyncio.to_thread(self._mend, name)

    def _cut(self, name: str, manner: str) -> None:
        if manner == "reset":
            self._ask("POST", f"/proxies/{name}", {"enabled": False})
            return
        for stream in _SILENT:
            toxic = {"name": stream, "type": "timeout", "stream": stream, "attributes": {"timeout": 0}}
            self._ask("POST", f"/proxies/{name}/toxics", toxic)

    def _mend(self, name: str) -> None:
        self._ask("POST", f"/proxies/{name}", {"enabled": False})
        for toxic in self._ask("GET", f"/proxies/{name}/toxics", None):
            self._ask("DELETE", f"/proxies/{name}/toxics/{toxic['name']}", None)
        self._ask("POST", f"/proxies/{name}", {"enabled": True})

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as reply:
            answer = reply.read()
        return json.loads(answer) if answer else None
