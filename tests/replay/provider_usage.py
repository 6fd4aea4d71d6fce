"""What the provider itself said a recorded call used, read from the recorded body without LangChain or costtrace."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.replay.cassettes import RecordedCall

TOOLS_WITH_A_PRICE = {"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"}


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """Totals as billed: input includes what was read from and written to a cache, output includes reasoning."""

    input: int
    output: int
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
            reasoning=self.reasoning + other.reasoning,
        )


NOTHING = Tokens(input=0, output=0)


def reported(call: RecordedCall) -> Tokens | None:
    """The totals at the top of the usage object; None when the body has none."""
    usage = _usage(call)
    return _tokens(call.provider, usage) if usage else None


def billed(call: RecordedCall) -> Tokens | None:
    """The totals to pay. Anthropic bills every iteration, and leaves a compaction's out of the totals it reports."""
    usage = _usage(call)
    iterations = usage.get("iterations")
    if not iterations:
        return reported(call)
    return sum((_tokens(call.provider, iteration) for iteration in iterations), NOTHING)


def tools_billed_apart(call: RecordedCall) -> Counter[str]:
    """How often the provider ran a tool of its own that has a price besides tokens, by the tool's name."""
    if call.provider == "anthropic":
        searches = (_usage(call).get("server_tool_use") or {}).get("web_search_requests")
        return Counter({"web_search": searches} if searches else {})
    output = [item for document in _documents(call) for item in document.get("output") or []]
    used = {item["id"]: item["type"].removesuffix("_call") for item in output if item["type"] in TOOLS_WITH_A_PRICE}
    return Counter(used.values())


def served_model(call: RecordedCall) -> str:
    """The model that answered, which need not be the one asked for."""
    return next(str(document["model"]) for document in _documents(call) if document.get("model"))


def _usage(call: RecordedCall) -> Mapping[str, Any]:
    merged: dict[str, Any] = {}
    for document in _documents(call):
        merged |= document.get("usage") or {}
    return merged


def _documents(call: RecordedCall) -> Iterator[Mapping[str, Any]]:
    """The response object, or in a stream each event and the response object inside it; a later one wins."""
    if not call.streamed:
        yield json.loads(call.body)
        return
    for line in call.body.decode().splitlines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            event = json.loads(data)
            yield from (event, event.get("message") or {}, event.get("response") or {})


def _tokens(provider: str, usage: Mapping[str, Any]) -> Tokens:
    return _anthropic_tokens(usage) if provider == "anthropic" else _openai_tokens(usage)


def _anthropic_tokens(usage: Mapping[str, Any]) -> Tokens:
    cache_read = usage.get("cache_read_input_tokens") or 0
    cache_write = usage.get("cache_creation_input_tokens") or 0
    return Tokens(
        input=usage["input_tokens"] + cache_read + cache_write,
        output=usage["output_tokens"],
        cache_read=cache_read,
        cache_write=cache_write,
        reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


def _openai_tokens(usage: Mapping[str, Any]) -> Tokens:
    asked, answered = ("input", "output") if "input_tokens" in usage else ("prompt", "completion")
    of_input = usage.get(f"{asked}_tokens_details") or {}
    of_output = usage.get(f"{answered}_tokens_details") or {}
    return Tokens(
        input=usage[f"{asked}_tokens"],
        output=usage[f"{answered}_tokens"],
        cache_read=of_input.get("cached_tokens") or 0,
        cache_write=of_input.get("cache_write_tokens") or 0,
        reasoning=of_output.get("reasoning_tokens") or 0,
    )
