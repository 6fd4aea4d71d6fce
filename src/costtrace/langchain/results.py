"""What a LangChain result says about its call: usage, model, tier, failure. Read by value, nothing of it is kept.

LangChain shares and later changes the objects it hands out (a cached answer's usage gets ``total_cost: 0`` after the
fact), so everything is copied out while the callback runs. Prompts, answers and error texts are never looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult

from costtrace.entry import Status
from costtrace.responses import Response, read_response
from costtrace.usage import Usage

_FIRST_ERROR_STATUS: Final = 400
_NOTHING: Final[Mapping[str, Any]] = {}


def _nothing() -> Mapping[str, Any]:
    return _NOTHING


@dataclass(slots=True)
class Answer:
    """What was learnt from the end of a call. Not kept."""

    status: str
    usage: Usage | None
    provider: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context: Mapping[str, str] = field(default_factory=_nothing)
    """What else selects a rate, as served."""
    reported: Mapping[str, Any] = field(default_factory=_nothing)
    """The provider's own cost fields."""
    refused: bool = False
    """Whether nothing was bought by this call itself."""
    error: str | None = None
    note: str | None = None
    """What a reader must know of the usage."""


def completed(result: LLMResult, provider: str | None = None) -> Answer:
    """The answer of a call that ended well; `provider` is whose client was called, as LangChain names it.

    The first generation speaks for the call: with ``n > 1`` each generation repeats the whole usage.
    """
    message = _message(result)
    output = result.llm_output or _NOTHING
    answer = _answer(Status.COMPLETED, _response(message, output, provider))
    if answer.usage is None and message is None and output.get("token_usage") == {}:
        # LangChain gives the usage of a batch of texts to its first and an empty one to each of the others
        return replace(answer, refused=True, note="on the first of its batch")
    return answer


def failed(error: BaseException, result: LLMResult | None, provider: str | None = None) -> Answer:
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
        return _answer(Status.CANCELLED, _partial(message, metadata, provider))
    body = metadata.get("body")
    if isinstance(body, dict) and isinstance(body.get("usage"), dict):
        paid = read_response(None, body, provider=provider, content=body.get("output") or body.get("content"))
        return replace(_answer(Status.FAILED, paid), error=code)
    refused = isinstance(http_status, int) and http_status >= _FIRST_ERROR_STATUS
    answer = _answer(Status.FAILED, _partial(message, metadata, provider))
    return replace(answer, refused=refused and answer.usage is None, error=code)


def _message(result: LLMResult) -> AIMessage | None:
    generations = result.generations
    if not generations or not generations[0]:
        return None
    generation = generations[0][0]
    message = generation.message if isinstance(generation, ChatGeneration) else None
    return message if type(message) is AIMessage or isinstance(message, AIMessage) else None


def _response(message: AIMessage | None, output: Mapping[str, Any], provider: str | None) -> Response:
    if message is None:
        return read_response(None, _NOTHING, llm_output=output, provider=provider)
    return read_response(
        message.usage_metadata,
        message.response_metadata,
        provider=provider,
        content=_content(message),
        llm_output=output,
    )


def _content(message: AIMessage) -> object:
    """The blocks of the answer; OpenAI's first integration of built-in tools puts their calls beside them."""
    outputs = message.additional_kwargs.get("tool_outputs")
    if not isinstance(outputs, list):
        return message.content
    return [*(message.content if isinstance(message.content, list) else ()), *outputs]


def _partial(message: AIMessage | None, metadata: Mapping[str, Any], provider: str | None) -> Response:
    """What an answer says that broke off; without its last count its usage is not the whole."""
    usage = None if message is None else message.usage_metadata
    content = None if message is None else message.content
    return read_response(usage, metadata, provider=provider, content=content, incomplete=True)


def _answer(status: str, response: Response) -> Answer:
    return Answer(
        status=status,
        usage=response.usage,
        provider=response.provider,
        model=response.model,
        service_tier=response.service_tier,
        context=response.context,
        reported=response.reported,
    )
