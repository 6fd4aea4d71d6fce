"""What a provider's answer says beyond its tokens: who served what, at which tier, where, and for how much.

Read from plain mappings, as LangChain's ``response_metadata`` and ``llm_output`` hold them; each integration puts the
same fact elsewhere, and this is the one place that knows where. Nothing here raises for an odd shape: a fact that
cannot be read is absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from costtrace.errors import InvalidValue
from costtrace.reported import reported_amount
from costtrace.tool_calls import tool_calls
from costtrace.usage import FLAG_CACHE_HIT, FLAG_DETAILS_LOST, FLAG_INCOMPLETE, Usage
from costtrace.usage_metadata import tier_of, usage_from_metadata, usage_from_token_usage

MAX_TEXT: Final = 512
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_USAGE_PLACES: Final = ("token_usage", "usage", "usage_metadata")
"""Where integrations put the provider's raw record; the last is langchain-google-vertexai's."""
_COST_FIELDS: Final = ("cost", "cost_details", "cost_in_usd_ticks", "is_byok", "response_cost")
_PROXY_COST: Final = "x-litellm-response-cost"
_TRAFFIC: Final = {
    "ON_DEMAND": "on_demand",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "TRAFFIC_TYPE_UNSPECIFIED": None,
}
"""Vertex AI's words for tiers. Another, such as ``PROVISIONED_THROUGHPUT``, stays a word no list has a rate for."""
_DROPS_CACHE_WHEN_STREAMED: Final = frozenset({"mistral", "mistralai"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What an answer says about its call."""

    usage: Usage | None
    """None where nothing was reported."""
    provider: str | None
    """``response_metadata["model_provider"]``; only a fallback for ``ls_provider``, since Azure's says ``openai``."""
    model: str | None
    """As served."""
    service_tier: str | None
    """As served."""
    context: Mapping[str, str]
    """What else selects a rate, as served: ``speed``, ``inference_geo``."""
    reported: Mapping[str, Any]
    """The provider's own cost fields, as they arrived; empty if there are none."""


def read_response(
    usage_metadata: Mapping[str, Any] | None,
    response_metadata: Mapping[str, Any],
    *,
    provider: str | None = None,
    content: object = None,
    llm_output: Mapping[str, Any] = _NOTHING,
    incomplete: bool = False,
) -> Response:
    """Read one answer. `provider` is LangChain's ``ls_provider``; `content` the answer's text or list of blocks.

    `incomplete` says that the answer broke off before its last count. Never raises.
    """
    raw = _raw_usage(response_metadata) or _raw_usage(llm_output) or _NOTHING
    served_by = text(response_metadata.get("model_provider") or llm_output.get("model_provider"))
    model = _model(response_metadata, llm_output)
    usage = None
    if usage_metadata is not None or raw:
        calls, flags = tool_calls(content, raw, response_metadata, model)
        if incomplete or (not raw and _holds_hidden_iterations(content)):
            flags.append(FLAG_INCOMPLETE)
        usage = _usage(usage_metadata, raw, provider=provider or served_by, tools=calls, flags=flags)
    bought = usage is None or FLAG_CACHE_HIT not in usage.flags
    return Response(
        usage=usage,
        provider=served_by,
        model=model,
        service_tier=_service_tier(response_metadata, llm_output, raw) or tier_of(usage_metadata),
        context=_context(raw) if raw else _NOTHING,
        reported=_reported(raw, response_metadata, llm_output) if bought else _NOTHING,
    )


def text(value: object) -> str | None:
    """The value as a text an entry can hold, or None. Ids come as numbers and UUIDs as well."""
    if type(value) is str and 0 < len(value) <= MAX_TEXT and value.isascii():
        return value
    if value is None:
        return None
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-8", "replace").decode()[:MAX_TEXT] if not value.isascii() else value[:MAX_TEXT]


def _usage(
    reported: Mapping[str, Any] | None,
    raw: Mapping[str, Any],
    *,
    provider: str | None,
    tools: Mapping[str, int],
    flags: list[str],
) -> Usage | None:
    if reported is None:
        return usage_from_token_usage(raw, provider=provider, tools=tools, flags=flags)
    if not raw and provider in _DROPS_CACHE_WHEN_STREAMED:
        flags.append(FLAG_DETAILS_LOST)
    return usage_from_metadata(reported, raw, provider=provider, tools=tools, flags=flags)


def _holds_hidden_iterations(content: object) -> bool:
    """Anthropic bills a compaction in ``usage.iterations``; LangChain drops that from a stream, and the block stays."""
    return isinstance(content, list) and any(
        isinstance(block, Mapping) and block.get("type") == "compaction" for block in content
    )


def _raw_usage(holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for place in _USAGE_PLACES:
        found = holder.get(place)
        if found and isinstance(found, Mapping):
            return found
    return None


def _model(metadata: Mapping[str, Any], output: Mapping[str, Any]) -> str | None:
    """The served model; on Bedrock the inference profile that it went through, which says more: the geography."""
    profile = text(metadata.get("inference_profile_id"))
    if profile is not None and "application-inference-profile" not in profile:
        return profile.rpartition("/")[2]
    return text(metadata.get("model_name") or metadata.get("model") or output.get("model_name") or output.get("model"))


def _service_tier(metadata: Mapping[str, Any], output: Mapping[str, Any], raw: Mapping[str, Any]) -> str | None:
    tier = (
        metadata.get("service_tier")
        or metadata.get("serviceTier")  # Bedrock
        or output.get("service_tier")
        or raw.get("service_tier")
    )
    if tier is None and isinstance(traffic := raw.get("traffic_type"), str):
        return _TRAFFIC.get(traffic, traffic.lower())
    return text(tier.get("type") if isinstance(tier, Mapping) else tier)


def _context(raw: Mapping[str, Any]) -> Mapping[str, str]:
    speed, geo = text(raw.get("speed")), text(raw.get("inference_geo"))
    if speed is None and geo is None:
        return _NOTHING
    return {key: value for key, value in (("speed", speed), ("inference_geo", geo)) if value is not None}


def _reported(raw: Mapping[str, Any], metadata: Mapping[str, Any], output: Mapping[str, Any]) -> Mapping[str, Any]:
    """The amounts that xAI (ticks), OpenRouter and Perplexity (cost) and a LiteLLM proxy (response cost) say.

    One that cannot be read is no amount: the call is priced as if nobody had named any.
    """
    found = {
        field: holder[field]
        for holder in (output, raw, metadata)
        for field in _COST_FIELDS
        if holder and holder.get(field) is not None
    }
    hidden = metadata.get("_hidden_params")
    if isinstance(hidden, Mapping) and hidden.get("response_cost") is not None:
        found.setdefault("response_cost", hidden["response_cost"])
    headers = metadata.get("headers")
    if isinstance(headers, Mapping) and headers.get(_PROXY_COST) is not None:
        found.setdefault("response_cost", headers[_PROXY_COST])
    try:
        return found if found and reported_amount(found) is not None else _NOTHING
    except InvalidValue:
        return _NOTHING
