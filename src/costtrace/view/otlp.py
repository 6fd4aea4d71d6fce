"""A turn as OpenTelemetry spans, made from the ledger: one OTLP/JSON document that viewers can import.

It needs no span to have been recorded. Where one was, it has the same ids; the others are derived from the entries'
own, so that the same turn always gives the same document.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any, Final

from costtrace.entry import SpanRef
from costtrace.reports import Turn
from costtrace.tracing import names
from costtrace.view.spans import Span, trace_id_of, tree_of

_LAST_NS: Final = 2**64 - 1
"""A time in OTLP is a ``fixed64``: 1970 to 2554. A clock that says otherwise is taken for the nearest it can hold."""
_INT64: Final = range(-(2**63), 2**63)
_SAMPLED: Final = 1
_ERROR: Final = 2


def otlp_json(turn: Turn) -> str:
    """The spans of that turn as one OTLP/JSON document: an ``ExportTraceServiceRequest``, ids in hexadecimal digits."""
    messages = [message for message in (turn.reply_to, turn.message) if message is not None]
    spans: list[dict[str, Any]] = []
    answered: SpanRef | None = None
    for message in messages:
        trace_id = trace_id_of(message)
        tree = list(tree_of(message))
        root = SpanRef(trace_id=trace_id, span_id=tree[0].span_id)
        spans += [_written(span, trace_id, answered if span is tree[0] else None) for span in tree]
        answered = root
    scope = {"name": "costtrace", "version": version("langchain-costtrace")}
    resource = {"attributes": [_attribute("service.name", "costtrace")]}
    document = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    return json.dumps(document, indent=1)


def _written(span: Span, trace_id: str, answered: SpanRef | None) -> dict[str, Any]:
    """The span as proto3 JSON has it, but for ids, which OTLP wants in hexadecimal digits."""
    links = [_link(trace_id, other, kind) for other, kind in span.links]
    if answered is not None:
        links.append(_link(answered.trace_id, answered.span_id, names.REPLY_TO))
    return {
        "traceId": trace_id,
        "spanId": span.span_id,
        **({} if span.parent_id is None else {"parentSpanId": span.parent_id}),
        "flags": _SAMPLED,
        "name": span.name,
        "kind": span.kind.value,
        "startTimeUnixNano": _nanoseconds(span.start_us),
        "endTimeUnixNano": _nanoseconds(span.end_us),
        "attributes": [_attribute(name, value) for name, value in sorted(span.attributes.items())],
        "links": links,
        "status": {"code": _ERROR} if span.error else {},
    }


def _nanoseconds(microseconds: int) -> str:
    return str(min(max(microseconds * 1_000, 0), _LAST_NS))


def _link(trace_id: str, span_id: str, kind: str) -> dict[str, Any]:
    return {"traceId": trace_id, "spanId": span_id, "attributes": [_attribute(names.LINK_TYPE, kind)]}


def _attribute(name: str, value: object) -> dict[str, Any]:
    return {"key": name, "value": _value(value)}


def _value(value: object) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and value in _INT64:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}
