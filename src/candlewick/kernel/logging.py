"""Structured logs. One event a line, ``event`` plus fields; a correlation id follows a request or message along."""

import logging
import sys
from collections.abc import MutableMapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Any, Literal

import structlog

LogFormat = Literal["text", "json"]

# Not one of structlog's: to bind and to read one of those goes through all variables of the context, 12 us a request.
_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)


def configure(level: str = "info", log_format: LogFormat = "text") -> None:
    """Set up logging for this process. Logs go to standard error; standard output is for results."""
    shared: list[Any] = [
        _tell_correlation,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if log_format == "json":
        shared += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
        shared += [renderer]
    numeric = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(
        level=max(numeric, logging.WARNING), stream=sys.stderr, format="%(levelname)s %(name)s %(message)s"
    )


def logger(name: str) -> Any:
    """A logger that says which unit speaks."""
    return structlog.get_logger().bind(unit=name)


def correlation_id() -> str | None:
    """The id of what is being worked on in this context."""
    return _correlation.get()


def correlated(correlation: str) -> AbstractContextManager[None]:
    """Everything logged inside carries this correlation id."""
    return _Correlated(correlation)


class _Correlated:
    """A generator would cost more than what it does: every request and every message goes through here."""

    __slots__ = ("_correlation", "_token")

    def __init__(self, correlation: str) -> None:
        self._correlation = correlation

    def __enter__(self) -> None:
        self._token = _correlation.set(self._correlation)

    def __exit__(self, *_: object) -> None:
        _correlation.reset(self._token)


def _tell_correlation(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog."""
    correlation = _correlation.get()
    return event if correlation is None else {"correlation_id": correlation, **event}
