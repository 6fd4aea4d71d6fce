"""Resolution: from what a client says about a call to the route its price depends on.

Price lists are asked by exact ids only. Their own matching of provider names is not used: it sends ``azure_openai`` to
OpenAI's prices, ``anthropic-bedrock`` to Anthropic's, and any word with "openai" in it to OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from costtrace.pricing.endpoints import Endpoint, endpoint
from costtrace.pricing.model_names import GEOGRAPHIES, Naming, naming
from costtrace.pricing.route import Route

PROVIDERS: Final[Mapping[str, str]] = {
    "openai": "openai",
    "openai-chat": "openai",
    "azure": "azure",
    "azure_openai": "azure",
    "azure-openai": "azure",
    "azure-openai-chat": "azure",
    "azure_ai": "azure",
    "azureaichatcompletionsmodel": "azure",
    "anthropic": "anthropic",
    "anthropic-chat": "anthropic",
    "anthropic-llm": "anthropic",
    "aws": "aws",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "amazon_bedrock": "aws",
    "amazon_bedrock_chat": "aws",
    "amazon_bedrock_converse_chat": "aws",
    "amazon_bedrock_nova_sonic": "aws",
    "anthropic_bedrock": "aws",
    "anthropic-bedrock": "aws",
    "anthropic-bedrock-chat": "aws",
    "anthropic-mantle": "aws",
    "anthropic-mantle-chat": "aws",
    "bedrock_mantle_anthropic": "aws",
    "openai-mantle": "aws",
    "openai-mantle-chat": "aws",
    "bedrock_mantle_openai": "aws",
    "google": "google",
    "google_genai": "google",
    "google_gemini": "google",
    "chat-google-generative-ai": "google",
    "google_vertexai": "google",
    "vertexai": "google",
    "google_anthropic_vertex": "google",
    "anthropicvertex": "google",
    "anthropic-chat-vertexai": "google",
    "x-ai": "x-ai",
    "xai": "x-ai",
    "xai-chat": "x-ai",
    "mistral": "mistral",
    "mistralai": "mistral",
    "mistralai-chat": "mistral",
    "deepseek": "deepseek",
    "chat-deepseek": "deepseek",
    "groq": "groq",
    "groq-chat": "groq",
    "openrouter": "openrouter",
    "openrouter-chat": "openrouter",
    "cohere": "cohere",
    "cohere-chat": "cohere",
    "together": "together",
    "together-chat": "together",
    "fireworks": "fireworks",
    "fireworks-chat": "fireworks",
    "perplexity": "perplexity",
    "perplexitychat": "perplexity",
    "cerebras": "cerebras",
    "cerebras-chat": "cerebras",
    "baseten": "baseten",
    "baseten-chat": "baseten",
    "meta": "meta",
    "meta-model-chat": "meta",
    "moonshot": "moonshotai",
}
"""LangChain's words for a provider (``ls_provider``, ``model_provider``, ``_llm_type``, and the names that
``init_chat_model`` takes) to the price list's id. A word that is not here stands for itself."""

_SUBSCRIPTIONS: Final = frozenset({"openai-codex", "openai-codex-chat"})
"""Clients that sign in to a Codex subscription; the API's prices are not what such a call costs."""

_CONSUMED: Final = ("base_url", "azure_deployment")


def resolve(provider: str, model: str, context: Mapping[str, str]) -> Route:
    """The route of a call.

    `provider` is LangChain's word or a price list's id, `model` the name as served, `context` what else is known of
    the call. Never raises: what cannot be known is a `problem` of the route.
    """
    base_url = context.get("base_url")
    place = endpoint(base_url) if base_url else None
    billed_by = place.provider if place and place.provider else PROVIDERS.get(provider.strip().lower(), provider)
    if billed_by == "openai" and place is None and "azure_deployment" in context:
        billed_by = "azure"  # its answers say that they are OpenAI's; OpenAI has no deployments
    named = naming(billed_by, model)
    region, differing = _region(context.get("region"), place, named)
    consumed = [key for key in _CONSUMED if key in context and (key != "azure_deployment" or billed_by == "azure")]
    used = {key: context[key] for key in consumed}
    if place is not None:
        used["base_url"] = place.host
    rest = {key: value for key, value in context.items() if key not in {*consumed, "region"}}
    if rest.get("service_tier") == "batch":  # Anthropic's word for how the call came in
        rest["processing"] = rest.pop("service_tier")
    if region is not None:
        (used if named.geography else rest)["region"] = region
    return Route(
        provider=billed_by,
        names=named.names,
        asked_provider=provider,
        asked_model=model,
        context=MappingProxyType(rest),
        used=MappingProxyType(used),
        assumptions=tuple(filter(None, (differing, _deployment(billed_by, model, context)))),
        problem=_subscription(provider) or _unknown_host(place) or named.problem,
    )


def _region(said: str | None, place: Endpoint | None, named: Naming) -> tuple[str | None, str | None]:
    """The region that is billed, and what is assumed where the caller and the call do not agree on it.

    A caller may name the region that an inference profile is called from; another geography would contradict it.
    """
    served = named.geography or (place.region if place else None) or named.region
    consistent = named.geography is not None and said not in GEOGRAPHIES
    if served and said and said != served and not consistent:
        return served, f"region={served}, not {said}"
    return served or said, None


def _deployment(provider: str, model: str, context: Mapping[str, str]) -> str | None:
    """A deployment may be called what it likes; its name is no evidence of the model it serves."""
    if provider == "azure" and context.get("azure_deployment") == model:
        return f"model={model}, by the name of its deployment"
    return None


def _subscription(provider: str) -> str | None:
    if provider.strip().lower() in _SUBSCRIPTIONS:
        return "calls through a Codex subscription are not billed at the API's prices; add yours to your own rates"
    return None


def _unknown_host(place: Endpoint | None) -> str | None:
    if place is None or place.provider is not None:
        return None
    host = place.host or "the base URL"
    return f"nobody is known to bill calls to {host} at published prices; add its price to your own rates"
