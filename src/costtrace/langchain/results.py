"""What a LangChain result says about its call: usage, model, tier, failure. Read by value, nothing of it is kept.

LangChain shares and later changes the objects it hands out (a cached answer's usage gets ``total_cost: 0`` after the
fact), so everything is copied out while the callback runs. Prompts, answers and error texts are never looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from costtrace.entry import Status
from costtrace.usage import (
    FLAG_CACHE_HIT,
    FLAG_INCOMPLETE,
    FLAG_TOOL_FEES,
    Usage,
    usage_from_metadata,
    usage_from_token_usage,
)

_MAX_TEXT: Final = 512
_FIRST_ERROR_STATUS: Final = 400
_NOTHING: Final[Mapping[str, Any]] = {}
_BILLED_TOOLS: Final = frozenset(
    {
        "code_interpreter_call",
        "file_search_call",
        "image_generation_call",
        "server_tool_use",
        "web_search_call",
    }
)
"""Content blocks of tools that the provider runs and bills itself."""


@dataclass(slots=True)
class Answer:
    """What was learnt from the end of a call. Not kept."""

    status: str
    usage: Usage | None
    provider: str | None = None
    model: str | None = None
    service_tier: str | None = None
    refused: bool = False
    """Whether nothing was bought by this call itself."""
    error: str | None = None
    note: str | None = None
    """What a reader must know of the usage."""


def completed(result: LLMResult) -> Answer:
    """The answer of a call that ended well.

    The first generation speaks for the call: with ``n > 1`` each generation repeats the whole usage.
    """
    message = _message(result)
    output = result.llm_output or _NOTHING
    metadata = message.response_metadata if message is not None else _NOTHING
    usage = _usage(message, metadata, output)
    if usage is None and message is None and output.get("token_usage") == {}:
        # LangChain gives the usage of a batch of texts to its first and an empty one to each of the others
        return replace(
            _answer(Status.COMPLETED, None, metadata, output), refused=True, note="on the first of its batch"
        )
    if usage is not None and FLAG_CACHE_HIT not in usage.flags:
        usage = _believed(usage)
        if message is not None and _ran_tools(message):
            usage = flagged(usage, FLAG_TOOL_FEES)
    return _answer(Status.COMPLETED, usage, metadata, output)


def failed(error: BaseException, result: LLMResult | None) -> Answer:
    """The answer of a call that failed or was broken off; it may have been paid for all the same.

    A stream that is closed early arrives as GeneratorExit with the chunks so far; an answer that did not fit its schema
    arrives with the provider's whole body.
    """
    message = None if result is None else _message(result)
    metadata = message.response_metadata if message is not None else _NOTHING
    http_status = metadata.get("status_code") or getattr(error, "status_code", None)  # as OpenAI and Anthropic name it
    name = type(error).__name__
    code = f"{name} {http_status}" if isinstance(http_status, int) else name
    if isinstance(error, (GeneratorExit, asyncio.CancelledError)):
        partial = _partial_usage(message)
        return _answer(Status.CANCELLED, partial, metadata, _NOTHING)
    body = metadata.get("body")
    if isinstance(body, dict) and isinstance(body.get("usage"), dict):
        paid = usage_from_token_usage(body["usage"])
        answer = _answer(Status.FAILED, paid if paid is None else _believed(paid), body, _NOTHING)
        return replace(answer, error=code)
    refused = isinstance(http_status, int) and http_status >= _FIRST_ERROR_STATUS
    answer = _answer(Status.FAILED, _partial_usage(message), metadata, _NOTHING)
    return replace(answer, refused=refused and answer.usage is None, error=code)


def text(value: object) -> str | None:
    """The value as a text an entry can hold, or None. Ids come as numbers and UUIDs as well."""
    if type(value) is str and 0 < len(value) <= _MAX_TEXT and value.isascii():
        return value
    if isinstance(value, (int, UUID)) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        return None
    return value.encode("utf-8", "replace").decode()[:_MAX_TEXT] if not value.isascii() else value[:_MAX_TEXT]


def _message(result: LLMResult) -> AIMessage | None:
    generations = result.generations
    if not generations or not generations[0]:
        return None
    generation = generations[0][0]
    message = generation.message if isinstance(generation, ChatGeneration) else None
    return message if type(message) is AIMessage or isinstance(message, AIMessage) else None


def _answer(status: str, usage: Usage | None, metadata: Mapping[str, Any], output: Mapping[str, Any]) -> Answer:
    raw = metadata.get("usage") or output.get("usage")
    tier = (
        metadata.get("service_tier")
        or output.get("service_tier")
        or (isinstance(raw, dict) and raw.get("service_tier"))
    )
    return Answer(
        status=status,
        usage=usage,
        provider=text(metadata.get("model_provider") or output.get("model_provider")),
        model=text(metadata.get("model_name") or metadata.get("model") or output.get("model_name")),
        service_tier=text(tier),
    )


def _usage(message: AIMessage | None, metadata: Mapping[str, Any], output: Mapping[str, Any]) -> Usage | None:
    raw = metadata.get("token_usage") or metadata.get("usage") or output.get("token_usage") or output.get("usage")
    raw = raw if isinstance(raw, dict) else None
    reported = message.usage_metadata if message is not None else None
    if reported is not None:
        unseen = raw is None and message is not None and _was_compacted(message, metadata)
        return usage_from_metadata(reported, raw, incomplete=unseen)
    return usage_from_token_usage(raw) if raw else None


def _partial_usage(message: AIMessage | None) -> Usage | None:
    if message is None or message.usage_metadata is None:
        return None
    return usage_from_metadata(message.usage_metadata, incomplete=True)


def _believed(usage: Usage) -> Usage:
    """The usage; one of no tokens at all is incomplete, since no model answers a prompt for nothing."""
    return usage if usage.buckets or usage.problem is not None else flagged(usage, FLAG_INCOMPLETE)


def _ran_tools(message: AIMessage) -> bool:
    content = message.content
    return isinstance(content, list) and any(
        isinstance(block, dict) and block.get("type") in _BILLED_TOOLS for block in content
    )


def flagged(usage: Usage, flag: str) -> Usage:
    """The usage, with one more thing to know about it."""
    return Usage(
        buckets=usage.buckets,
        reasoning_tokens=usage.reasoning_tokens,
        raw_json=usage.raw_json,
        flags=(*usage.flags, flag),
        problem=usage.problem,
    )


def _was_compacted(message: AIMessage, metadata: Mapping[str, Any]) -> bool:
    """Anthropic bills a compaction in ``usage.iterations``; LangChain drops that from a stream, and the block stays."""
    content = message.content
    return (
        isinstance(content, list)
        and metadata.get("model_provider") == "anthropic"
        and any(isinstance(block, dict) and block.get("type") == "compaction" for block in content)
    )
