"""OpenTelemetry traces, sent when an endpoint is configured; without one a span costs nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from candlewick import __version__
from candlewick.kernel.errors import Rejected
from candlewick.kernel.logging import correlation_id


class TracesUnavailable(Rejected):
    """Traces are asked for, but the packages that send them are not installed."""

    code = "TRACES_UNAVAILABLE"


class Tracer(Protocol):
    """Opens spans around requests and messages."""

    def span(self, name: str, **attributes: str | int) -> Any:
        """A context manager; what is raised inside is recorded on the span."""
        ...

    def close(self) -> None:
        """Send what waits."""
        ...


class NoTracer:
    """Traces are off."""

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[None]:
        yield

    def close(self) -> None:
        """Nothing waits."""


class OtlpTracer:
    """Spans to an OpenTelemetry collector over OTLP/HTTP; a collector that is away costs spans, never requests."""

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
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

    @contextmanager
    def span(self, name: str, **attributes: str | int) -> Iterator[None]:
        named = {f"candlewick.{key}": value for key, value in attributes.items()}
        if (correlation := correlation_id()) is not None:
            named["candlewick.correlation_id"] = correlation
        with self._tracer.start_as_current_span(name, attributes=named):
            yield

    def close(self) -> None:
        self._provider.shutdown()


def new_tracer(endpoint: str) -> Tracer:
    """The tracer that the settings ask for. Raises TracesUnavailable."""
    return OtlpTracer(endpoint) if endpoint else NoTracer()
