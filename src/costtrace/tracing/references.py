"""References to spans that live in another process, or lived a while ago: W3C traceparent, links, remote parents."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags
from opentelemetry.util.types import AttributeValue

from costtrace.entry import SpanRef
from costtrace.tracing.names import LINK_TYPE

_TRACEPARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_new_ref: Final = object.__new__
_set_trace_id, _set_span_id, _set_sampled = (SpanRef.__dict__[slot.name].__set__ for slot in fields(SpanRef))


def span_ref(span: Span) -> SpanRef:
    """Which span shows an entry."""
    context = span.get_span_context()
    ref = _new_ref(SpanRef)  # ids of the API need no check, and every call has one
    _set_trace_id(ref, f"{context.trace_id:032x}")
    _set_span_id(ref, f"{context.span_id:016x}")
    _set_sampled(ref, context.trace_flags.sampled)
    return ref


def traceparent_of(span: Span | SpanRef) -> str:
    """The span in W3C form, for who continues its trace later."""
    ref = span if isinstance(span, SpanRef) else span_ref(span)
    return f"00-{ref.trace_id}-{ref.span_id}-{ref.sampled:02x}"


def traceparent() -> str | None:
    """The current span in W3C form; None where there is none."""
    span = trace.get_current_span()
    return traceparent_of(span) if span.get_span_context().is_valid else None


def parse_traceparent(text: object) -> SpanRef | None:
    """The span that a W3C traceparent names; None for what is none, whatever it is.

    As the recommendation (Trace Context, level 2) has it: lower-case, no id all zero, and of a later version what
    version 00 defines.
    """
    found = _TRACEPARENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if trace_id == _NO_TRACE or span_id == _NO_SPAN or (more and version == "00"):
        return None
    return SpanRef(trace_id=trace_id, span_id=span_id, sampled=bool(int(flags, 16) & TraceFlags.SAMPLED))


def span_context(ref: SpanRef) -> SpanContext:
    """The span as OpenTelemetry refers to one that was made elsewhere."""
    flags = TraceFlags(TraceFlags.SAMPLED if ref.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(ref.trace_id, 16), int(ref.span_id, 16), is_remote=True, trace_flags=flags)


def link(ref: SpanRef, link_type: str, **attributes: AttributeValue) -> Link:
    """A link to that span, which says of which of `names.LINK_TYPES` it is."""
    return Link(span_context(ref), {LINK_TYPE: link_type, **attributes})


def remote_context(ref: SpanRef) -> Context:
    """The context in which a span is a child of that one."""
    return trace.set_span_in_context(NonRecordingSpan(span_context(ref)), Context())
