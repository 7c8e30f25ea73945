"""Structured logs. One event a line, ``event`` plus fields; a correlation id follows a request or message along."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import structlog

LogFormat = Literal["text", "json"]


def configure(level: str = "info", log_format: LogFormat = "text") -> None:
    """Set up logging for this process. Logs go to standard error; standard output is for results."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
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
    value = structlog.contextvars.get_contextvars().get("correlation_id")
    return None if value is None else str(value)


@contextmanager
def correlated(correlation: str) -> Iterator[None]:
    """Everything logged inside carries this correlation id."""
    if correlation_id() == correlation:  # a request goes through several services of one process
        yield
        return
    with structlog.contextvars.bound_contextvars(correlation_id=correlation):
        yield
