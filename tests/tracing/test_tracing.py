"""When spans are made, below what, and that nothing of it reaches the application."""

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NoOpTracerProvider, ProxyTracerProvider, SpanKind, StatusCode

from costtrace.entry import Status
from costtrace.faults import Faults
from costtrace.times import to_micros
from costtrace.tracing import Tracing, names
from costtrace.tracing.places import parent_context, place_of
from tests.factories import make_entry


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.mark.parametrize("nobody", [None, NoOpTracerProvider(), ProxyTracerProvider()])
def test_where_nobody_looks_there_are_no_spans(nobody: Any) -> None:
    tracing = Tracing(nobody)
    assert not tracing.active
    assert tracing.start("chat", SpanKind.CLIENT, message_uuid="m1") is None
    assert tracing.parent() is None
    tracing.end(None)


def test_switched_off_there_are_none_either(provider: TracerProvider) -> None:
    tracing = Tracing(provider, spans="off")
    assert (tracing.active, tracing.start("chat", SpanKind.CLIENT, message_uuid="m1")) == (False, None)


LATER = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind
from costtrace.tracing import Tracing

tracing = Tracing()
assert not tracing.active
trace.set_tracer_provider(TracerProvider())
assert tracing.active
assert tracing.start("chat", SpanKind.CLIENT, message_uuid="m1").is_recording()
"""


def test_a_provider_that_is_set_later_is_found() -> None:
    subprocess.run([sys.executable, "-c", LATER], check=True, timeout=60)


def test_a_span_says_its_message_and_is_ended_once(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracing = Tracing(provider)
    span = tracing.start("work", SpanKind.INTERNAL, message_uuid="m1", attributes={"a": 1}, start_ns=1_000)
    assert span is not None
    tracing.end(span, attributes={"b": 2}, error="Oops 7", end_ns=5_000)
    tracing.end(span, attributes={"c": 3})
    tracing.end_with(span, make_entry())

    (done,) = exporter.get_finished_spans()
    assert dict(done.attributes or {}) == {"costtrace.message_uuid": "m1", "a": 1, "b": 2, "error.type": "Oops 7"}
    assert (done.start_time, done.end_time) == (1_000, 5_000)
    assert (done.status.status_code, done.status.description) == (StatusCode.ERROR, None)


@pytest.mark.expects_fault
def test_a_provider_that_fails_is_a_fault_of_its_own() -> None:
    class Failing(TracerProvider):
        def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
            raise ZeroDivisionError

    faults = Faults()
    tracing = Tracing(Failing(shutdown_on_exit=False), faults=faults)
    assert not tracing.active
    assert tracing.start("chat", SpanKind.CLIENT, message_uuid="m1") is None
    assert faults.count > 0


@pytest.mark.expects_fault
def test_a_locator_that_fails_leaves_the_ambient_span(provider: TracerProvider) -> None:
    def lost() -> Any:
        raise LookupError

    faults = Faults()
    tracing = Tracing(provider, faults=faults)
    tracing.add_locator(lost)
    assert tracing.parent() is None
    assert faults.count == 1


def test_what_happens_in_a_run_hangs_below_it_or_below_what_was_opened_in_it(provider: TracerProvider) -> None:
    tracing, tracer = Tracing(provider), provider.get_tracer("the application")
    with tracer.start_as_current_span("request"):
        run = tracing.start("invoke_workflow", SpanKind.INTERNAL, message_uuid="m1", start_ns=1)
        assert run is not None
        place = place_of(run, 1, None)
        tracing.add_locator(lambda: place)
        context = tracing.parent()
        assert context is not None
        assert trace.get_current_span(context).get_span_context() == run.get_span_context()
        with tracer.start_as_current_span("opened in it"):
            assert tracing.parent() is None
        with trace.use_span(run, end_on_exit=False):
            assert parent_context(place) is place.child_context
    assert parent_context(place) is place.child_context
    with tracer.start_as_current_span("of another trace"):
        assert parent_context(place) is place.child_context


def test_a_span_that_is_older_than_the_run_is_not_in_it(provider: TracerProvider) -> None:
    tracing, tracer = Tracing(provider), provider.get_tracer("the application")
    with tracer.start_as_current_span("request") as request, tracer.start_as_current_span("part") as part:
        run = tracing.start("invoke_workflow", SpanKind.INTERNAL, message_uuid="m1")
        assert run is not None
        place = place_of(run, getattr(run, "start_time", 0), None)
        with trace.use_span(request, end_on_exit=False):
            assert parent_context(place) is place.child_context
        with trace.use_span(part, end_on_exit=False):
            assert parent_context(place) is place.child_context


class Striking(threading.Event):
    """What wakes the thread that exports; a garbage collection strikes while that thread holds its lock."""

    def __init__(self, collected: Callable[[], None]) -> None:
        super().__init__()
        self.collected = collected
        self.struck = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        with self._cond:  # type: ignore[attr-defined]
            if not self.struck.is_set():
                self.collected()
                self.struck.set()
        return super().wait(timeout)


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.ABANDONED])
def test_a_stream_that_is_ended_amid_an_export_holds_up_nobody_and_is_shown_after_it(
    exporter: InMemorySpanExporter, status: str
) -> None:
    """The exporting thread would wait for itself for ever, and every thread that ends a span for it."""
    provider = TracerProvider(shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter, max_export_batch_size=1, schedule_delay_millis=10)
    provider.add_span_processor(processor)
    tracing = Tracing(provider)
    stream, call = (tracing.start(name, SpanKind.CLIENT, message_uuid="m1") for name in ("stream", "call"))
    assert stream is not None
    assert call is not None
    entry = make_entry(status=status, duration_us=5)
    awaken = processor._batch_processor._worker_awaken = Striking(lambda: tracing.end_with(stream, entry))
    assert awaken.struck.wait(10)

    ending = threading.Thread(target=tracing.end, args=(call,), daemon=True)
    ending.start()
    ending.join(10)
    assert not ending.is_alive()
    provider.shutdown()
    done = {span.name: span for span in exporter.get_finished_spans()}
    assert done.keys() == {"stream", "call"}
    assert done["stream"].end_time == to_micros(entry.occurred_at) * 1000 + 5_000


def test_names_are_written_once_and_each_has_a_meaning() -> None:
    keys = [
        value
        for name, value in vars(names).items()
        if name.isupper() and isinstance(value, str) and ("." in value or value.startswith("$"))
    ]
    assert sorted(keys) == sorted(names.ATTRIBUTES)
    assert all(names.ATTRIBUTES.values())
