"""What a span says of an entry. Pure: from the entry alone, so that a span can be drawn from the ledger as well.

The names under which viewers look for a cost read doubles, so the exact amount has a name of its own. Cost stands on
leaves alone, because viewers add it up, and only money that is owed is a cost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from costtrace.entry import Entry, Kind
from costtrace.entry import Status as Outcome
from costtrace.money import EXACT, NANO_DIGITS, ZERO, Money, amount_text
from costtrace.quote import Quote, QuoteStatus
from costtrace.tracing import names
from costtrace.usage import DIRECTIONS, Usage

NO_PRESETS: Final[frozenset[str]] = frozenset()
PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws.bedrock",
    "anthropic_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock_converse": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
"""LangChain's ``ls_provider`` to OpenTelemetry's ``gen_ai.provider.name``, where they differ."""

_MODEL_KINDS: Final = frozenset({Kind.LLM, Kind.EMBEDDING})
WRITTEN: Final = ("cache_write", "cache_write_5m", "cache_write_1h", "cache_write_12h")
"""The buckets of what is written to a cache."""
_MAX_INT: Final = 2**63 - 1
_OUTCOMES: Final = {
    Outcome.CANCELLED: names.CANCELLED,
    Outcome.ABANDONED: names.ABANDONED,
    "interrupted": names.INTERRUPTED,
}
OPENINFERENCE_KINDS: Final[Mapping[str, str]] = {
    names.CHAT: "LLM",
    names.TEXT_COMPLETION: "LLM",
    names.EMBEDDINGS: "EMBEDDING",
    names.EXECUTE_TOOL: "TOOL",
    names.INVOKE_AGENT: "AGENT",
    names.INVOKE_WORKFLOW: "CHAIN",
    names.RETRIEVAL: "RETRIEVER",
}


def entry_attributes(entry: Entry, presets: frozenset[str] = NO_PRESETS) -> dict[str, Any]:
    """Everything the span of an entry says, whatever the kind of entry.

    Values are texts, integers, doubles and booleans. An estimate is no cost, and an entry that replaces another shows
    the difference that it makes, so that the costs of all spans add up.
    """
    found = _identity(entry, presets)
    found.update(outcome_attributes(entry, presets))
    return found


def outcome_attributes(entry: Entry, presets: frozenset[str] = NO_PRESETS) -> dict[str, Any]:
    """What is known of an entry when it is over; the rest of `entry_attributes` is known when it begins."""
    found: dict[str, Any] = {}
    model_call = entry.kind in _MODEL_KINDS
    if entry.error:
        found[names.ERROR_TYPE] = entry.error
    if entry.status in _OUTCOMES:
        found[_OUTCOMES[entry.status]] = True
    if model_call:
        if entry.model and (entry.usage is not None or entry.status == Outcome.COMPLETED):
            found[names.RESPONSE_MODEL] = entry.model  # of a call without an answer it is what was asked for
        if entry.usage is not None:
            found.update(_usage(entry.usage, presets))
    quote = entry.quote
    if model_call or quote is not None or entry.cost is not None or entry.estimate is not None:
        found[names.COST_STATUS] = _cost_status(entry)
    if quote is not None and quote.basis is not None:
        found[names.PRICE_SOURCE] = quote.basis.source
        found[names.PRICE_VERSION] = quote.basis.version
    if entry.cost is not None:
        found.update(_cost(entry, entry.cost, presets))
    elif entry.estimate is not None and entry.replaces is None:
        found.update(_text_of(entry.estimate, names.ESTIMATE_USD, names.ESTIMATE_AMOUNT, names.ESTIMATE_CURRENCY))
    return found


def provider_name(provider: str) -> str:
    """LangChain's name of a provider as OpenTelemetry has it."""
    return PROVIDER_NAMES.get(provider, provider)


def operation_of(entry: Entry) -> str | None:
    """The operation that a LangChain entry stands for; None for other kinds."""
    if entry.kind == Kind.LLM:
        return names.TEXT_COMPLETION if entry.details.get("operation") == names.TEXT_COMPLETION else names.CHAT
    return {Kind.EMBEDDING: names.EMBEDDINGS, Kind.TOOL_RUN: names.EXECUTE_TOOL}.get(entry.kind)  # type: ignore[call-overload,no-any-return]  # any text may ask


def _identity(entry: Entry, presets: frozenset[str]) -> dict[str, Any]:
    found: dict[str, Any] = {names.MESSAGE_UUID: entry.message_uuid}
    operation = operation_of(entry)
    if operation is not None:
        found[names.OPERATION] = operation
        if "openinference" in presets:
            found[names.OPENINFERENCE_KIND] = OPENINFERENCE_KINDS[operation]
    if entry.context.thread_id:
        found[names.CONVERSATION] = entry.context.thread_id
    if entry.kind in _MODEL_KINDS:
        if entry.provider:
            found[names.PROVIDER] = provider_name(entry.provider)
        if entry.requested_model:
            found[names.REQUEST_MODEL] = entry.requested_model
    for detail, name in (("tool", names.TOOL_NAME), ("tool_call_id", names.TOOL_CALL_ID)):
        if entry.kind == Kind.TOOL_RUN and entry.details.get(detail):
            found[name] = entry.details[detail]
    return found


