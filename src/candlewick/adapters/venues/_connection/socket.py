"""One WebSocket to a venue. Frames go straight from the socket's callback to ``on_frame``; reading never pauses."""

import asyncio
from collections.abc import Callable

from picows import WSCloseCode, WSError, WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from candlewick.ports.venue import VenueForbidden, VenueRateLimited, VenueUnavailable

_MAX_FRAME = 16 << 20
_DEFAULT_PAUSE_S = 60.0


class _Listener(WSListener):  # type: ignore[misc]
    def __init__(self, on_frame: Callable[[bytes], None]) -> None:
        self._on_frame = on_frame
        self._parts: list[bytes] = []
        self.closed = asyncio.Event()
        self.reason = "connection lost"

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind in {WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION}:
            payload = frame.get_payload_as_bytes()
            if not frame.fin or self._parts:
                self._parts.append(payload)
                if not frame.fin:
                    return
                payload = b"".join(self._parts)
                self._parts.clear()
            self._on_frame(payload)
        elif kind is WSMsgType.CLOSE:
            self.reason = f"closed by the venue ({frame.get_close_code()})"
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()


class Socket:
    """An open WebSocket; pings are answered by itself."""

    def __init__(self, transport: WSTransport, listener: _Listener) -> None:
        self._transport = transport
        self._listener = listener

    @classmethod
    async def connect(cls, url: str, on_frame: Callable[[bytes], None], timeout_s: float) -> "Socket":
        """Raises VenueForbidden (403, 451), VenueRateLimited (418, 429) and VenueUnavailable for everything else."""
        try:
            async with asyncio.timeout(timeout_s):
                transport, listener = await ws_connect(
                    lambda: _Listener(on_frame),
                    url,
                    websocket_handshake_timeout=timeout_s,
                    max_frame_size=_MAX_FRAME,
                    enable_auto_pong=True,
                )
        except WSHandshakeError as error:
            raise cls._refusal(error) from error
        except (WSError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise VenueUnavailable(f"no WebSocket to the venue: {type(error).__name__} {error}".rstrip()) from error
        if listener is None:
            # picows 2.3 makes the listener after the handshake and hands out none when the peer went before it.
            transport.disconnect(graceful=False)
            raise VenueUnavailable("no WebSocket to the venue: it closed the connection before the handshake")
        return cls(transport, listener)

    @staticmethod
    def _refusal(error: WSHandshakeError) -> Exception:
        reply = error.response
        status = int(reply.status) if reply is not None else 0
        if status in {403, 451}:
            return VenueForbidden(
                f"the venue refused the WebSocket ({status})",
                hint="It does not serve this address or region; set another base URL",
            )
        if status in {418, 429}:
            text = str(reply.headers.get("Retry-After", "")) if reply is not None else ""
            pause_s = float(text) if text.isdigit() else _DEFAULT_PAUSE_S
            return VenueRateLimited(f"the venue refused the WebSocket ({status})", retry_after_s=pause_s)
        return VenueUnavailable(f"no WebSocket to the venue: {error}")

    @property
    def reason(self) -> str:
        return self._listener.reason

    def is_closed(self) -> bool:
        return self._listener.closed.is_set()

    async def wait_closed(self) -> None:
        await self._listener.closed.wait()

    def send(self, payload: bytes) -> None:
        """Nothing happens on a closed socket."""
        if not self.is_closed():
            self._transport.send(WSMsgType.TEXT, payload)

    def close(self) -> None:
        """Says good-bye if it can, and lets go at once."""
        if not self.is_closed():
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect(graceful=False)
