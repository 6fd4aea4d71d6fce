"""Spans: a view of what the ledger holds. Money never depends on one."""

from costtrace.tracing.attributes import PROVIDER_NAMES, entry_attributes
from costtrace.tracing.places import Place
from costtrace.tracing.references import link, parse_traceparent, remote_context, span_ref, traceparent, traceparent_of
from costtrace.tracing.spans import Tracing

__all__ = [
    "PROVIDER_NAMES",
    "Place",
    "Tracing",
    "entry_attributes",
    "link",
    "parse_traceparent",
    "remote_context",
    "span_ref",
    "traceparent",
    "traceparent_of",
]
