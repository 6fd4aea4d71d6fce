"""Whatever becomes of the spans, a call is not held up by them, and the ledger has it."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel, LangSmithParams
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import UsageMetadata
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.ledger import SqliteLedger
from tests.bars import within
from tests.otlp.capture import CaptureServer
from tests.otlp.fixtures import otlp

__all__ = ["otlp"]

CALLS = 150
PRICE = Decimal("0.0075")
"""1,000 tokens in at 2.50 and 500 out at 10.00 dollars a million."""


class Raising(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError(f"{len(spans)} spans are too many")


class Asleep(SpanExporter):
    """Hangs in its first export until the test is over."""

    def __init__(self) -> None:
        self.over = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        while not self.over:
            time.sleep(0.01)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.over = True


class RaisingSampler(Sampler):
    def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
        del arguments, named
        raise RuntimeError("no decision")

    def get_description(self) -> str:
        return "raises"


class Model(GenericFakeChatModel):
    """Answers like gpt-4o, at once."""

    def _get_ls_params(self, stop: list[str] | None = None, **named: Any) -> LangSmithParams:
        del stop, named
        return LangSmithParams(ls_provider="openai", ls_model_name="gpt-4o", ls_model_type="chat")


def model() -> Model:
    def answers() -> Iterator[AIMessage]:
        usage = UsageMetadata(input_tokens=1000, output_tokens=500, total_tokens=1500)
        while True:
            served = {"model_name": "gpt-4o", "model_provider": "openai"}
            yield AIMessage("yes", usage_metadata=usage, response_metadata=served)

    return Model(messages=answers())


@contextmanager
def provider_with(exporter: SpanExporter, sampler: Sampler | None = None) -> Iterator[TracerProvider]:
    """A full queue drops spans; it is small here so that it is full soon."""
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    processor = BatchSpanProcessor(exporter, max_queue_size=64, max_export_batch_size=16, schedule_delay_millis=50)
    provider.add_span_processor(processor)
    yield provider
    exporter.shutdown()
    provider.shutdown()


def median_s(ledger: SqliteLedger, provider: TracerProvider | None) -> float:
    """What one call takes, half of the calls taking longer; with `provider` None no span is made."""
    recorder = Recorder(ledger, tracer_provider=provider, spans="off" if provider is None else "leaf")
    handler, fake, took = CostCallbackHandler(recorder), model(), []
    with costtrace.message("m1", thread_id="t1"):
        for _ in range(CALLS):
            began = time.perf_counter()
            fake.invoke("Hi", {"callbacks": [handler]})
            took.append(time.perf_counter() - began)
    assert handler.open_runs == 0
    assert recorder.health().faults == 0
    return statistics.median(took)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(tmp_path / "costs.db")
    yield ledger
    ledger.close()


def refusing(otlp: CaptureServer) -> SpanExporter:
    otlp.respond(status=503)
    return OTLPSpanExporter(otlp.traces_url, timeout=0.5)


def hanging(otlp: CaptureServer) -> SpanExporter:
    otlp.respond(delay_s=60)
    return OTLPSpanExporter(otlp.traces_url, timeout=0.5)


def nobody_there(otlp: CaptureServer) -> SpanExporter:
    del otlp
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces", timeout=0.5)


BROKEN = [refusing, hanging, nobody_there, lambda _: Raising(), lambda _: Asleep()]


@pytest.mark.parametrize("broken", BROKEN, ids=["refuses", "hangs", "is not there", "raises", "sleeps"])
def test_a_broken_exporter_holds_up_no_call_and_the_ledger_is_complete(
    broken: Callable[[CaptureServer], SpanExporter], otlp: CaptureServer, ledger: SqliteLedger
) -> None:
    without = median_s(ledger, None)
    with provider_with(broken(otlp)) as provider:
        added = median_s(ledger, provider) - without

    assert added < within(0.005)
    assert ledger.message("m1").total.actual.usd == 2 * CALLS * PRICE


@pytest.mark.parametrize("rate", [0, 0.1, 1])
def test_the_ledger_is_the_same_whatever_is_sampled(rate: float, ledger: SqliteLedger, otlp: CaptureServer) -> None:
    sampler = ParentBased(TraceIdRatioBased(rate))
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(otlp.traces_url)))
    median_s(ledger, provider)
    provider.shutdown()

    entries = [entry for _, entry in ledger.entries()]
    sampled = {entry.span.span_id for entry in entries if entry.span is not None and entry.span.sampled}
    assert ledger.message("m1").total.actual.usd == CALLS * PRICE
    assert all(entry.span is not None for entry in entries)
    assert {span.span_id for span in otlp.spans()} == sampled
    assert {0: 0, 1: CALLS}.get(int(rate) if rate in {0, 1} else -1, len(sampled)) == len(sampled)
    assert all(span.attributes["costtrace.cost.usd"] == "0.0075" for span in otlp.spans())


@pytest.mark.expects_fault
def test_a_sampler_that_raises_costs_the_span_and_nothing_else(ledger: SqliteLedger) -> None:
    provider = TracerProvider(RaisingSampler(), shutdown_on_exit=False)
    recorder = Recorder(ledger, tracer_provider=provider)
    handler = CostCallbackHandler(recorder)
    with costtrace.message("m1"):
        model().invoke("Hi", {"callbacks": [handler]})

    (entry,) = (entry for _, entry in ledger.entries())
    assert (entry.span, entry.cost and entry.cost.amount) == (None, PRICE)
    assert recorder.health().faults == 1
    provider.shutdown()


def test_a_provider_that_was_shut_down_holds_up_nothing(ledger: SqliteLedger, otlp: CaptureServer) -> None:
    provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(otlp.traces_url)))
    provider.shutdown()
    median_s(ledger, provider)

    assert ledger.message("m1").total.actual.usd == CALLS * PRICE
    assert otlp.bodies() == []


PROGRAM = """
import os, sys
import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.telemetry import setup_tracing
from tests.tracing.test_exporters_that_fail import model

