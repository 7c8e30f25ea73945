"""The wire of a WebSocket, as far as ASGI hides it from an application: pongs, pings, and letting go."""

from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request

EXTENSION = "candlewick.line"


class Line:
    """What ``scope["extensions"]["candlewick.line"]`` gives the application of a socket."""

    def __init__(self, protocol: "LineProtocol") -> None:
        self._protocol = protocol
        self.pongs = 0

    def ping(self) -> None:
        """Ask the other side for a pong; nothing on a connection that is closing."""
        protocol = self._protocol
        if not protocol.close_sent and not protocol.transport.is_closing():
            protocol.conn.send_ping(b"")
            protocol.transport.write(b"".join(protocol.conn.data_to_send()))

    def abort(self) -> None:
        """Drop the connection and all that waits to be sent; a close would wait for a reader for ever."""
        self._protocol.transport.abort()


class LineProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's protocol that tells its application of pongs."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        scope = cast(Any, getattr(self, "scope", None))  # absent when the handshake was refused
        if scope is not None:
            self.line = Line(self)
            scope["extensions"][EXTENSION] = self.line

    def handle_pong(self, event: Frame) -> None:
        self.line.pongs += 1
        if self.pending_ping_payload is not None:
            # One pong may stand for several pings (RFC 6455, 5.5.3), so any answers Uvicorn's own.
            event = Frame(Opcode.PONG, self.pending_ping_payload)
        super().handle_pong(event)
