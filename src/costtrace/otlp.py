"""The OpenTelemetry SDK as `costtrace.setup_tracing` sets it up: OTLP over HTTP, in batches, and links are followed.

What the variables of OpenTelemetry say, its SDK reads itself.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar

from costtrace.errors import MissingExtra
from costtrace.sampling import link_aware

try:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import (
        ConsoleMetricExporter,
        MetricExporter,
        MetricExportResult,
        MetricsData,
        PeriodicExportingMetricReader,
    )
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExportResult
except ImportError:
    raise MissingExtra(
        package="opentelemetry-exporter-otlp-proto-http", feature="setup_tracing()", extra="otel"
    ) from None

Result = TypeVar("Result", bound=Enum)


class Failures:
    """How often an export failed; a provider says of a flush only that it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def noted(self, result: Result) -> Result:
        """The same result, counted where it is a failure."""
        if result.name != "SUCCESS":
            with self._lock:
                self.count += 1
        return result


def resource(service_name: str | None) -> Resource:
    """What sends the telemetry; the SDK's own variables say it where `service_name` does not."""
    return Resource.create({SERVICE_NAME: service_name} if service_name else None)


def tracer_provider(source: Resource, exporter: str, endpoint: str | None, failures: Failures) -> TracerProvider:
    """A provider that samples as OTEL_TRACES_SAMPLER says and follows links; `exporter` is otlp, console or none."""
    provider = TracerProvider(resource=source)
    provider.sampler = link_aware(provider.sampler)
    if exporter != "none":
        made = ConsoleSpanExporter() if exporter == "console" else _Spans(failures, endpoint)
        provider.add_span_processor(BatchSpanProcessor(made))
    return provider


def meter_provider(source: Resource, exporter: str, endpoint: str | None, failures: Failures) -> MeterProvider:
    """A provider that exports every minute, or as OTEL_METRIC_EXPORT_INTERVAL says; `exporter` is otlp or console."""
    made: MetricExporter = ConsoleMetricExporter() if exporter == "console" else _Metrics(failures, endpoint)
    return MeterProvider([PeriodicExportingMetricReader(made)], source)


def _url(endpoint: str | None, signal: str) -> str | None:
    """None leaves it to the variables, which hold for each signal or for all."""
    return None if endpoint is None else f"{endpoint.rstrip('/')}/v1/{signal}"


class _Spans(OTLPSpanExporter):
    def __init__(self, failures: Failures, endpoint: str | None) -> None:
        super().__init__(endpoint=_url(endpoint, "traces"))
        self._failures = failures

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._failures.noted(super().export(spans))


class _Metrics(OTLPMetricExporter):
    def __init__(self, failures: Failures, endpoint: str | None) -> None:
        super().__init__(endpoint=_url(endpoint, "metrics"))
        self._failures = failures

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        return self._failures.noted(super().export(metrics_data, timeout_millis, **kwargs))
