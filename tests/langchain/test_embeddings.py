"""CostEmbeddings: every request for embeddings is recorded, with the usage that the provider reported."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_openai import AzureOpenAIEmbeddings, OpenAIEmbeddings
from openai import BadRequestError, InternalServerError, RateLimitError

import costtrace
from costtrace import CostCallbackHandler, CostEmbeddings, Entry, Money, Recorder
from costtrace.entry import Standing
from costtrace.quote import QuoteStatus
from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.conftest import FAULT

SMALL = Decimal("0.02") / 1_000_000
"""USD for one token of text-embedding-3-small: https://developers.openai.com/api/docs/models/text-embedding-3-small"""


_made: list[OpenAIEmbeddings] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """No connection is left to the garbage collector, which would warn."""
    yield
    while _made:
        _made.pop().client._client.close()


def model_of(server: OpenAIServer, **options: Any) -> OpenAIEmbeddings:
    model = OpenAIEmbeddings(
        **{
            "model": "text-embedding-3-small",
            "base_url": server.base_url,
            "api_key": "sk-local",
            "check_embedding_ctx_length": False,  # the tokenizer's tables would come over the network
            "max_retries": 0,
            **options,
        }
    )
    _made.append(model)
    return model


@pytest.fixture
async def async_model(server: OpenAIServer) -> AsyncIterator[OpenAIEmbeddings]:
    """A model whose asynchronous connections are closed before their loop is."""
    model = model_of(server)
    yield model
    await model.async_client._client.close()


def entries_of(ledger: MemoryLedger) -> list[Entry]:
    return [entry for _, entry in ledger.entries()]


def only_entry(ledger: MemoryLedger) -> Entry:
    [entry] = entries_of(ledger)
    return entry


def test_a_query_is_recorded_with_the_providers_usage_and_its_exact_price(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage={"prompt_tokens": 1234}))

    with costtrace.message(user_id="u1") as msg:
        vector = CostEmbeddings(model_of(server), recorder).embed_query("where is my order?")

    assert vector == pytest.approx(model_of(server).embed_query("where is my order?"))
    entry = only_entry(ledger)
    assert (entry.kind, entry.status, entry.message_uuid) == ("embedding", "completed", msg.uuid)
    assert (entry.provider, entry.model, entry.requested_model) == (
        "openai",
        "text-embedding-3-small",
        "text-embedding-3-small",
    )
    assert entry.usage is not None
    assert dict(entry.usage.buckets) == {"input": 1234}
    assert entry.usage.raw["token_usage"] == {"prompt_tokens": 1234, "total_tokens": 1234}
    assert entry.cost == Money(1234 * SMALL)
    assert entry.cost_status == "exact"
    assert entry.context.user_id == "u1"
    assert entry.duration_us is not None
    assert ledger.message(msg.uuid).total.actual.usd == 1234 * SMALL


