"""Plain answers: what most model calls return, told from others by their outline.

The outline of an answer is the names of all that is in it, and the few values beside its counts that bear on the price.
Where an outline is plain, answers that share it are recorded alike but for their counts: it holds no name behind which
`costtrace.responses` might find more. A name that is not listed here makes an answer one that is read in full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from langchain_core.messages import AIMessage, AIMessageChunk

from costtrace.jsontext import encode
from costtrace.usage import MAX_COUNT

_METADATA: Final = frozenset(
    {
        "container",
        "created",
        "finish_reason",
        "id",
        "logprobs",
        "model",
        "model_name",
        "model_provider",
        "object",
        "service_tier",
        "stop_reason",
        "stop_sequence",
        "system_fingerprint",
        "token_usage",
        "usage",
    }
)
_RAW: Final = frozenset(
    {
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "completion_tokens",
        "completion_tokens_details",
        "inference_geo",
        "input_tokens",
        "input_tokens_details",
        "output_tokens",
        "output_tokens_details",
        "prompt_tokens",
        "prompt_tokens_details",
        "server_tool_use",
        "service_tier",
        "total_tokens",
    }
)
_USAGE: Final = frozenset(
    {"input_token_details", "input_tokens", "output_token_details", "output_tokens", "total_tokens"}
)
_BUCKETS: Final = frozenset({"cache_read", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"})
"""Details of the input that have but one meaning."""
_ZEROS: Final = frozenset({"audio", "cache_creation", "image", "reasoning", "video"})
"""Details that take thought where they are not zero."""
_SELECTING: Final = ("model_name", "model", "service_tier")
_SELECTING_IN_RAW: Final = ("service_tier", "inference_geo", "server_tool_use")
_PROVIDERS_OF_THEIR_OWN: Final = frozenset({None, "google_vertexai", "mistral", "mistralai"})
"""Whose integrations count in their own way; and who is not known."""
_COUNTS: Final = frozenset({int, type(None)})
_NOTHING: Final[Mapping[str, Any]] = {}
_MOST: Final = 32_768
"""Characters of a raw record: far below where it is cut off."""

Plain = tuple[tuple[Any, ...], list[int], int, int, int, str]
"""Outline (the fields of an `Outline`), counts by bucket, input, output and reasoning tokens, the raw record as JSON.

The counts are those of the details that are not zero, of what is left of the input where anything is, of the output.
"""


class Outline(NamedTuple):
    """All of an answer but its counts, and what says nothing of the price."""

    message: type
    content: type
    extras: tuple[str, ...]
    metadata: tuple[str, ...]
    output: tuple[str, ...]
    raw: tuple[str, ...]
    usage: tuple[str, ...]
    inputs: tuple[str, ...]
    inputs_spent: tuple[bool, ...]
    """Which of them are not zero."""
    outputs: tuple[str, ...]
    outputs_spent: tuple[bool, ...]
    input_left: bool
    """Whether there is input that no detail names."""
    counts: tuple[type, ...]
    selecting: tuple[object, ...]
    """Values that select a rate, or keep one from being found."""


def plain_answer(result: Any) -> Plain | None:
    """The answer, where its counts add up; it is plain if `is_plain` says so of its outline and provider."""
    try:
        message = result.generations[0][0].message
        metadata, output, usage = message.response_metadata, result.llm_output or _NOTHING, message.usage_metadata
        raw = metadata.get("token_usage") or metadata.get("usage") or output.get("token_usage") or _NOTHING
        inputs = usage.get("input_token_details") or _NOTHING
        outputs = usage.get("output_token_details") or _NOTHING
        total_input, total_output = usage["input_tokens"], usage["output_tokens"]
        reasoning, details = outputs.get("reasoning", 0), tuple(inputs.values())
        counts = [*filter(None, details)]
        left = total_input - sum(counts)
        if left:
            counts.append(left)
        counts.append(total_output)
        if min(counts) <= 0 or usage["total_tokens"] != total_input + total_output or total_output > MAX_COUNT:
            return None
        raw_json = encode({"usage_metadata": usage, "token_usage": raw} if raw else {"usage_metadata": usage})
        if not 0 <= reasoning <= total_output or len(raw_json) > _MOST or "\\ud" in raw_json:
            return None
        outline = (
            type(message),
            type(message.content),
            tuple(message.additional_kwargs),
            tuple(metadata),
            tuple(output),
            tuple(raw),
            tuple(usage),
            tuple(inputs),
            tuple(map(bool, details)),
            tuple(outputs),
            tuple(map(bool, outputs.values())),
            left > 0,
            tuple(map(type, (total_input, total_output, reasoning, *details))),
            (*map(metadata.get, _SELECTING), *map(output.get, _SELECTING), *map(raw.get, _SELECTING_IN_RAW)),
        )
        hash(outline)
    except Exception:  # noqa: BLE001 - an answer may come from any integration, in any shape: this one is not plain
        return None
    else:
        return outline, counts, total_input, total_output, reasoning, raw_json


def is_plain(outline: Outline, provider: str | None) -> bool:
    """Whether nothing in answers of that outline bears on their entries but what is in a `Plain`."""
    spent = {name for name, nonzero in zip(outline.inputs, outline.inputs_spent, strict=True) if nonzero}
    thought = {name for name, nonzero in zip(outline.outputs, outline.outputs_spent, strict=True) if nonzero}
    return (
        provider not in _PROVIDERS_OF_THEIR_OWN
        and outline.message in {AIMessage, AIMessageChunk}
        and outline.content is str
        and "tool_outputs" not in outline.extras
        and _METADATA.issuperset(outline.metadata + outline.output)
        and _RAW.issuperset(outline.raw)
        and _USAGE.issuperset(outline.usage)
        and _COUNTS.issuperset(outline.counts)
        and all(value is None or type(value) is str for value in outline.selecting)
        and spent <= _BUCKETS
        and thought <= {"reasoning"}
        and (_BUCKETS | _ZEROS).issuperset(outline.inputs + outline.outputs)
        and not (outline.raw and not outline.inputs)  # then the raw record may name cached tokens
    )
