"""The built web page around the gateway: static files under a strict policy, and the page itself for its own paths."""

import mimetypes
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from candlewick.app.http.service_app import ASGIApp, Ready, Receive, Scope, Send
from candlewick.services.gateway.domain import service_of

STATIC = Path(__file__).resolve().parent.parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_OWN = ("/api/", "/health", "/metrics", "/openapi.json", "/asyncapi.json", "/docs")
_HEADERS = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
_FOREVER = b"public, max-age=31536000, immutable"


class Page:
    """Serves what Vite built; every path that is neither a file nor the API's gets the page, so that links work."""

    def __init__(self, gateway: ASGIApp, static: Path = STATIC) -> None:
        self._gateway = gateway
        self._files = {"/" + p.relative_to(static).as_posix(): p for p in sorted(static.rglob("*")) if p.is_file()}
        self._kept: dict[str, tuple[bytes, bytes]] = {}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        path = scope.get("path", "")
        mine = (
            scope["type"] == "http"
            and scope["method"] in ("GET", "HEAD")
            and service_of(path) is None
            and not path.startswith(_OWN)
        )
        if mine and path in self._files:
            return self._send_file(path, send, head=scope["method"] == "HEAD")
        if mine and "/index.html" in self._files and "." not in path.rpartition("/")[2]:
            return self._send_file("/index.html", send, head=scope["method"] == "HEAD")
        return self._gateway(scope, receive, send)

    def at_once(self, scope: Scope) -> Ready | None:
        """What the gateway has ready."""
        find = getattr(self._gateway, "at_once", None)
        return find(scope) if find is not None and service_of(scope["path"]) is not None else None

    async def _send_file(self, path: str, send: Send, *, head: bool) -> None:
        if path not in self._kept:
            kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
            if kind.startswith("text/") or kind.endswith(("javascript", "json")):
                kind += "; charset=utf-8"
            self._kept[path] = (self._files[path].read_bytes(), kind.encode())
        body, media = self._kept[path]
        caching = _FOREVER if path.startswith("/assets/") else b"no-cache"
        headers: list[Any] = [(b"content-type", media), (b"content-length", str(len(body)).encode())]
        headers += [(b"cache-control", caching), *_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if head else body})
