"""What a span shows of a request and its answer beside usage and cost. Read only where a span records it.

Settings and identifiers alone: of the messages themselves nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

from langchain_core.outputs import ChatGeneration, LLMResult

from costtrace.langchain.requests import Asked
from costtrace.langchain.runs import Call
from costtrace.tracing import names

_MAX_TEXT: Final = 200
_OPTIONS: Final[tuple[tuple[str, tuple[str, ...], type], ...]] = (
    (names.REQUEST_TEMPERATURE, ("temperature",), float),
    (names.REQUEST_TOP_P, ("top_p",), float),
    (names.REQUEST_MAX_TOKENS, ("max_tokens", "max_completion_tokens", "max_output_tokens"), int),
    (names.REQUEST_SEED, ("seed",), int),
)
"""Attribute, the names that integrations have for it among a call's ``invocation_params``, and its type."""
_SHOWN: Final = frozenset(key for _, keys, _ in _OPTIONS for key in keys)
_REASONS: Final = ("finish_reason", "stop_reason", "stopReason", "done_reason")


def request_attributes(options: Mapping[str, Any], asked: Asked | None) -> dict[str, Any]:
    """What a request says; `options` are the call's ``invocation_params``."""
    found: dict[str, Any] = {}
    for attribute, keys, kind in () if _SHOWN.isdisjoint(options) else _OPTIONS:
        for key in keys:
            value = options.get(key)
            if kind is float and type(value) is int:
                value = float(value)
            if type(value) is kind:
                found[attribute] = value
                break
    if options.get("stream") is True:  # False is what the model was made with, and it may stream all the same
        found[names.REQUEST_STREAM] = True
    choices = options.get("n")
    if type(choices) is int and choices > 1:
        found[names.REQUEST_CHOICES] = choices
    if asked is not None and "base_url" in asked.context:
        found.update(_server(asked.context["base_url"]))
    return found


def shown_of(call: Call, result: LLMResult | None) -> Mapping[str, Any]:
    """What the span of a call says of its answer beside the entry, which a strange answer must not cost us."""
    if result is None or call.span is None or not call.span.is_recording():
        return names.NOTHING
    try:
        return answer_attributes(result)
    except Exception:  # noqa: BLE001 - a result may come from any integration, in any shape
        call.recorder.fault("reading a result for its span")
        return names.NOTHING


def answer_attributes(result: LLMResult) -> dict[str, Any]:
    """What an answer says, also one that broke off."""
    found: dict[str, Any] = {}
    reasons = []
    for generation in result.generations[0] if result.generations else ():
        metadata = generation.message.response_metadata if isinstance(generation, ChatGeneration) else {}
        said = {**(generation.generation_info or {}), **metadata}
        for key in _REASONS:
            if key in said and _is_word(said[key]):
                reasons.append(said[key])
                break
        identity = said.get("id") or _own_id(generation)
        if names.RESPONSE_ID not in found and _is_word(identity):
            found[names.RESPONSE_ID] = identity
    if reasons:
        found[names.FINISH_REASONS] = tuple(reasons)
    return found


def _own_id(generation: Any) -> object:
    """The message's id where the provider gave it; LangChain makes one of its own from the run id otherwise."""
    identity = generation.message.id if isinstance(generation, ChatGeneration) else None
    return None if isinstance(identity, str) and identity.startswith(("run-", "lc_")) else identity


def _is_word(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= _MAX_TEXT and value.isprintable()  # a lone surrogate is not


@lru_cache(maxsize=256)
def _server(address: str) -> Mapping[str, Any]:
    parts = urlsplit(address)
    found: dict[str, Any] = {names.SERVER_ADDRESS: parts.hostname} if parts.hostname else {}
    if parts.port is not None:
        found[names.SERVER_PORT] = parts.port
    return found
