"""Embeddings of other integrations, each by its real package against a web server on this machine.

The answers have the shape that the providers document:
https://docs.mistral.ai/api/#tag/embeddings, https://ai.google.dev/api/embeddings,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

import costtrace
from costtrace import CostEmbeddings, Entry, Money, Recorder
from costtrace.langchain.embedding_models import failure, integration_of, model_name
from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.testing import MemoryLedger


class Site:
    """Answers each request with the next of its answers, or with the last one."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.paths: list[str] = []
        self._server = LoopbackServer(self._respond, name="provider")

    async def _respond(self, request: Request) -> Response:
        self.paths.append(request.path)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def answer(self, body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        self.answers.append(
            Response(status=status, body=content, headers={"content-type": "application/json", **(headers or {})})
        )

    @property
    def address(self) -> str:
        return self._server.address


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    site._server.start()
    yield site
    site._server.stop()


def entries_of(ledger: MemoryLedger) -> list[Entry]:
    return [entry for _, entry in ledger.entries()]


def buckets_of(entry: Entry) -> dict[str, int] | None:
    return None if entry.usage is None else dict(entry.usage.buckets)


# --- Mistral ---------------------------------------------------------------------------------------------------------


class Lengths:
    """A tokenizer that needs no download: one token for each character."""

    def encode_batch(self, texts: list[str]) -> list[list[str]]:
        return [list(text) for text in texts]


@pytest.fixture
def mistral(site: Site) -> Iterator[Any]:
    package = pytest.importorskip("langchain_mistralai", reason="langchain-mistralai is not installed")
    model = package.MistralAIEmbeddings.model_construct(
        model="mistral-embed", endpoint=site.address, max_retries=None, tokenizer=Lengths()
    )
    import httpx  # noqa: PLC0415 - comes with the package

    model.client = httpx.Client(base_url=site.address)
    model.async_client = httpx.AsyncClient(base_url=site.address)
    yield model
    model.client.close()


def mistral_body(tokens: int) -> dict[str, Any]:
    return {
        "id": "embd-1",
        "object": "list",
        "model": "mistral-embed",
        "data": [{"object": "embedding", "embedding": [0.6, 0.8], "index": 0}],
        "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens},
    }


async def test_mistral_reports_its_usage(mistral: Any, site: Site, recorder: Recorder, ledger: MemoryLedger) -> None:
    site.answer(mistral_body(2000))
    embeddings = CostEmbeddings(mistral, recorder)

    with costtrace.message():
        assert embeddings.embed_query("question") == [0.6, 0.8]
        assert await embeddings.aembed_query("question") == [0.6, 0.8]
    await mistral.async_client.aclose()

    for entry in entries_of(ledger):
        assert (entry.provider, entry.model, buckets_of(entry)) == ("mistralai", "mistral-embed", {"input": 2000})
        assert entry.cost == Money(2000 * Decimal("0.1") / 1_000_000)
    assert len(entries_of(ledger)) == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_mistral_turns_down_costs_nothing(
    mistral: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer({"message": "Requests rate limit exceeded"}, status=429)

    with pytest.raises(Exception, match="429"):
        CostEmbeddings(mistral, recorder).embed_query("question")

    [entry] = entries_of(ledger)
    assert (entry.status, entry.error, entry.cost, entry.quote) == ("failed", "HTTPStatusError 429", None, None)


# --- Bedrock ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def bedrock(site: Site) -> Iterator[Any]:
    package = pytest.importorskip("langchain_aws", reason="langchain-aws is not installed")
    model = package.BedrockEmbeddings(
        model_id="amazon.titan-embed-text-v2:0",
        region_name="us-east-1",
        endpoint_url=site.address,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - the server here asks for none
    )
    yield model
    model.client.close()


def tokens(count: int) -> dict[str, str]:
    return {"x-amzn-bedrock-input-token-count": str(count)}


def test_bedrock_reports_its_usage_in_a_header(
    bedrock: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer({"embedding": [0.6, 0.8]}, headers=tokens(7))
    site.answer({"embedding": [0.6, 0.8]}, headers=tokens(9))

    vectors = CostEmbeddings(bedrock, recorder).embed_documents(["one", "two"])

    assert vectors == [[0.6, 0.8], [0.6, 0.8]]
    assert site.paths[0].startswith("/model/amazon.titan-embed-text-v2")
    assert [buckets_of(entry) for entry in entries_of(ledger)] == [{"input": 7}, {"input": 9}]
    [first, _] = entries_of(ledger)
    assert (first.provider, first.model) == ("amazon_bedrock", "amazon.titan-embed-text-v2:0")
    assert first.details["price_context"] == {"region": "us-east-1"}


async def test_bedrock_in_its_threads_keeps_the_message(
    bedrock: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer({"embedding": [0.6, 0.8]}, headers=tokens(7))

    with costtrace.message("m1"):
        await CostEmbeddings(bedrock, recorder).aembed_documents(["one", "two", "three"])

    assert [entry.message_uuid for entry in entries_of(ledger)] == ["m1"] * 3


def test_bedrock_without_the_header_is_usage_missing(
    bedrock: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer({"embedding": [0.6, 0.8]})

    CostEmbeddings(bedrock, recorder).embed_query("question")

    [entry] = entries_of(ledger)
    assert (entry.usage, entry.cost_status) == (None, "usage_missing")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_bedrock_turns_down_costs_nothing(
    bedrock: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer({"message": "the text of the request"}, status=400, headers={"x-amzn-errortype": "ValidationException"})

    with pytest.raises(Exception, match="ValidationException"):
        CostEmbeddings(bedrock, recorder).embed_query("question")

    [entry] = entries_of(ledger)
    assert (entry.status, entry.quote) == ("failed", None)
    assert entry.error is not None
    assert entry.error.endswith(" 400")


# --- Google ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def google(site: Site) -> Any:
    package = pytest.importorskip("langchain_google_genai", reason="langchain-google-genai is not installed")
    return package.GoogleGenerativeAIEmbeddings(
        model="models/gemini-embedding-001", google_api_key="local", base_url=site.address
    )


def google_body(**more: Any) -> dict[str, Any]:
    return {"embeddings": [{"values": [0.6, 0.8]}], **more}


def test_google_reports_its_usage_where_it_does(
    google: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    types = pytest.importorskip("google.genai.types")
    if "usage_metadata" not in types.EmbedContentResponse.model_fields:
        pytest.skip("google-genai before 3 drops the usage of embeddings")
    site.answer(google_body(usageMetadata={"promptTokenCount": 1000, "totalTokenCount": 1000}))

    CostEmbeddings(google, recorder).embed_query("question")

    [entry] = entries_of(ledger)
    assert (entry.provider, entry.model, buckets_of(entry)) == (
        "google_genai",
        "models/gemini-embedding-001",
        {"input": 1000},
    )
    assert entry.cost == Money(1000 * Decimal("0.15") / 1_000_000)


def test_google_without_usage_is_usage_missing(
    google: Any, site: Site, recorder: Recorder, ledger: MemoryLedger
) -> None:
    site.answer(google_body())

    CostEmbeddings(google, recorder).embed_documents(["one"])

    [entry] = entries_of(ledger)
    assert (entry.usage, entry.cost_status) == (None, "usage_missing")


def test_vertex_counts_the_tokens_of_each_text() -> None:
    """As google-genai hands them on: numbers of type float, under each embedding."""
    read = _google_reader()
    counted = SimpleNamespace(
        usage_metadata=None,
        embeddings=[SimpleNamespace(statistics=SimpleNamespace(token_count=count)) for count in (3.0, 4.0)],
    )
    uncounted = SimpleNamespace(embeddings=[SimpleNamespace(statistics=None)])

    assert dict(read(counted).usage.buckets) == {"input": 7}
    assert read(uncounted).usage is None
    assert read(SimpleNamespace(embeddings=None)).usage is None


def _google_reader() -> Any:
    from costtrace.langchain.embedding_models import _INTEGRATIONS  # noqa: PLC0415 - for this test only

    return _INTEGRATIONS["langchain_google_genai.GoogleGenerativeAIEmbeddings"].read


# --- What they share ------------------------------------------------------------------------------------------------


def test_a_subclass_of_the_applications_own_is_watched_as_its_base() -> None:
    from langchain_openai import AzureOpenAIEmbeddings  # noqa: PLC0415 - for this test only

    class Ours(AzureOpenAIEmbeddings):
        pass

    model: Any = Ours.model_construct(model="m")
    integration = integration_of(model)

    assert integration is not None
    assert integration.provider == "azure"


@pytest.mark.parametrize("attribute", ["model", "model_id", "model_name"])
def test_the_model_is_named_by_whichever_attribute_holds_it(attribute: str) -> None:
    holder: Any = SimpleNamespace(**{attribute: "vectors-1"})

    assert model_name(holder) == "vectors-1"


class Refusal(Exception):  # noqa: N818 - any client's own
    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)


@pytest.mark.parametrize(
    ("error", "refused", "code"),
    [
        (Refusal(status_code=429), True, "Refusal 429"),
        (Refusal(response=SimpleNamespace(status_code=400)), True, "Refusal 400"),
        (Refusal(response={"ResponseMetadata": {"HTTPStatusCode": 403}}), True, "Refusal 403"),
        (Refusal(code=404), True, "Refusal 404"),
        (Refusal(code="insufficient_quota"), False, "Refusal"),
        (Refusal(response={}), False, "Refusal"),
        (Refusal(response=None), False, "Refusal"),
        (TimeoutError(), False, "TimeoutError"),
        (Refusal(status_code=200), False, "Refusal 200"),
    ],
)
def test_a_refusal_is_known_by_its_http_status(error: Exception, refused: bool, code: str) -> None:  # noqa: FBT001 - a parameter of a table
    answer = failure(error)

    assert (answer.status, answer.refused, answer.error, answer.usage) == ("failed", refused, code, None)