def _usage(usage: Usage, presets: frozenset[str]) -> dict[str, Any]:
    buckets = usage.buckets
    written = sum(buckets.get(bucket, 0) for bucket in WRITTEN)
    found: dict[str, Any] = {
        names.INPUT_TOKENS: usage.input_tokens,
        names.OUTPUT_TOKENS: usage.output_tokens,
        names.TOTAL_TOKENS: usage.input_tokens + usage.output_tokens,
        names.CACHE_READ: buckets.get("cache_read", 0) + buckets.get("cache_read_audio", 0),
        names.CACHE_WRITE_OLD: written,
        names.REASONING: usage.reasoning_tokens,
    }
    if "langfuse" not in presets:  # it takes a usage key that it does not know for further tokens
        found[names.CACHE_WRITE] = written
    if sound := buckets.get("input_audio", 0) + buckets.get("cache_read_audio", 0):
        found[names.AUDIO_IN] = sound
    if sound := buckets.get("output_audio", 0):
        found[names.AUDIO_OUT] = sound
    return found


def _cost_status(entry: Entry) -> str:
    status = entry.cost_status
    if entry.cost is None and entry.estimate is not None and status in {None, QuoteStatus.PENDING}:
        return QuoteStatus.ESTIMATED.value
    return status or ("unknown" if entry.cost is None else QuoteStatus.PROVIDER_REPORTED.value)


def _cost(entry: Entry, cost: Money, presets: frozenset[str]) -> dict[str, Any]:
    found = _text_of(cost, names.COST_USD, names.COST_AMOUNT, names.COST_CURRENCY)
    model_call = entry.kind in _MODEL_KINDS
    if cost.currency == "USD":
        found[names.OPERATION_COST] = amount = float(cost.amount)
        nano = round(cost.amount.scaleb(NANO_DIGITS, EXACT))
        if abs(nano) <= _MAX_INT:
            found[names.COST_NANO_USD] = nano
        if model_call:
            found[names.LLM_COST_TOTAL] = amount
            parts = _parts(entry.quote, cost.amount)
            if parts is not None:
                found[names.LLM_COST_PROMPT], found[names.LLM_COST_COMPLETION] = parts
            if "draft443" not in presets:
                found[names.USAGE_COST] = amount
            for preset in presets & _PRESET_COSTS.keys():
                found.update(_PRESET_COSTS[preset](amount, parts))
    if model_call and "draft443" in presets:
        named = entry.cost_status == QuoteStatus.PROVIDER_REPORTED
        found[names.DRAFT_AMOUNT] = float(cost.amount)
        found[names.DRAFT_CURRENCY] = cost.currency
        found[names.DRAFT_SOURCE] = "provider" if named else "local"
    return found


def _posthog(amount: float, parts: tuple[float, float] | None) -> dict[str, Any]:
    found = {names.POSTHOG_TOTAL: amount}
    if parts is not None:
        found[names.POSTHOG_INPUT], found[names.POSTHOG_OUTPUT] = parts
    return found


def _mlflow(amount: float, parts: tuple[float, float] | None) -> dict[str, Any]:
    said = {} if parts is None else {"input_cost": parts[0], "output_cost": parts[1]}
    return {names.MLFLOW_COST: json.dumps({**said, "total_cost": amount})}


def _langfuse(amount: float, parts: tuple[float, float] | None) -> dict[str, Any]:
    said = {} if parts is None else {"input": parts[0], "output": parts[1]}
    return {names.LANGFUSE_COST: json.dumps({**said, "total": amount})}


_PRESET_COSTS: Final[Mapping[str, Callable[[float, tuple[float, float] | None], dict[str, Any]]]] = {
    "langfuse": _langfuse,
    "mlflow": _mlflow,
    "posthog": _posthog,
}


def _parts(quote: Quote | None, cost: Decimal) -> tuple[float, float] | None:
    """What input and output tokens cost, where the cost is the sum of the quote's lines."""
    if quote is None or not quote.lines or quote.status is not QuoteStatus.EXACT or quote.amount != cost:
        return None
    prompt, completion = ZERO, ZERO
    for line in quote.lines:
        direction = DIRECTIONS.get(line.bucket)
        if direction == "input":
            prompt = EXACT.add(prompt, line.subtotal)
        elif direction == "output":
            completion = EXACT.add(completion, line.subtotal)
    return float(prompt), float(completion)


def _text_of(money: Money, usd: str, amount: str, currency: str) -> dict[str, Any]:
    if money.currency == "USD":
        return {usd: amount_text(money.amount)}
    return {amount: amount_text(money.amount), currency: money.currency}
