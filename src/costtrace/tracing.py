"""Spans: a view of what the ledger holds. Money never depends on one.

Only `opentelemetry-api` is used, no global provider is ever set, and no context is ever attached: LangChain ends a run
in another context than it started it in, so a token taken at the start cannot be given back at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from costtrace.entry import Entry, SpanRef
from costtrace.entry import Status as Outcome
from costtrace.money import amount_text
from costtrace.times import to_micros

PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""LangChain's ``ls_provider`` to OpenTelemetry's ``gen_ai.provider.name``, where they differ."""

_COST_AS_DOUBLE: Final = ("gen_ai.usage.cost", "operation.cost", "llm.cost.total")
"""The names under which trace viewers look for a cost; they read doubles, so the exact amount has a name of its own."""


class Tracing:
    """Starts and ends the spans of recorded calls."""

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        self._provider = tracer_provider
        self._tracer = trace.get_tracer("costtrace", version("langchain-costtrace"), tracer_provider)

    def start_call(self, *, provider: str | None, model: str | None, message_uuid: str, start_ns: int) -> Span | None:
        """A span for a model call, below whatever span is current; None where nobody records it."""
        if self._provider is None and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            return None  # no SDK in this process: a span would be shown to nobody
        name = f"chat {model}" if model else "chat"
        attributes = {"gen_ai.operation.name": "chat", "costtrace.message_uuid": message_uuid}
        if provider:
            attributes["gen_ai.provider.name"] = PROVIDER_NAMES.get(provider, provider)
        if model:
            attributes["gen_ai.request.model"] = model
        span = self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=start_ns)
        return span if span.get_span_context().is_valid else None

    def end_call(self, span: Span, entry: Entry) -> None:
        """Show the entry on its span, and end it."""
        if span.is_recording():
            span.set_attributes(_attributes(entry))
            if entry.status == Outcome.FAILED:
                span.set_status(Status(StatusCode.ERROR))
        span.end(None if entry.duration_us is None else (to_micros(entry.occurred_at) + entry.duration_us) * 1000)


def span_ref(span: Span) -> SpanRef:
    """Which span shows an entry."""
    context = span.get_span_context()
    return SpanRef(
        trace_id=f"{context.trace_id:032x}", span_id=f"{context.span_id:016x}", sampled=context.trace_flags.sampled
    )


def traceparent() -> str | None:
    """The current span in W3C form, for who continues its trace later; None where there is none."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def _attributes(entry: Entry) -> dict[str, Any]:
    attributes: dict[str, Any] = {"costtrace.cost.status": entry.cost_status or "unknown"}
    if entry.model:
        attributes["gen_ai.response.model"] = entry.model
    if entry.context.thread_id:
        attributes["gen_ai.conversation.id"] = entry.context.thread_id
    if entry.error:
        attributes["error.type"] = entry.error
    if entry.status == Outcome.CANCELLED:
        attributes["costtrace.cancelled"] = True
    if entry.usage is not None:
        buckets = entry.usage.buckets
        attributes["gen_ai.usage.input_tokens"] = entry.usage.input_tokens
        attributes["gen_ai.usage.output_tokens"] = entry.usage.output_tokens
        attributes["gen_ai.usage.total_tokens"] = entry.usage.input_tokens + entry.usage.output_tokens
        attributes["gen_ai.usage.cache_read.input_tokens"] = buckets.get("cache_read", 0)
        attributes["gen_ai.usage.reasoning.output_tokens"] = entry.usage.reasoning_tokens
    if entry.cost is not None:
        cost = float(entry.cost.amount)
        attributes.update(dict.fromkeys(_COST_AS_DOUBLE, cost))
        attributes[f"costtrace.cost.{entry.cost.currency.lower()}"] = amount_text(entry.cost.amount)
    if entry.quote is not None and entry.quote.basis is not None:
        attributes["costtrace.price.source"] = entry.quote.basis.source
        attributes["costtrace.price.version"] = entry.quote.basis.version
    return attributes
