"""OpenTelemetry traces, sent when an endpoint is configured; without one a span costs nothing.

A trace crosses processes in the headers of W3C Trace Context, ``traceparent`` and ``tracestate``. A process that sends
no traces of its own still hands them on.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

from candlewick import __version__
from candlewick.kernel.errors import Rejected
from candlewick.kernel.logging import correlation_id

Carrier = Mapping[str, str]
PARENT, STATE = "traceparent", "tracestate"
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_STATE_CHARACTERS = 512


class TracesUnavailable(Rejected):
    """Traces are asked for, but the packages that send them are not installed."""

    code = "TRACES_UNAVAILABLE"


class Tracer(Protocol):
    """Opens spans around requests and messages."""

    def span(self, name: str, **attributes: str | int) -> Any:
        """A context manager; what is raised inside is recorded on the span."""
        ...

    def serving(self, name: str, carrier: Carrier, **attributes: str | int) -> Any:
        """A span for a request, part of the trace that its headers name; within a span of this process, part of
        that."""
        ...

    def carrier(self) -> Carrier:
        """The headers that make what the next process does part of this trace; none outside of one."""
        ...

    def close(self) -> None:
        """Send what waits."""
        ...


_handed_on: ContextVar[Carrier | None] = ContextVar("trace", default=None)


_NOTHING: AbstractContextManager[None] = nullcontext()


class NoTracer:
    """Traces are off."""

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        return _NOTHING

    def serving(self, name: str, carrier: Carrier, **attributes: str | int) -> AbstractContextManager[None]:
        return _handing_on(carrier) if carrier else _NOTHING

    def carrier(self) -> Carrier:
        return _handed_on.get() or {}

    def close(self) -> None:
        """Nothing waits."""


@contextmanager
def _handing_on(carrier: Carrier) -> Iterator[None]:
    token = _handed_on.set(carrier)
    try:
        yield
    finally:
        _handed_on.reset(token)


class OtlpTracer:
    """Spans to an OpenTelemetry collector over OTLP/HTTP; a collector that is away costs spans, never requests."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        except ImportError:
            raise TracesUnavailable(
                f"app.otlp_endpoint is set, but OpenTelemetry is not installed, was {endpoint!r}",
                hint="pip install 'candlewick[otel]', or leave the setting empty",
            ) from None
        resource = Resource.create({"service.name": "candlewick", "service.version": __version__})
        self._provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("candlewick", __version__)
        self._wire = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, attributes=_named(attributes)):
            yield

    @contextmanager
    def serving(self, name: str, carrier: Carrier, **attributes: str | int) -> Iterator[None]:
        from opentelemetry.trace import SpanKind, get_current_span

        is_inside = get_current_span().get_span_context().is_valid
        parent = None if is_inside else self._wire.extract(carrier)
        kind = SpanKind.INTERNAL if is_inside else SpanKind.SERVER
        with self._tracer.start_as_current_span(name, context=parent, kind=kind, attributes=_named(attributes)):
            yield

    def carrier(self) -> Carrier:
        headers: dict[str, str] = {}
        self._wire.inject(headers)
        return headers

    def close(self) -> None:
        self._provider.shutdown()


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    named = {f"candlewick.{key}": value for key, value in attributes.items()}
    if (correlation := correlation_id()) is not None:
        named["candlewick.correlation_id"] = correlation
    return named


def carrier_of(parent: bytes, state: bytes) -> Carrier:
    """What a request's headers say of its trace; nothing when that is not well-formed."""
    text = parent.decode("latin-1")
    if not _PARENT.fullmatch(text):
        return {}
    told = state.decode("latin-1")
    return {PARENT: text, STATE: told} if 0 < len(told) <= _STATE_CHARACTERS else {PARENT: text}


def new_tracer(endpoint: str) -> Tracer:
    """The tracer that the settings ask for. Raises TracesUnavailable."""
    return OtlpTracer(endpoint) if endpoint else NoTracer()
