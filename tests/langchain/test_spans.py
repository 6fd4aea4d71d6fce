"""OpenTelemetry: a client span for each call where there is an SDK, and a bill that never depends on it."""

import asyncio
from collections.abc import Iterator

import pytest
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, PRICE, PRICED, Mode, amount, call, chat_model, entries, only
from tests.langchain.parts import EarlyUsage
from tests.langchain.traces import Trace


@pytest.fixture
def exporter(trace: Trace) -> Trace:
    return trace


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry complains by logging, such as of a context that it failed to detach."""
    yield
    said = [record.getMessage() for record in caplog.get_records("call") if record.name.startswith("opentelemetry")]
    assert said == []


def the_span(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


@pytest.mark.parametrize("mode", MODES)
def test_each_call_has_one_client_span_with_what_it_was_and_what_it_cost(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 300}}
    server.script(Reply(usage={**PRICED.usage, **details}))

    with costtrace.message("m1", thread_id="t1"):
        call(chat_model(server, "gpt-5"), mode, {"callbacks": [handler, handler]})

    span = the_span(exporter)
    assert (span.name, span.kind, span.status.status_code) == ("chat gpt-5", SpanKind.CLIENT, StatusCode.UNSET)
    found = attributes(span)
    assert found.pop("costtrace.price.version")
    assert str(found.pop("gen_ai.response.id", "chatcmpl-")).startswith("chatcmpl-")  # LangChain loses it in a stream
    assert found == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.response.model": "gpt-5",
        "gen_ai.conversation.id": "t1",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 500,
        "gen_ai.usage.total_tokens": 1500,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.cache_read.input_tokens": 400,
        "gen_ai.usage.cache_write.input_tokens": 0,
        "gen_ai.usage.cache_creation.input_tokens": 0,
        "gen_ai.usage.reasoning.output_tokens": 300,
        "gen_ai.usage.cost": 0.0058,
        "operation.cost": 0.0058,
        "llm.cost.total": 0.0058,
        "llm.cost.prompt": 0.0008,
        "llm.cost.completion": 0.005,
        "costtrace.cost.nano_usd": 5_800_000,
        "costtrace.cost.usd": "0.0058",
        "costtrace.cost.status": "exact",
        "costtrace.message_uuid": "m1",
        "costtrace.price.source": "genai-prices",
    }
    types = {name: type(value) for name, value in found.items()}
    assert {types[name] for name in found if "tokens" in name} == {int}
    assert {types[name] for name in found if name.startswith(("llm.cost", "operation", "gen_ai.usage.cost"))} == {float}
    assert types["costtrace.cost.nano_usd"] is int


def test_the_entry_names_its_span_and_the_span_lasts_as_long(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger, exporter: InMemorySpanExporter
) -> None:
    chat_model(server).invoke("Hi", {"callbacks": [handler]})

    span, entry = the_span(exporter), only(ledger)
    assert span.context is not None
    assert entry.span is not None
    assert (entry.span.trace_id, entry.span.span_id, entry.span.sampled) == (
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
        True,
    )
    assert span.start_time is not None
    assert span.end_time is not None
    assert entry.duration_us is not None
    assert span.start_time // 1000 == int(entry.occurred_at.timestamp() * 1e6 + 0.5)
    assert abs((span.end_time - span.start_time) // 1000 - entry.duration_us) <= 1


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_it_stands_below_the_span_that_is_current_where_the_call_is_made(
    mode: Mode,
    server: OpenAIServer,
    handler: CostCallbackHandler,
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
) -> None:
    tracer = provider.get_tracer("the application")
    model = chat_model(server)

    def ask(text: str) -> str:
        with tracer.start_as_current_span("step"):
            return model.invoke(text).text

    with tracer.start_as_current_span("request"):
        call(RunnableLambda(ask) | model, mode, {"callbacks": [handler]})
        assert get_current_span().get_span_context().is_valid

    inner, step, outer, workflow, request = exporter.get_finished_spans()
    assert [span.name for span in (inner, step, outer)] == ["chat gpt-4o", "step", "chat gpt-4o"]
    assert (workflow.name, request.name) == ("invoke_workflow RunnableSequence", "request")
    assert inner.parent == step.context
    assert outer.parent == workflow.context
    assert step.parent == workflow.parent == request.context


def test_an_async_call_leaves_the_current_span_as_it_was(
    server: OpenAIServer, handler: CostCallbackHandler, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    async def ask() -> None:
        with provider.get_tracer("the application").start_as_current_span("request") as request:
            await chat_model(server).ainvoke("Hi", {"callbacks": [handler]})
            assert get_current_span() is request
            async for _ in chat_model(server).astream("Hi", {"callbacks": [handler]}):
                assert get_current_span() is request
                break

    asyncio.run(ask())

    assert len(exporter.get_finished_spans()) == 3


def test_a_failed_call_is_an_error_on_its_span(
    server: OpenAIServer, handler: CostCallbackHandler, exporter: InMemorySpanExporter
) -> None:
    server.script(Reply(status=429, text="what the customer said"))
    with pytest.raises(Exception, match="customer"):
        chat_model(server).invoke("Hi", {"callbacks": [handler]})

    span = the_span(exporter)
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
    assert str(attributes(span)["error.type"]).endswith("429")
    assert "customer" not in span.to_json()


def test_a_cancelled_call_is_no_error_on_its_span(handler: CostCallbackHandler, exporter: InMemorySpanExporter) -> None:
    for _ in EarlyUsage().stream("Hi", {"callbacks": [handler]}):
        break

    span = the_span(exporter)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["costtrace.cancelled"] is True
    assert attributes(span)["gen_ai.usage.input_tokens"] == 1000
    assert "gen_ai.usage.cost" not in attributes(span)


def test_a_call_that_is_given_up_ends_its_span_once(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger, exporter: InMemorySpanExporter
) -> None:
    stream = chat_model(server).stream("Hi", {"callbacks": [handler]})
    next(stream)
    handler.close()
    list(stream)

    given_up, late = entries(ledger)
    assert (given_up.status, late.status) == ("abandoned", "completed")
    assert given_up.span == late.span
    assert attributes(the_span(exporter))["costtrace.cost.status"] == "usage_missing"


def test_without_sampling_the_bill_is_the_same(server: OpenAIServer, ledger: MemoryLedger) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))
    server.script(PRICED)

    chat_model(server).invoke("Hi", {"callbacks": [handler]})

    entry = only(ledger)
    assert amount(entry) == PRICE
    assert entry.span is not None
    assert entry.span.sampled is False
    provider.shutdown()


@pytest.mark.parametrize("mode", MODES)
def test_without_an_sdk_there_is_no_span_and_no_reference_to_one(
    mode: Mode, server: OpenAIServer, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    call(chat_model(server), mode, {"callbacks": [CostCallbackHandler(Recorder(ledger))]})

    assert (only(ledger).span, amount(only(ledger))) == (None, PRICE)


@pytest.mark.expects_fault
def test_a_tracer_that_fails_costs_us_no_entry(
    server: OpenAIServer, ledger: MemoryLedger, provider: TracerProvider
) -> None:
    class Failing(SimpleSpanProcessor):
        """Raises into whoever starts or ends a span."""

        def on_start(self, *_: object, **__: object) -> None:
            raise ZeroDivisionError

        def on_end(self, *_: object) -> None:
            raise ZeroDivisionError

    provider.add_span_processor(Failing(InMemorySpanExporter()))
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))
    server.script(PRICED)

    assert chat_model(server).invoke("Hi", {"callbacks": [handler]}).text

    assert amount(only(ledger)) == PRICE
    assert handler.open_runs == 0
