"""HTTP/1.1 on the wire: Uvicorn's protocol, and before it the answers that nothing need be waited for."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from candlewick.app.http.service_app import Ready

_STATUS_LINES = {each.value: f"HTTP/1.1 {each.value} {each.phrase}\r\n".encode() for each in HTTPStatus}


class WireProtocol(HttpToolsProtocol):
    """Writes what ``at_once`` has for a request in one piece and without a task, which cost more than such an answer
    does; hands every other request to the application. One such answer for each read of the socket, so that who sends
    a thousand requests in one go does not keep the loop."""

    def __init__(self, *, at_once: Callable[[Any], Ready | None], **given: Any) -> None:
        super().__init__(**given)
        self._at_once = at_once
        self._may_answer = False

    def data_received(self, data: bytes) -> None:
        self._may_answer = True
        super().data_received(data)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        ready = None
        if self._may_answer and cycle.keep_alive and not self.flow.write_paused:
            ready = self._at_once(cycle.scope)
        if ready is None:
            super()._start_asgi_task(cycle, app)
            return
        self._may_answer = False
        status, headers, body = ready
        head = [_STATUS_LINES[status]]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        self.transport.writelines((b"".join(head), body))
        cycle.response_started = cycle.response_complete = True
        cycle.on_response()
