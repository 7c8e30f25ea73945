"""A command as a message, and back."""

from typing import Any, Final

import msgspec
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractIncomingMessage

from candlewick.ports.queue import Command

# Not the protocol's own fields for id and type: those end at 255 bytes. Headers are one text for the same reason.
_ID: Final = "candlewick-id"
_NAME: Final = "candlewick-name"
_HEADERS: Final = "candlewick-headers"
_DELIVERIES: Final = "candlewick-deliveries"
_REASON: Final = "candlewick-reason"
_SHORT: Final = 255
# What quorum queues count: deliveries that ended without an acknowledgement.
_RETURNS: Final = "x-delivery-count"

UNSETTLED: Final = "not acknowledged in time, or its worker died"


def message_of(command: Command) -> Message:
    """A message that the server keeps on disk."""
    return _message(command, {})


def letter_of(command: Command, reason: str) -> Message:
    """A dead letter."""
    return _message(command, {_DELIVERIES: command.deliveries, _REASON: reason})


def command_of(message: AbstractIncomingMessage) -> Command:
    """What was sent, and which delivery this is."""
    return _command(message, int(_text(message, _RETURNS, "0")) + 1)


def dead_of(message: AbstractIncomingMessage) -> tuple[Command, str]:
    """A dead letter's command and its reason. The server's own dead letters have none."""
    return _command(message, int(_text(message, _DELIVERIES, "1"))), _text(message, _REASON, UNSETTLED)


def _message(command: Command, more: dict[str, Any]) -> Message:
    headers: dict[str, Any] = {_ID: command.id, _NAME: command.name, **more}
    if command.headers:
        headers[_HEADERS] = msgspec.json.encode(dict(command.headers)).decode()
    # For people and other clients, where it fits.
    shown = command.id if len(command.id.encode()) <= _SHORT else None
    return Message(command.body, headers=headers, delivery_mode=DeliveryMode.PERSISTENT, message_id=shown)


def _command(message: AbstractIncomingMessage, deliveries: int) -> Command:
    headers = msgspec.json.decode(_text(message, _HEADERS, "{}"), type=dict[str, str])
    return Command(_text(message, _ID, ""), _text(message, _NAME, ""), message.body, headers, deliveries)


def _text(message: AbstractIncomingMessage, name: str, default: str) -> str:
    value = message.headers.get(name, default)
    return value.decode() if isinstance(value, bytes | bytearray) else str(value)
