"""Reads OTLP with opentelemetry-proto, in its binary and its JSON form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.json_format import Parse  # type: ignore[import-untyped]  # its types are a package of their own
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Exemplar as ProtoExemplar
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.otlp.captured import (
    KINDS,
    STATUSES,
    Attributes,
    CapturedPoint,
    CapturedSpan,
    Event,
    Exemplar,
    Link,
    Status,
)

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


def traces_from_json(body: bytes) -> ExportTraceServiceRequest:
    request: ExportTraceServiceRequest = Parse(_with_base64_ids(body), ExportTraceServiceRequest())
    return request


def metrics_from_json(body: bytes) -> ExportMetricsServiceRequest:
    request: ExportMetricsServiceRequest = Parse(_with_base64_ids(body), ExportMetricsServiceRequest())
    return request


def _with_base64_ids(body: bytes) -> str:
    """OTLP writes ids in hexadecimal digits; everywhere else the JSON form of protocol buffers has base64."""
    return json.dumps(_converted(json.loads(body)))


def _converted(value: Any) -> Any:
    if isinstance(value, list):
        return [_converted(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: base64.b64encode(bytes.fromhex(item)).decode() if key in _IDS else _converted(item)
        for key, item in value.items()
    }


def spans_of(request: ExportTraceServiceRequest) -> list[CapturedSpan]:
    return [
        _span(span, _attributes(resource.resource.attributes), group.scope.name)
        for resource in request.resource_spans
        for group in resource.scope_spans
        for span in group.spans
    ]


def points_of(request: ExportMetricsServiceRequest) -> list[CapturedPoint]:
    return [
        point
        for resource in request.resource_metrics
        for group in resource.scope_metrics
        for metric in group.metrics
        for point in _points(metric, _attributes(resource.resource.attributes))
    ]


def _span(span: Span, resource: Attributes, scope: str) -> CapturedSpan:
    return CapturedSpan(
        name=span.name,
        kind=KINDS[span.kind],
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        flags=span.flags,
        trace_state=span.trace_state,
        attributes=_attributes(span.attributes),
        links=tuple(
            Link(link.trace_id.hex(), link.span_id.hex(), _attributes(link.attributes), link.flags)
            for link in span.links
        ),
        events=tuple(Event(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events),
        status=Status(STATUSES[span.status.code], span.status.message),
        resource=resource,
        scope=scope,
    )


def _points(metric: Metric, resource: Attributes) -> Iterator[CapturedPoint]:
    known: dict[str, Any] = {"metric": metric.name, "unit": metric.unit, "resource": resource}
    plain: dict[str, Any] = {"count": 0, "bounds": (), "buckets": ()}
    for point in metric.gauge.data_points:
        yield CapturedPoint(**known, **plain, **_of_point(point), type="gauge", monotonic=False, value=_number(point))
    growing = metric.sum.is_monotonic
    for point in metric.sum.data_points:
        yield CapturedPoint(**known, **plain, **_of_point(point), type="sum", monotonic=growing, value=_number(point))
    for histogram in metric.histogram.data_points:
        yield CapturedPoint(
            **known,
            **_of_point(histogram),
            type="histogram",
            monotonic=False,
            value=histogram.sum,
            count=histogram.count,
            bounds=tuple(histogram.explicit_bounds),
            buckets=tuple(histogram.bucket_counts),
        )


def _of_point(point: NumberDataPoint | HistogramDataPoint) -> dict[str, Any]:
    exemplars = tuple(
        Exemplar(_number(exemplar), exemplar.trace_id.hex(), exemplar.span_id.hex()) for exemplar in point.exemplars
    )
    return {"attributes": _attributes(point.attributes), "exemplars": exemplars}


def _number(point: NumberDataPoint | ProtoExemplar) -> float:
    return point.as_int if point.WhichOneof("value") == "as_int" else point.as_double


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    return {pair.key: _any(pair.value) for pair in pairs}


def _any(value: AnyValue) -> Any:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_any(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return dict(_attributes(value.kvlist_value.values))
    return getattr(value, which)
