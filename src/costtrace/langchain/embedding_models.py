"""How to watch the embedding models of each LangChain integration, and how to read what its provider answers.

The integrations are known by name, so that none has to be installed. What an answer reports of its usage:

- OpenAI, Azure and Mistral: ``usage.prompt_tokens`` in the body of each.
- Bedrock: the header ``X-Amzn-Bedrock-Input-Token-Count``; the body has no form that all its models share.
- Google: ``usage_metadata`` where it comes, which google-genai hands on from version 3; on Vertex,
  ``statistics.token_count`` for each text; else nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from langchain_core.embeddings import Embeddings

from costtrace.entry import Status
from costtrace.langchain.requests import public_address
from costtrace.langchain.results import Answer, failed
from costtrace.responses import read_response, text

_FIRST_ERROR_STATUS: Final = 400
_UNWATCHED: Final = "not reported: this kind of embedding model does not let its usage be seen"
_NAMES_OF_A_MODEL: Final = ("model", "model_id", "model_name")


def _nothing(_model: Any, _client: Any) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """How to watch the models of one class."""

    provider: str | None
    """As LangChain's ``ls_provider`` would have it."""
    clients: tuple[str, ...]
    """The attributes of a model that hold its clients."""
    paths: frozenset[str]
    """The methods of those clients that make a request, dotted where they stand further inside."""
    read: Callable[[Any], Answer]
    """Reads what such a method returns."""
    price_context: Callable[[Any, Any], Mapping[str, str]] = _nothing
    """From a model and its client to what selects a rate beside the model's name."""


def integration_of(embeddings: Embeddings) -> Integration | None:
    """How to watch that model, by the first of its classes that is known."""
    names = (f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(embeddings).__mro__)
    return next((_INTEGRATIONS[name] for name in names if name in _INTEGRATIONS), None)


def unwatched(embeddings: Embeddings) -> Integration:
    """For a model that nobody knows how to watch: its calls are seen from outside, its usage is not."""
    package = type(embeddings).__module__.partition(".")[0]
    named = package.startswith("langchain_") and package not in ("langchain_core", "langchain_community")
    return Integration(
        provider=package.removeprefix("langchain_") if named else None,
        clients=(),
        paths=frozenset(),
        read=lambda _: Answer(Status.COMPLETED, None, note=_UNWATCHED),
    )


def model_name(embeddings: Embeddings) -> str | None:
    """The model that is asked for, by whichever attribute holds it."""
    return next(filter(None, (text(getattr(embeddings, name, None)) for name in _NAMES_OF_A_MODEL)), None)


def dimensions(embeddings: Embeddings) -> int | None:
    """The length of the vectors, where it was chosen."""
    chosen = getattr(embeddings, "dimensions", None) or getattr(embeddings, "output_dimensionality", None)
    return chosen if type(chosen) is int else None


def failure(error: BaseException) -> Answer:
    """What is known of a request that raised. One that the provider turned down bought nothing."""
    answer = failed(error, None)
    status = _http_status(error)
    if answer.status != Status.FAILED or status is None or status < _FIRST_ERROR_STATUS:
        return answer
    return Answer(Status.FAILED, None, refused=True, error=f"{type(error).__name__} {status}")


def _http_status(error: BaseException) -> int | None:
    """As OpenAI's client, Google's, httpx and botocore tell it."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        status = (response.get("ResponseMetadata") or {}).get("HTTPStatusCode")
    else:
        status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
        status = status or getattr(error, "code", None)
    return status if type(status) is int else None


def _openai(answer: Any) -> Answer:
    body = answer.parse() if hasattr(answer, "parse") else answer  # a raw response holds the parsed one
    return _answered(None if body.usage is None else body.usage.model_dump(), body.model)


def _mistral(answer: Any) -> Answer:
    if answer.status_code >= _FIRST_ERROR_STATUS:
        return Answer(Status.FAILED, None, refused=True, error=f"HTTPStatusError {answer.status_code}")
    body = answer.json()
    return _answered(body.get("usage"), body.get("model"))


def _bedrock(answer: Mapping[str, Any]) -> Answer:
    count = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amzn-bedrock-input-token-count")
    return _answered(None if count is None else _tokens(int(count)))


def _google(answer: Any) -> Answer:
    counted = getattr(getattr(answer, "usage_metadata", None), "prompt_token_count", None)
    if counted is None:
        counted = _sum([getattr(item.statistics, "token_count", None) for item in answer.embeddings or ()])
    return _answered(None if counted is None else _tokens(counted))


def _sum(counts: list[Any]) -> int | None:
    """Of whole numbers that arrive as floats; None unless all are there."""
    if not counts or any(count is None or count != int(count) for count in counts):
        return None
    return sum(int(count) for count in counts)


def _tokens(count: int) -> Mapping[str, int]:
    return {"prompt_tokens": count, "total_tokens": count}


def _answered(usage: object, model: object = None) -> Answer:
    response = read_response(None, {"usage": usage, "model_name": model})
    return Answer(Status.COMPLETED, response.usage, model=response.model)


def _address(usual_host: str) -> Callable[[Any, Any], Mapping[str, str]]:
    """The address of the client, where it is not the provider's own: somebody else may answer, at other prices."""

    def address(_model: Any, client: Any) -> Mapping[str, str]:
        url = str(getattr(client, "_client", client).base_url)
        found = None if urlsplit(url).hostname == usual_host else public_address(url)
        return {} if found is None else {"base_url": found}

    return address


def _deployment(model: Any, _client: Any) -> Mapping[str, str]:
    deployment = text(model.deployment)
    return {} if deployment is None else {"azure_deployment": deployment}


def _region(_model: Any, client: Any) -> Mapping[str, str]:
    return {"region": client.meta.region_name}


_BOTH_OPENAI: Final = frozenset({"create", "with_raw_response.create"})
_INTEGRATIONS: Final[Mapping[str, Integration]] = {
    "langchain_openai.OpenAIEmbeddings": Integration(
        provider="openai",
        clients=("client", "async_client"),
        paths=_BOTH_OPENAI,
        read=_openai,
        price_context=_address("api.openai.com"),
    ),
    "langchain_openai.AzureOpenAIEmbeddings": Integration(
        provider="azure",
        clients=("client", "async_client"),
        paths=_BOTH_OPENAI,
        read=_openai,
        price_context=_deployment,
    ),
    "langchain_mistralai.MistralAIEmbeddings": Integration(
        provider="mistralai",
        clients=("client", "async_client"),
        paths=frozenset({"post"}),
        read=_mistral,
        price_context=_address("api.mistral.ai"),
    ),
    "langchain_aws.BedrockEmbeddings": Integration(
        provider="amazon_bedrock",
        clients=("client",),
        paths=frozenset({"invoke_model"}),
        read=_bedrock,
        price_context=_region,
    ),
    "langchain_google_genai.GoogleGenerativeAIEmbeddings": Integration(
        provider="google_genai",
        clients=("client",),
        paths=frozenset({"models.embed_content", "aio.models.embed_content"}),
        read=_google,
    ),
}
"""By the integration's package and the name of its class."""
