"""costtrace itself, with default settings: a SQLite ledger in a directory of its own, and the handler."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from _peers import sdk_provider
from _subject import Attached
from _workloads import WORKLOADS
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import costtrace


@contextmanager
def recorder(
    tracer_provider: Any = None, clock: Callable[[], int] = time.time_ns, spans: str = "leaf"
) -> Iterator[costtrace.Recorder]:
    """A recorder on a fresh ledger that goes away with its directory."""
    with TemporaryDirectory(prefix="costtrace-bench-") as directory:
        ledger = costtrace.open_ledger(f"sqlite:///{Path(directory, 'costs.db')}")
        opened = costtrace.Recorder(ledger, tracer_provider=tracer_provider, clock=clock, spans=spans)
        yield opened
        opened.close()


@contextmanager
def _attached(
    opened: costtrace.Recorder, around: Callable[[Callable[[], object]], None] | None = None
) -> Iterator[Attached]:
    yield Attached(
        callbacks=[costtrace.CostCallbackHandler(opened)],
        drain=opened.ledger.flush,
        records=lambda: opened.ledger.health().entries or 0,
        around=around,
    )


@contextmanager
def ledger_only() -> Iterator[Attached]:
    with recorder() as opened, _attached(opened) as attached:
        yield attached


@contextmanager
def message_scope() -> Iterator[Attached]:
    """As an application uses it: each call inside a message of its own."""

    def around(call: Callable[[], object]) -> None:
        with costtrace.message(user_id="u1", channel="web", thread_id="t1"):
            call()

    with recorder() as opened, _attached(opened, around) as attached:
        yield attached


@contextmanager
def with_span() -> Iterator[Attached]:
    with sdk_provider() as (provider, exporter), recorder(provider) as opened:
        ledger = opened.ledger

        def drain() -> None:
            ledger.flush()
            provider.force_flush()

        yield Attached(
            callbacks=[costtrace.CostCallbackHandler(opened)], drain=drain, records=lambda: int(exporter.spans)
        )


@contextmanager
def spans_off() -> Iterator[Attached]:
    """In a process that has an SDK, of which costtrace is told to make no use."""
    with sdk_provider() as (provider, _), recorder(provider, spans="off") as opened, _attached(opened) as attached:
        yield attached


@contextmanager
def bare_span() -> Iterator[Attached]:
    """One SDK span around the call, with the attributes that costtrace's own span carries and nothing behind them."""
    attributes = list(_attributes_of_our_span().items())
    at_start, at_end = dict(attributes[:4]), dict(attributes[4:])
    with sdk_provider() as (provider, exporter):
        tracer = provider.get_tracer("bare")

        def around(call: Callable[[], object]) -> None:
            span = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=dict(at_start))
            call()
            span.set_attributes(dict(at_end))
            span.end()

        yield Attached(drain=provider.force_flush, records=lambda: int(exporter.spans), around=around)


def _attributes_of_our_span() -> dict[str, Any]:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    runnable, question = WORKLOADS["model"]()
    with recorder(provider) as opened:
        runnable.invoke(question, config={"callbacks": [costtrace.CostCallbackHandler(opened)]})
    (span,) = memory.get_finished_spans()
    return dict(span.attributes or {})
