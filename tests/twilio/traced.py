"""A recorder whose spans a test can look at, and where in them every attribute key has to stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import Tracer

from costtrace.entry import SpanRef
from costtrace.ledger import Ledger
from costtrace.recorder import Recorder
from costtrace.tracing import names, sms, span_ref

KEYS = {*names.ATTRIBUTES, *sms.ATTRIBUTES}


@dataclass(frozen=True)
class Traced:
    """A provider and what it has exported."""

    provider: TracerProvider
    exporter: InMemorySpanExporter

    def recorder(self, ledger: Ledger, **options: Any) -> Recorder:
        return Recorder(ledger, tracer_provider=self.provider, **options)

    @property
    def tracer(self) -> Tracer:
        """For spans of the application."""
        return self.provider.get_tracer("application")

    @property
    def spans(self) -> list[ReadableSpan]:
        """In the order they ended; each says no more than what the tables have."""
        spans = list(self.exporter.get_finished_spans())
        for span in spans:
            scope = span.instrumentation_scope
            assert scope is not None
            assert scope.name != "costtrace" or set(span.attributes or {}) <= KEYS, span.attributes
        return spans

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@contextmanager
def traced(sampler: Sampler | None = None, *processors: SpanProcessor) -> Iterator[Traced]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler)
    for processor in (*processors, SimpleSpanProcessor(exporter)):
        provider.add_span_processor(processor)
    yield Traced(provider, exporter)
    provider.shutdown()


def ref(span: ReadableSpan) -> SpanRef:
    """Where that span is, as an entry has it."""
    return span_ref(span)  # type: ignore[arg-type]  # both have get_span_context


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def links(span: ReadableSpan) -> list[tuple[str, str, dict[str, Any]]]:
    """Trace, span and attributes of each link."""
    return [
        (f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", dict(link.attributes or {}))
        for link in span.links
    ]


def link_to(span: SpanRef, link_type: str) -> tuple[str, str, dict[str, Any]]:
    return span.trace_id, span.span_id, {"costtrace.link.type": link_type}


class Raising(SpanProcessor):
    """An application's span processor that is broken at one end, or at both."""

    def __init__(self, *, at: Callable[[str], bool] = lambda _: True) -> None:
        self._at = at

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK calls it so
        if self._at("start"):
            raise RuntimeError("a broken span processor")

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - the SDK calls it so
        if self._at("end"):
            raise RuntimeError("a broken span processor")
