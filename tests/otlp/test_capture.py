"""The receiver the other tests look through: it must see what was sent, and notice what is wrong with it."""

from __future__ import annotations

import gzip
import json
import math
import struct
import urllib.error
import urllib.request
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AnyValue

from tests.otlp import captured, wire
from tests.otlp.capture import CaptureServer
from tests.otlp.captured import CapturedPoint

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALUES: dict[str, AnyValue] = {
    "text": "räksmörgås",
    "true": True,
    "one": 1,
    "negative": -5,
    "large": 2**63 - 1,
    "double": 1.0,
    "tiny": 1.5e-06,
    "none": 0.0,
    "texts": ["a", "b"],
}


def post(url: str, body: bytes, content_type: str, encoding: str = "identity") -> int:
    headers = {"content-type": content_type, "content-encoding": encoding}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


@pytest.mark.parametrize("compression", Compression)
def test_a_span_arrives_with_everything_it_had(otlp: CaptureServer, compression: Compression) -> None:
    resource = Resource({"service.name": "shop"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(otlp.traces_url, compression=compression)))
    tracer = provider.get_tracer("costtrace")
    flags = TraceFlags(TraceFlags.SAMPLED)
    linked = SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True, trace_flags=flags)

    parent = tracer.start_span("send sms", kind=SpanKind.PRODUCER, start_time=1_000)
    below = trace.set_span_in_context(parent)
    child = tracer.start_span("chat gpt-4o", below, SpanKind.CLIENT, VALUES, [Link(linked, {"type": "status_of"})])
    child.add_event("sms.status", {"code": 30003}, timestamp=1_500)
    child.set_status(Status(StatusCode.ERROR, "why"))
    child.end(3_000)
    parent.end(2_000)
    provider.shutdown()

    first, second = otlp.spans()
    assert (first.name, first.kind, first.status) == ("chat gpt-4o", "CLIENT", ("ERROR", "why"))
    assert (first.trace_id, first.parent_span_id) == (second.trace_id, second.span_id)
    assert first.trace_id == f"{parent.get_span_context().trace_id:032x}"
    assert first.attributes == VALUES
    assert [type(value) for value in first.attributes.values()] == [type(value) for value in VALUES.values()]
    (link,) = first.links
    assert link[:3] == (TRACE, SPAN, {"type": "status_of"})
    assert link.flags & 0x300 == 0x300  # known to be remote
    assert first.events == (captured.Event("sms.status", 1_500, {"code": 30003}),)
    assert first.resource["service.name"] == "shop"
    assert first.scope == "costtrace"
    assert (second.name, second.kind, second.status.code) == ("send sms", "PRODUCER", "UNSET")
    assert (second.parent_span_id, second.start_ns, second.end_ns) == ("", 1_000, 2_000)


def test_a_span_in_the_json_form_is_read_like_any_other(otlp: CaptureServer) -> None:
    span = {
        "traceId": TRACE.upper(),
        "spanId": SPAN,
        "name": "process sms.status",
        "kind": 5,
        "startTimeUnixNano": "1700000000000000001",
        "attributes": [
            {"key": "int", "value": {"intValue": "-7"}},
            {"key": "double", "value": {"doubleValue": 2}},
            {"key": "bytes", "value": {"bytesValue": "AQI="}},
            {"key": "map", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": False}}]}}},
            {"key": "empty", "value": {}},
        ],
        "links": [{"traceId": TRACE, "spanId": SPAN, "flags": 256}],
    }
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}).encode()

    assert post(otlp.traces_url, gzip.compress(body), "application/json", "gzip") == 200

    (arrived,) = otlp.spans()
    assert (arrived.trace_id, arrived.kind, arrived.start_ns) == (TRACE, "CONSUMER", 1_700_000_000_000_000_001)
    assert repr(arrived.attributes) == repr(
        {"int": -7, "double": 2.0, "bytes": b"\1\2", "map": {"a": False}, "empty": None}
    )
    assert arrived.links == (captured.Link(TRACE, SPAN, {}, 256),)
    assert otlp.bodies() == [body]