def test_texts_in_several_requests_are_an_entry_for_each(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    embeddings = CostEmbeddings(model_of(server, chunk_size=2), recorder)

    with costtrace.message() as msg:
        vectors = embeddings.embed_documents(["one", "two", "three", "four", "five"])

    assert len(vectors) == 5
    sent = [call.usage for call in server.calls]
    assert len(sent) == 3
    assert [entry.usage and entry.usage.raw["token_usage"] for entry in entries_of(ledger)] == sent
    assert len({entry.entry_id for entry in entries_of(ledger)}) == 3
    billed = sum(usage["prompt_tokens"] for usage in sent if usage)
    assert ledger.message(msg.uuid).total.actual.usd == billed * SMALL


def test_a_further_argument_reaches_the_model(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    CostEmbeddings(model_of(server), recorder).embed_documents(["one", "two"], chunk_size=1)

    assert len(entries_of(ledger)) == 2


async def test_asynchronous_requests_are_recorded_under_their_own_messages(
    async_model: OpenAIEmbeddings, recorder: Recorder, ledger: MemoryLedger
) -> None:
    embeddings = CostEmbeddings(async_model, recorder)

    async def ask(number: int) -> None:
        with costtrace.message(f"m{number}"):
            await embeddings.aembed_query(f"question {number}")
            await embeddings.aembed_documents([f"text {number}"])

    await asyncio.gather(*(ask(number) for number in range(5)))

    found = sorted(entry.message_uuid for entry in entries_of(ledger))
    assert found == sorted([f"m{number}" for number in range(5)] * 2)
    assert {entry.cost_status for entry in entries_of(ledger)} == {"exact"}


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_both_encodings_are_read(encoding: str, server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    model = model_of(server, model_kwargs={"encoding_format": encoding})

    if encoding == "float":
        CostEmbeddings(model, recorder).embed_query("question")
    else:
        CostEmbeddings(model, recorder)._asked.client.create(  # type: ignore[attr-defined]  # LangChain reads floats only
            model="text-embedding-3-small", input="question", encoding_format="base64"
        )

    assert only_entry(ledger).cost_status == "exact"


def test_a_raw_response_is_read_too(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    watched: Any = CostEmbeddings(model_of(server), recorder)._asked

    raw = watched.client.with_raw_response.create(model="text-embedding-3-small", input="question")

    assert raw.headers["x-request-id"].startswith("req_")
    assert only_entry(ledger).cost == Money(raw.parse().usage.prompt_tokens * SMALL)


def test_the_model_that_was_given_stays_as_it_was(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    model = model_of(server)
    client, async_client = model.client, model.async_client

    wrapped = CostEmbeddings(model, recorder)
    model.embed_query("question")

    assert model.client is client
    assert model.async_client is async_client
    assert wrapped.model is model
    assert entries_of(ledger) == []


def test_wrapped_twice_it_records_once(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    once = CostEmbeddings(model_of(server), recorder)
    twice = CostEmbeddings(CostEmbeddings(once, Recorder(ledger)), recorder)

    twice.embed_query("question")

    assert len(entries_of(ledger)) == 1


def test_two_ledgers_each_get_it_once(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    other = MemoryLedger()
    both = CostEmbeddings(CostEmbeddings(CostEmbeddings(model_of(server), recorder), Recorder(other)), recorder)

    both.embed_query("question")

    assert only_entry(ledger).cost == only_entry(other).cost
    assert len(server.calls) == 1


def test_two_wrappers_of_one_model_do_not_see_each_others_requests(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    model = model_of(server)
    first, second = CostEmbeddings(model, recorder), CostEmbeddings(model, recorder)

    first.embed_query("question")
    second.embed_query("question")

    assert len(entries_of(ledger)) == 2


@pytest.mark.parametrize(
    ("status", "error"), [(400, BadRequestError), (429, RateLimitError), (500, InternalServerError)]
)
def test_a_request_that_the_provider_turns_down_costs_nothing(
    status: int, error: type[Exception], server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=status, text="the text of the error may quote the input"))

    with costtrace.message() as msg, pytest.raises(error):
        CostEmbeddings(model_of(server), recorder).embed_query("question")

    entry = only_entry(ledger)
    assert (entry.status, entry.error) == ("failed", f"{error.__name__} {status}")
    assert (entry.cost, entry.quote, entry.standing) == (None, None, None)
    assert ledger.message(msg.uuid).total.complete


def test_what_was_paid_before_a_request_failed_stays(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage={"prompt_tokens": 10}), Reply(status=429))

    with costtrace.message() as msg, pytest.raises(RateLimitError):
        CostEmbeddings(model_of(server, chunk_size=1), recorder).embed_documents(["one", "two"])

    assert [entry.status for entry in entries_of(ledger)] == ["completed", "failed"]
    assert ledger.message(msg.uuid).total.actual.usd == 10 * SMALL


def test_a_request_that_the_client_tries_again_is_one_entry(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=429), Reply(usage={"prompt_tokens": 7}))

    CostEmbeddings(model_of(server, max_retries=2), recorder).embed_query("question")

    assert only_entry(ledger).cost == Money(7 * SMALL)


async def test_an_asynchronous_failure_is_recorded_too(
    server: OpenAIServer, async_model: OpenAIEmbeddings, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=429))

    with pytest.raises(RateLimitError):
        await CostEmbeddings(async_model, recorder).aembed_query("question")

    assert only_entry(ledger).error == "RateLimitError 429"


async def test_a_request_that_is_given_up_may_have_been_paid(
    server: OpenAIServer, async_model: OpenAIEmbeddings, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(delay_s=5))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(CostEmbeddings(async_model, recorder).aembed_query("question"), 0.1)

    entry = only_entry(ledger)
    assert (entry.status, entry.cost_status, entry.standing) == ("cancelled", "usage_missing", Standing.UNPRICED)


def test_a_connection_that_breaks_may_have_been_paid(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    server.script(Reply(error_after_chunks=0))

    with pytest.raises(Exception, match="Connection error"):
        CostEmbeddings(model_of(server), recorder).embed_query("question")

    entry = only_entry(ledger)
    assert (entry.status, entry.error, entry.cost_status) == ("failed", "APIConnectionError", "usage_missing")


def test_a_usage_of_no_tokens_is_not_believed(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    """Servers that imitate OpenAI's interface often report a usage of zeros."""
    server.script(Reply(usage={"prompt_tokens": 0, "total_tokens": 0}))

    with costtrace.message() as msg:
        CostEmbeddings(model_of(server), recorder).embed_query("question")

    assert only_entry(ledger).cost is None
    assert not ledger.message(msg.uuid).total.complete


def test_an_address_that_is_not_openais_selects_the_price(
    recorder: Recorder, ledger: MemoryLedger, server: OpenAIServer
) -> None:
    model = model_of(server, base_url="https://user:secret@vectors.example.com/v1?key=secret", timeout=0.001)

    with pytest.raises(Exception, match=r"Connection error|timed out"):
        CostEmbeddings(model, recorder).embed_query("question")

    entry = only_entry(ledger)
    assert entry.details["price_context"]["base_url"].startswith("https://vectors.example.com")
    assert "secret" not in json.dumps(dict(entry.details))


def test_the_length_of_the_vectors_is_kept(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    vector = CostEmbeddings(model_of(server, dimensions=8), recorder).embed_query("question")

    assert len(vector) == 8
    assert only_entry(ledger).details["dimensions"] == 8


def test_nothing_of_the_texts_is_kept(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    with costtrace.message():
        CostEmbeddings(model_of(server), recorder).embed_documents(["a secret text"])

    assert "secret" not in repr(only_entry(ledger))


class AzureSite:
    """Azure's address scheme on this machine: the deployment stands in the path, the answer names the real model."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self._server = LoopbackServer(self._answer, name="azure")

    async def _answer(self, request: Request) -> Response:
        self.paths.append(request.path)
        body = {
            "object": "list",
            "model": "text-embedding-3-large",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.8]}],
            "usage": {"prompt_tokens": 500, "total_tokens": 500},
        }
        return Response(status=200, body=json.dumps(body).encode(), headers={"content-type": "application/json"})

    @property
    def address(self) -> str:
        return self._server.address


@pytest.fixture
def azure() -> Iterator[AzureSite]:
    site = AzureSite()
    site._server.start()
    yield site
    site._server.stop()


def test_azure_is_priced_by_the_model_behind_the_deployment(
    azure: AzureSite, recorder: Recorder, ledger: MemoryLedger
) -> None:
    model = AzureOpenAIEmbeddings(
        azure_endpoint=azure.address,
        azure_deployment="our-vectors",
        api_key="local",  # type: ignore[arg-type]  # pydantic makes a SecretStr of it
        api_version="2024-10-21",
        check_embedding_ctx_length=False,
    )

    _made.append(model)
    CostEmbeddings(model, recorder).embed_query("question")

    assert azure.paths == ["/openai/deployments/our-vectors/embeddings"]
    entry = only_entry(ledger)
    assert (entry.provider, entry.model) == ("azure", "text-embedding-3-large")
    assert entry.details["price_context"] == {"azure_deployment": "our-vectors"}
    assert entry.cost == Money(500 * Decimal("0.13") / 1_000_000)


def test_in_a_chain_it_belongs_to_the_message_of_the_run(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger, handler: CostCallbackHandler
) -> None:
    embeddings = CostEmbeddings(model_of(server), recorder)

    def embed(question: str) -> list[float]:
        return embeddings.embed_query(question)[:1]

    RunnableLambda(embed).invoke(
        "question", config={"callbacks": [handler], "metadata": {"message_uuid": "m7", "user_id": "u7"}}
    )

    entry = only_entry(ledger)
    assert (entry.message_uuid, entry.context.user_id) == ("m7", "u7")


def test_in_a_chain_of_no_message_it_belongs_to_the_root_run(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger, handler: CostCallbackHandler
) -> None:
    embeddings = CostEmbeddings(model_of(server), recorder)
    roots: list[str] = []

    def embed(question: str, config: Mapping[str, Any]) -> list[float]:
        roots.append(str(config["callbacks"].parent_run_id))
        return embeddings.embed_query(question)[:1]

    RunnableLambda(embed).invoke("question", config={"callbacks": [handler]})

    entry = only_entry(ledger)
    assert [entry.message_uuid] == roots
    assert entry.details["message_from"] == "run"


class Search(BaseRetriever):
    """Finds nothing, and embeds the question for it."""

    embeddings: Any

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:  # noqa: ARG002 - LangChain's name
        self.embeddings.embed_query(query)
        return []


async def test_a_retriever_records_what_it_embeds(
    async_model: OpenAIEmbeddings, recorder: Recorder, ledger: MemoryLedger, handler: CostCallbackHandler
) -> None:
    search = Search(embeddings=CostEmbeddings(async_model, recorder))
    with costtrace.message("m-ask", handler=handler):
        search.invoke("question")
        await search.ainvoke("question")

    assert [entry.message_uuid for entry in entries_of(ledger)] == ["m-ask", "m-ask"]


def test_without_any_message_each_request_has_its_own(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    embeddings = CostEmbeddings(model_of(server), recorder)
    embeddings.embed_query("question")
    embeddings.embed_query("question")

    assert len({entry.message_uuid for entry in entries_of(ledger)}) == 2


class Plain(Embeddings):
    """A model of the application's own."""

    model_name = "own-vectors"
    failure: Exception | None = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.failure is not None:
            raise self.failure
        return [[float(len(text))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


async def test_a_model_that_nobody_can_watch_is_recorded_without_usage(
    recorder: Recorder, ledger: MemoryLedger
) -> None:
    model = Plain()
    embeddings = CostEmbeddings(model, recorder)

    with costtrace.message() as msg:
        assert embeddings.embed_query("question") == model.embed_query("question")
        assert embeddings.embed_documents(["a", "bc"]) == model.embed_documents(["a", "bc"])
        assert await embeddings.aembed_query("question") == model.embed_query("question")
        assert await embeddings.aembed_documents(["a"]) == model.embed_documents(["a"])

    assert [entry.cost_status for entry in entries_of(ledger)] == ["usage_missing"] * 4
    assert {entry.cost for entry in entries_of(ledger)} == {None}
    assert entries_of(ledger)[0].details["usage"] == (
        "not reported: this kind of embedding model does not let its usage be seen"
    )
    assert not ledger.message(msg.uuid).total.complete


def test_an_unwatched_model_for_two_ledgers_is_recorded_once_in_each(recorder: Recorder, ledger: MemoryLedger) -> None:
    other = MemoryLedger()

    CostEmbeddings(CostEmbeddings(CostEmbeddings(Plain(), recorder), Recorder(other)), recorder).embed_query("question")

    assert only_entry(ledger).model == only_entry(other).model == "own-vectors"


def test_the_failure_of_an_unwatched_model_is_the_callers(recorder: Recorder, ledger: MemoryLedger) -> None:
    model = Plain()
    model.failure = ValueError("no vectors today")

    with pytest.raises(ValueError, match="no vectors today"):
        CostEmbeddings(model, recorder).embed_query("question")

    entry = only_entry(ledger)
    assert (entry.status, entry.error, entry.cost_status) == ("failed", "ValueError", "usage_missing")


class BrokenRecorder(Recorder):
    def record_call(self, **_: Any) -> Entry:
        raise ZeroDivisionError


@pytest.mark.expects_fault
async def test_a_fault_of_ours_costs_the_application_nothing(
    async_model: OpenAIEmbeddings, ledger: MemoryLedger, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = BrokenRecorder(ledger)
    embeddings = CostEmbeddings(async_model, recorder)

    assert len(embeddings.embed_query("question")) > 1
    assert len(await embeddings.aembed_query("question")) > 1

    assert recorder.health().faults == 2
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        f"{FAULT} while recording an embedding; the application is not affected"
    ]


@pytest.mark.expects_fault
def test_an_answer_that_cannot_be_read_is_recorded_without_usage(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    model = model_of(server)
    odd = SimpleNamespace(create=lambda **_: {"data": [{"embedding": [1.0]}]}, _client=model.client._client)

    assert CostEmbeddings(model.model_copy(update={"client": odd}), recorder).embed_query("question") == [1.0]

    assert only_entry(ledger).cost_status == "usage_missing"
    assert recorder.health().faults == 1


def test_a_copy_of_the_wrapper_works(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    copy.copy(CostEmbeddings(model_of(server), recorder)).embed_query("question")

    assert len(entries_of(ledger)) == 1


def test_it_is_an_embeddings(server: OpenAIServer, recorder: Recorder) -> None:
    assert isinstance(CostEmbeddings(model_of(server), recorder), Embeddings)


def test_a_fine_status_is_told_from_the_price(server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger) -> None:
    """A model that no list knows is unpriced, never free."""
    CostEmbeddings(model_of(server, model="text-embedding-99"), recorder).embed_query("question")

    entry = only_entry(ledger)
    assert entry.cost_status == QuoteStatus.UNPRICED
    assert recorder.health().unpriced == {"openai/text-embedding-99": 1}