setup_tracing(endpoint=sys.argv[2])
recorder = Recorder(costtrace.open_ledger(sys.argv[1]))
handler, fake = CostCallbackHandler(recorder), model()

def calls(count):
    with costtrace.message("m1"):
        for _ in range(count):
            fake.invoke("Hi", {"callbacks": [handler]})
"""


def ended(program: str, ledger: SqliteLedger, address: str) -> int:
    """How that program ended, which makes calls and goes without ceremony."""
    command = [sys.executable, "-c", PROGRAM + textwrap.dedent(program), f"sqlite:///{ledger.path}", address]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def test_an_end_without_ceremony_loses_spans_and_no_entry(ledger: SqliteLedger, otlp: CaptureServer) -> None:
    assert ended("calls(20); os._exit(7)", ledger, otlp.endpoint) == 7

    assert ledger.message("m1").total.actual.usd == 20 * PRICE
    assert len(otlp.spans()) <= 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_records_and_shows_its_own_calls(ledger: SqliteLedger, otlp: CaptureServer) -> None:
    program = """
        import warnings
        warnings.simplefilter("ignore")  # fork beside threads, on purpose
        calls(5)
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                calls(10)
                os._exit(0 if costtrace.telemetry.flush(20) else 1)
            children.append(child)
        failed = [child for child in children if os.waitpid(child, 0)[1]]
        calls(5)
        os._exit(9 if failed or not costtrace.telemetry.flush(20) else 0)
        """
    assert ended(program, ledger, otlp.endpoint) == 0

    entries = {entry.span.span_id for _, entry in ledger.entries() if entry.span is not None}
    assert ledger.message("m1").total.actual.usd == 40 * PRICE
    assert len(entries) == 40
    assert {span.span_id for span in otlp.spans()} == entries
    assert len(otlp.spans()) == 40