def test_the_points_of_each_kind_of_metric_arrive(otlp: CaptureServer) -> None:
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(otlp.metrics_url), math.inf)
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    meter = provider.get_meter("costtrace")
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
    span = tracer.start_span("chat")

    meter.create_counter("counted", "{call}").add(-2 + 5, {"model": "gpt-4o"})
    meter.create_up_down_counter("level").add(-4)
    meter.create_gauge("measured", "s").set(0.25)
    cost = meter.create_histogram("cost", "{USD}", explicit_bucket_boundaries_advisory=[0.001, 0.01])
    cost.record(0.0025, {"kind": "llm"}, trace.set_span_in_context(span))
    cost.record(0.5, {"kind": "llm"})
    provider.force_flush()
    provider.shutdown()

    points = {point.metric: point for point in otlp.metrics()}
    known: dict[str, Any] = {
        "count": 0,
        "bounds": (),
        "buckets": (),
        "exemplars": (),
        "resource": points["cost"].resource,
    }
    assert points["cost"].resource["service.name"] == "shop"
    assert points["counted"] == CapturedPoint(
        metric="counted", unit="{call}", type="sum", monotonic=True, attributes={"model": "gpt-4o"}, value=3, **known
    )
    assert (points["level"].value, points["level"].monotonic, points["level"].type) == (-4, False, "sum")
    assert (points["measured"].value, points["measured"].type) == (0.25, "gauge")
    assert (points["cost"].value, points["cost"].count) == (0.5025, 2)
    assert (points["cost"].bounds, points["cost"].buckets) == ((0.001, 0.01), (0, 1, 1))
    context = span.get_span_context()
    assert points["cost"].exemplars == (
        captured.Exemplar(0.0025, f"{context.trace_id:032x}", f"{context.span_id:016x}"),
    )


def framed(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    return tag + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + content


def test_the_decoder_written_by_hand_reads_bytes_written_by_hand() -> None:
    """One span, laid out as the published protocol numbers its fields, with no library on either side."""
    double = b"\x21" + struct.pack("<d", 0.003125)  # AnyValue.double_value = 4, eight bytes
    attribute = b"\x0a\x04cost" + framed(b"\x12", double)  # KeyValue.key = 1, value = 2
    link = b"\x0a\x10" + bytes.fromhex(TRACE) + b"\x12\x08" + bytes.fromhex(SPAN) + b"\x35" + struct.pack("<I", 256)
    span = (
        (b"\x0a\x10" + bytes.fromhex(TRACE) + b"\x12\x08" + bytes.fromhex(SPAN))  # trace_id = 1, span_id = 2
        + (b"\x2a\x04chat" + b"\x30\x03")  # name = 5, kind = 6: client
        + (b"\x39" + struct.pack("<Q", 2**63) + b"\x41" + struct.pack("<Q", 2**64 - 1))  # start = 7, end = 8
        + framed(b"\x4a", attribute)
        + framed(b"\x6a", link)  # links = 13
        + b"\x7a\x02\x18\x02"  # status = 15, code = 3: error
        + b"\x98\x06\x01"  # field 99, which nobody knows
    )
    body = framed(b"\x0a", framed(b"\x12", framed(b"\x12", span)))  # resource_spans = 1, scope_spans = 2, spans = 2

    (read,) = wire.read_spans(body)

    assert (read.trace_id, read.span_id, read.parent_span_id) == (TRACE, SPAN, "")
    assert (read.name, read.kind, read.status.code) == ("chat", "CLIENT", "ERROR")
    assert (read.start_ns, read.end_ns) == (2**63, 2**64 - 1)
    assert read.attributes == {"cost": 0.003125}
    assert read.links == (captured.Link(TRACE, SPAN, {}, 256),)


@pytest.mark.parametrize("body", [b"\x0a", b"\x0a\x05abc", b"\x0b\x00", b"\xff"])
def test_what_is_no_protocol_buffer_is_refused_and_fails_who_looks(body: bytes) -> None:
    with CaptureServer() as server:
        assert post(server.traces_url, body, "application/x-protobuf") == 400
        with pytest.raises(AssertionError, match="/v1/traces"):
            server.spans()
    with pytest.raises(wire.Malformed):
        wire.read_message(body)


def test_a_receiver_can_refuse_and_keeps_nothing_then(otlp: CaptureServer) -> None:
    exporter = OTLPSpanExporter(otlp.traces_url)
    provider = TracerProvider(shutdown_on_exit=False)
    ended: list[SpanExportResult] = []

    class Direct(SimpleSpanProcessor):
        def on_end(self, span: object) -> None:
            ended.append(exporter.export([span]))  # type: ignore[list-item]  # spans end readable

    provider.add_span_processor(Direct(exporter))
    otlp.respond(status=400)
    provider.get_tracer("t").start_span("refused").end()
    otlp.respond(delay_s=0.3)
    provider.get_tracer("t").start_span("slow").end()
    provider.shutdown()

    assert ended == [SpanExportResult.FAILURE, SpanExportResult.SUCCESS]
    assert [span.name for span in otlp.spans()] == ["slow"]
    assert b"refused" in otlp.bodies()[0]
    assert post(f"{otlp.endpoint}/v1/logs", b"", "application/x-protobuf") == 404
    otlp.clear()
    assert (otlp.spans(), otlp.bodies()) == ([], [])


def test_who_waits_for_spans_in_vain_is_told_which_there_are(otlp: CaptureServer) -> None:
    with pytest.raises(AssertionError, match=r"only \[\] after"):
        otlp.wait_for(lambda spans: len(spans) > 0, timeout_s=0.05)
