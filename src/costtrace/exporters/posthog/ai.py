"""``$ai_generation`` and ``$ai_embedding``: a model call as PostHog's own pages show it, and as our reports read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costtrace.entry import Entry, Kind, Status
from costtrace.exporters.posthog.contract import put_known, text_of
from costtrace.exporters.posthog.money import USD, put_ai_cost
from costtrace.exporters.posthog.personal import fault, identifier, model_name, word
from costtrace.usage import Usage

_WRITES: Final = ("cache_write", "cache_write_5m", "cache_write_1h", "cache_write_12h")
_PLAIN: Final = frozenset({"input", "output"})
_MICRO: Final = 1_000_000


def put_ai(properties: dict[str, Any], entry: Entry) -> None:
    """The properties of a model call. Prompts, answers and the texts of errors are in no entry, so in no event."""
    _put_names(properties, entry)
    properties["$ai_framework"] = "langchain"
    if entry.usage is not None:
        _put_tokens(properties, entry.usage)
    if entry.duration_us is not None:
        properties["$ai_latency"] = entry.duration_us / _MICRO
    if entry.status != Status.COMPLETED or entry.error is not None:
        _put_outcome(properties, entry)
    basis = None if entry.quote is None else entry.quote.basis
    if basis is not None:
        properties["price_table"] = f"{basis.source} {basis.version} {basis.data_hash}"
    if entry.cost is not None and entry.cost.currency == USD:
        # The lines of a correction's quote make up the new price, and its cost is the difference to the old one.
        whole = entry.quote is not None and entry.kind != Kind.CORRECTION
        put_ai_cost(properties, entry.cost, entry.quote.lines if entry.quote is not None and whole else ())


def _put_names(properties: dict[str, Any], entry: Entry) -> None:
    if "message_uuid" in properties:
        properties["$ai_trace_id"] = properties["message_uuid"]
    if "conversation_id" in properties:
        properties["$ai_session_id"] = properties["conversation_id"]
    put_known(properties, "$ai_span_id", identifier(entry.source_id))
    if entry.details:
        put_known(properties, "$ai_parent_id", identifier(text_of(entry.details, "parent_run_id")))
        put_known(properties, "$ai_service_tier", word(text_of(entry.details, "service_tier")))
    model, provider = model_name(entry.model), word(entry.provider)
    if model is not None:
        properties["model"] = properties["$ai_model"] = model
    if provider is not None:
        properties["provider"] = properties["$ai_provider"] = provider


def _put_tokens(properties: dict[str, Any], usage: Usage) -> None:
    buckets = usage.buckets
    total_in, total_out = usage.input_tokens, usage.output_tokens
    properties["input_tokens"] = properties["$ai_input_tokens"] = total_in
    properties["output_tokens"] = properties["$ai_output_tokens"] = total_out
    properties["$ai_total_tokens"] = total_in + total_out
    # LangChain counts cached tokens into the input for every provider; PostHog would guess by the provider's name.
    properties["$ai_cache_reporting_exclusive"] = False
    if usage.reasoning_tokens:
        properties["reasoning_tokens"] = properties["$ai_reasoning_tokens"] = usage.reasoning_tokens
    if not buckets.keys() <= _PLAIN:
        _put_details(properties, buckets)


def _put_details(properties: dict[str, Any], buckets: Mapping[str, int]) -> None:
    read = buckets.get("cache_read", 0) + buckets.get("cache_read_audio", 0)
    if read:
        properties["cache_read_tokens"] = properties["$ai_cache_read_input_tokens"] = read
    written = sum(buckets.get(bucket, 0) for bucket in _WRITES)
    if written:
        properties["cache_write_tokens"] = properties["$ai_cache_creation_input_tokens"] = written
        for bucket, length in (("cache_write_5m", "5m"), ("cache_write_1h", "1h")):
            if bucket in buckets:
                properties[f"$ai_cache_creation_{length}_input_tokens"] = buckets[bucket]
    if "web_search" in buckets:
        properties["$ai_web_search_count"] = buckets["web_search"]


def _put_outcome(properties: dict[str, Any], entry: Entry) -> None:
    put_known(properties, "status", word(entry.status))
    if entry.status == Status.FAILED:
        properties["$ai_is_error"] = True
    name, code = fault(entry.error)
    put_known(properties, "$ai_error_type", name)
    if name is not None:
        properties["$ai_error"] = name
    put_known(properties, "$ai_http_status", code)
