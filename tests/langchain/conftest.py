"""A stand-in provider, a ledger in memory, spans in memory, and a handler that has nothing open after its test."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.traces import Trace


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as running:
        yield running


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def recorder(ledger: MemoryLedger) -> Recorder:
    return Recorder(ledger)


@pytest.fixture
def handler(recorder: Recorder) -> Iterator[CostCallbackHandler]:
    handler = CostCallbackHandler(recorder)
    yield handler
    assert handler.open_runs == 0


@pytest.fixture
def trace() -> Trace:
    return Trace()


@pytest.fixture
def provider(trace: Trace) -> Iterator[TracerProvider]:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(trace))
    yield provider
    provider.shutdown()
