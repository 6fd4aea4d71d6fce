"""Spans of what is recorded beside the model calls: embeddings, and costs that are told."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.runnables import RunnableLambda
from langchain_openai import OpenAIEmbeddings
from openai import RateLimitError
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from costtrace import CostCallbackHandler, CostEmbeddings, Recorder
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.traces import Scripted, Trace, check_names, id_of, said

PRICE = 1000 * Decimal("0.02") / 1_000_000
"""Of 1000 tokens of text-embedding-3-small."""


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


@pytest.fixture
def embeddings(server: OpenAIServer, recorder: Recorder) -> Iterator[CostEmbeddings]:
    server.script(Reply(usage={"prompt_tokens": 1000}))
    options: Any = {"api_key": "sk-local", "base_url": server.base_url, "default_headers": {"connection": "close"}}
    model = OpenAIEmbeddings(model="text-embedding-3-small", check_embedding_ctx_length=False, max_retries=0, **options)
    yield CostEmbeddings(model, recorder)
    model.client._client.close()
    asyncio.run(model.async_client._client.close())


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_request_for_embeddings_hangs_below_the_run_that_makes_it(
    mode: str, embeddings: CostEmbeddings, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    async def asearch(text: str) -> str:
        await embeddings.aembed_query(text)
        return text

    def search(text: str) -> str:
        embeddings.embed_query(text)
        return text

    chain = (RunnableLambda(search, asearch) | Scripted()).with_config(run_name="answer")
    if mode == "invoke":
        chain.invoke("Hi", {"callbacks": [handler]})
    else:
        asyncio.run(chain.ainvoke("Hi", {"callbacks": [handler]}))

    name = "embeddings text-embedding-3-small"
    assert trace.tree() == ["invoke_workflow answer", f"  {name}", "  chat gpt-4o"]
    span = trace.only(name)
    assert span.kind is SpanKind.CLIENT
    assert said(span)["gen_ai.operation.name"] == "embeddings"
    assert said(span)["costtrace.cost.usd"] == "0.00002"
    assert said(span)["gen_ai.usage.input_tokens"] == 1000
    assert said(trace.only("invoke_workflow answer"))["costtrace.total.usd"] == "0.00752"
    (entry,) = [entry for _, entry in ledger.entries() if entry.kind == "embedding"]
    assert entry.span is not None
    assert int(entry.span.span_id, 16) == id_of(span)
    check_names(trace.spans)


def test_one_that_is_refused_is_an_error(server: OpenAIServer, embeddings: CostEmbeddings, trace: Trace) -> None:
    embeddings.embed_query("Hi")
    server.script(Reply(status=429, text="what the customer said"))
    with pytest.raises(RateLimitError):
        embeddings.embed_query("Hi")

    answered, refused = trace.spans
    assert (answered.status.status_code, refused.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert (answered.parent, refused.parent) == (None, None)
    assert str(said(refused)["error.type"]).endswith("429")
    assert "customer" not in refused.to_json()


def test_a_cost_that_is_told_counts_into_the_total_of_its_root(handler: CostCallbackHandler, trace: Trace) -> None:
    def search(text: str) -> str:
        dispatch_custom_event("costtrace.cost", {"name": "search-api", "cost": "0.008", "source_id": "req-1"})
        return text

    (RunnableLambda(search) | Scripted()).invoke("Hi", {"callbacks": [handler]})

    assert said(trace.only("invoke_workflow RunnableSequence"))["costtrace.total.usd"] == "0.0155"
