"""What may be said of a call beside its usage, and what each option means for the price."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.pricing.sheet import REQUEST
from costtrace.responses import Response
from costtrace.tool_calls import FREE_TOOLS
from costtrace.usage import DIRECTIONS, FLAG_TOOL_FEES, Usage, check_count

CONTEXT_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azure_deployment": "name of the deployment that was called",
        "base_url": "address that was called; it says who really answers an OpenAI-compatible client",
        "cache_ttl": "how long written cache entries are kept: 5m or 1h, at OpenAI 12h",
        "inference_geo": "where Anthropic ran the model: us or global",
        "processing": "batch, where the call was part of one",
        "provider_reported": "the provider's own cost fields, as they arrived",
        "region": "cloud region or data residency, such as us-east-1 or eu",
        "requested_service_tier": "the tier that was asked for, where the answer names none",
        "speed": "fast, where Anthropic served it so",
        "tool_calls": "how often each of the provider's own tools was run, such as {web_search: 2}",
    }
)
"""Every option, and what it says."""
TTLS: Final = ("5m", "1h", "12h")
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_OF_THE_CALL: Final = frozenset({"cache_ttl", "provider_reported", "requested_service_tier", "tool_calls"})
"""Those that select no rate: they speak of this one call."""
_TOOL_BUCKETS: Final[Mapping[str, str]] = {
    "code_execution_requests": "code_execution",
    "code_interpreter": "code_execution",
    "code_interpreter_call": "code_execution",
    "file_search_call": "file_search",
    "google_search": "web_search",
    "web_search_call": "web_search",
    "web_search_preview": "web_search",
    "web_search_queries": "web_search",
    "web_search_requests": "web_search",
    "web_searches": "web_search",
}
"""The usage bucket of a tool, by the names that providers give it."""

Choices = tuple[tuple[str, str], ...]
"""The options that may select a rate, sorted: the part of a call that a rate card is made for."""


def checked(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options that say something. Raises InvalidValue for a key that is none, and a value of the wrong kind."""
    for key, value in context.items():
        if key not in CONTEXT_KEYS:
            raise InvalidValue("context", key, f"only the keys {', '.join(CONTEXT_KEYS)}")
        if key in ("tool_calls", "provider_reported"):
            if value is not None and not isinstance(value, Mapping):
                raise InvalidValue(f"context.{key}", value, "an object")
        elif value is not None and not isinstance(value, str):
            raise InvalidValue(f"context.{key}", value, "a text")
    return {key: value for key, value in context.items() if value}


def selecting(options: Mapping[str, Any]) -> Choices:
    """The options that may select a rate."""
    return tuple(sorted((key, value) for key, value in options.items() if key not in _OF_THE_CALL))


def with_served(options: Mapping[str, Any], response: Response) -> Mapping[str, Any]:
    """What the caller says of the call, and where it is silent what the answer says."""
    if response.reported:
        options = {"provider_reported": response.reported, **options}
    return {**response.context, **options} if response.context else options


def completed(usage: Usage, options: Mapping[str, Any]) -> Usage:
    """The usage, with what the options know better: how long a cache write is kept, which tools were run."""
    tools, ttl = options.get("tool_calls"), options.get("cache_ttl")
    if not tools and not (ttl in TTLS and "cache_write" in usage.buckets):
        return usage
    buckets, flags = dict(usage.buckets), usage.flags
    if ttl in TTLS and "cache_write" in buckets:
        name = f"cache_write_{ttl}"
        buckets[name] = buckets.get(name, 0) + buckets.pop("cache_write")
    if tools:
        buckets |= _tool_buckets(tools)
        flags = tuple(flag for flag in flags if flag != FLAG_TOOL_FEES)
    return Usage(
        buckets=buckets,
        reasoning_tokens=usage.reasoning_tokens,
        raw_json=usage.raw_json,
        flags=flags,
        problem=usage.problem,
    )


def _tool_buckets(tools: Mapping[str, Any]) -> dict[str, int]:
    """Counts by bucket; two names of one tool add up, and a tool without a fee of its own is left out."""
    counts: dict[str, int] = {}
    for tool, count in tools.items():
        bucket = _tool_bucket(tool)
        called = check_count(count, f"tool_calls.{tool}")
        if bucket not in FREE_TOOLS:
            counts[bucket] = counts.get(bucket, 0) + called
    return counts


def _tool_bucket(tool: object) -> str:
    if not isinstance(tool, str) or not tool.isidentifier() or tool in DIRECTIONS or tool == REQUEST:
        raise InvalidValue("context.tool_calls", tool, "names of tools, such as web_search")
    return _TOOL_BUCKETS.get(tool, tool)
