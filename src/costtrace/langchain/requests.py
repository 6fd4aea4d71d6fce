"""What the start of a call says that selects a rate, and that its answer may not repeat.

The address of the client, the region, the deployment and the lifetime of cache entries stand in the request only; the
tier and the speed are lost from a stream. Of the messages nothing is looked at but their ``cache_control`` marks, and
for Gemini whether there is sound among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from costtrace.responses import text
from costtrace.usage import FLAG_DETAILS_LOST

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_CLIENT_OPTIONS: Final = {
    "anthropic_api_url": "base_url",
    "api_endpoint": "base_url",  # langchain-google-vertexai
    "azure_deployment": "azure_deployment",
    "azure_endpoint": "base_url",
    "base_url": "base_url",  # langchain-google-genai
    "deployment_name": "azure_deployment",
    "endpoint": "base_url",  # langchain-mistralai
    "endpoint_url": "base_url",  # langchain-aws
    "inference_geo": "inference_geo",
    "location": "region",  # Google's
    "openai_api_base": "base_url",
    "openrouter_api_base": "base_url",
    "region_name": "region",  # AWS's
    "xai_api_base": "base_url",
}
"""The context key that each integration's constructor argument is, as LangChain serializes it."""
_CALL_OPTIONS: Final = ("inference_geo", "speed")
_SAID_IN_OPTIONS: Final = frozenset({*_CALL_OPTIONS, "model_kwargs", "service_tier"})
_SAID_BY_CLIENT: Final = frozenset({*_CLIENT_OPTIONS, "service_tier"})
_DEFAULT_TTL: Final = "5m"
_MIXED: Final = "mixed"


class Asked(NamedTuple):
    """What a request says that selects a rate. Kept while its call is under way."""

    context: Mapping[str, str]
    """By the keys of `costtrace.pricing.options.CONTEXT_KEYS`."""
    service_tier: str | None
    """As asked for; None where it was left to the provider."""
    flag: str | None
    """What a reader of the usage must know."""


def asked_for(
    provider: str | None,
    serialized: Mapping[str, Any] | None,
    messages: Iterable[Iterable[Any]],
    options: Mapping[str, Any],
) -> Asked | None:
    """What the start of a call says, or None where it says nothing.

    `serialized` is LangChain's record of the model (None in a text model's batch), `options` the call's
    ``invocation_params``.
    """
    client = (serialized.get("kwargs") or _NOTHING) if serialized else _NOTHING
    if client is not _NOTHING:
        client = _mapping(client)
    looked_into = provider is not None and messages and ("anthropic" in provider or provider == "google_genai")
    if not looked_into and _SAID_IN_OPTIONS.isdisjoint(options) and _SAID_BY_CLIENT.isdisjoint(client):
        return None  # as most requests: it leaves all of that to the provider
    context, tier, flag = request_context(provider, client, options), _requested_tier(options, client), None
    if provider is not None and messages:
        if "anthropic" in provider:
            ttl = cache_ttl(messages, options)
            if ttl is not None:
                context["cache_ttl"] = ttl
        elif provider == "google_genai" and has_sound(messages):
            flag = FLAG_DETAILS_LOST  # sound has its own price, and its tokens are not told apart
    return Asked(context, tier, flag) if context or tier or flag else None


def request_context(provider: str | None, client: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, str]:
    """What the arguments of client and call say, but for the tier and the messages."""
    found: dict[str, str] = {}
    for name in client:
        key = _CLIENT_OPTIONS.get(name)
        if key is None or (name == "anthropic_api_url" and provider != "anthropic"):
            continue  # on Bedrock that address stands unused beside the real one
        if (value := _value(key, client[name])) is not None:
            found[key] = value
    extra = _mapping(options.get("model_kwargs"))
    for key in _CALL_OPTIONS:
        if (value := text(options.get(key) or extra.get(key))) is not None:
            found[key] = value
    return found


def _requested_tier(options: Mapping[str, Any], client: Mapping[str, Any]) -> str | None:
    tier = options.get("service_tier") or client.get("service_tier")
    if tier is None:
        tier = _mapping(options.get("model_kwargs")).get("service_tier")
    return None if tier == "auto" else text(tier)  # auto is a wish; what it became stands in the answer


def cache_ttl(messages: Iterable[Iterable[Any]], options: Mapping[str, Any]) -> str | None:
    """How long Anthropic was asked to keep what it writes to its cache: ``5m``, ``1h``, ``mixed``, or None."""
    found = {_DEFAULT_TTL if mark.get("ttl") is None else str(mark["ttl"]) for mark in _cache_marks(messages, options)}
    if len(found) > 1:
        return _MIXED
    return text(found.pop()) if found else None


def has_sound(messages: Iterable[Iterable[Any]]) -> bool:
    """Whether sound or film is among the input."""
    return any(_is_sound(block) for block in _blocks(messages))


def _cache_marks(messages: Iterable[Iterable[Any]], options: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    tools = options.get("tools")
    holders = [options, *_blocks(messages), *(tools if isinstance(tools, (list, tuple)) else ())]
    for holder in holders:
        mark = holder.get("cache_control") if isinstance(holder, Mapping) else None
        if isinstance(mark, Mapping):
            yield mark


def _blocks(messages: Iterable[Iterable[Any]]) -> Iterator[Mapping[str, Any]]:
    for conversation in messages:
        for message in conversation:
            content = message.content
            if isinstance(content, list):
                yield from (block for block in content if isinstance(block, Mapping))


def _is_sound(block: Mapping[str, Any]) -> bool:
    mime = block.get("mime_type")
    return block.get("type") in {"audio", "input_audio", "video"} or (
        isinstance(mime, str) and mime.startswith(("audio/", "video/"))
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if type(value) is dict or isinstance(value, Mapping) else _NOTHING


def _value(key: str, value: object) -> str | None:
    return public_address(value) if key == "base_url" and type(value) is str else text(value)


@lru_cache(maxsize=256)
def public_address(url: str) -> str | None:
    """The address without the credentials and queries it may hold; None for one that does not say who answers.

    Behind an address of this machine stands a tunnel, a proxy or a test: who bills is whom the client names.
    """
    try:
        parts = urlsplit(url if "//" in url else f"https://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or _is_loopback(host):
        return None
    return text(f"{parts.scheme}://{host}{f':{port}' if port else ''}{parts.path}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
