"""What a provider or LangChain reports of a call, read into a `Usage`.

LangChain's ``usage_metadata`` promises one thing that holds: ``input_tokens`` and ``output_tokens`` are inclusive
totals. Its detail keys are not to be trusted by name: they are renamed by service tier (``flex_cache_read``), moved
(``cache_creation: 0`` beside ``ephemeral_5m_input_tokens: 5003``) and overlap (``flex`` is input less cache reads but
still holds cache writes). So the totals are split by the details we know, the rest of a total is plain input or output,
and a detail we do not know is kept beside the usage without being subtracted from anything. Where LangChain drops a
number that the provider reported, it is read from the provider's own record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.usage import (
    DIRECTIONS,
    FLAG_CACHE_HIT,
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TOTAL_MISMATCH,
    MAX_COUNT,
    NO_COUNTS,
    Usage,
    check_count,
    flagged,
    raw_text,
)

_TIERS: Final = ("flex", "priority")
_TIER_PREFIXES: Final = ("", *(f"{tier}_" for tier in _TIERS))
_INPUT_DETAILS: Final = {
    prefix + key: bucket
    for prefix in _TIER_PREFIXES
    for key, bucket in {
        "cache_read": "cache_read",
        "cache_creation": "cache_write",
        "ephemeral_5m_input_tokens": "cache_write_5m",
        "ephemeral_1h_input_tokens": "cache_write_1h",
        "audio": "input_audio",
        "image": "input_image",
        "video": "input_video",
    }.items()
}
_OUTPUT_DETAILS: Final = {
    prefix + key: bucket
    for prefix in _TIER_PREFIXES
    for key, bucket in {"reasoning": "reasoning", "audio": "output_audio", "image": "output_image"}.items()
}
_TIER_BY_DETAIL: Final = {
    name: tier
    for tier in _TIERS
    for name in (tier, *_INPUT_DETAILS, *_OUTPUT_DETAILS)
    if name == tier or name.startswith(f"{tier}_")
}


def tier_of(usage_metadata: object) -> str | None:
    """The served tier that langchain-openai wrote into the names of the details (``flex_cache_read``), or None."""
    if not isinstance(usage_metadata, Mapping):
        return None
    for key in ("input_token_details", "output_token_details"):
        details = usage_metadata.get(key)
        for name in details if details and isinstance(details, Mapping) else ():
            if name in _TIER_BY_DETAIL:
                return _TIER_BY_DETAIL[name]
    return None


def usage_from_metadata(
    usage_metadata: Mapping[str, Any],
    token_usage: Mapping[str, Any] | None = None,
    *,
    incomplete: bool = False,
    provider: str | None = None,
    tools: Mapping[str, int] = NO_COUNTS,
    flags: Sequence[str] = (),
) -> Usage:
    """The Usage of one call as LangChain reports it.

    `usage_metadata` is LangChain's own record (``input_tokens``, ``output_tokens``, details); `token_usage` the
    provider's raw one, kept beside it and read only for what LangChain leaves out; `provider` LangChain's
    ``ls_provider``, for what one integration counts in its own way; `tools` counts the calls of the provider's own
    tools, by bucket. Never raises for odd numbers: they come back as a Usage whose `problem` names the field and the
    value.
    """
    raw: dict[str, Any] = {"usage_metadata": usage_metadata}
    if token_usage:
        raw["token_usage"] = token_usage
    if usage_metadata.get("total_cost", 1) == 0:
        return Usage(buckets=NO_COUNTS, raw_json=raw_text(raw), flags=(FLAG_CACHE_HIT,))
    found = [FLAG_INCOMPLETE, *flags] if incomplete else [*flags]
    return _believed(_understood(usage_metadata, token_usage, raw, provider=provider, tools=tools, flags=found))


def usage_from_token_usage(
    token_usage: Mapping[str, Any],
    *,
    provider: str | None = None,
    tools: Mapping[str, int] = NO_COUNTS,
    flags: Sequence[str] = (),
) -> Usage | None:
    """The Usage of a provider's raw record where LangChain made no ``usage_metadata`` of it (text completions).

    Knows OpenAI's two records (inclusive: ``prompt_tokens``; ``input_tokens`` with ``input_tokens_details``) and
    Anthropic's ``input_tokens`` beside ``cache_read_input_tokens`` (exclusive). None where the record holds neither.
    """
    raw = {"token_usage": token_usage}
    try:
        metadata = _metadata_from_raw(token_usage)
    except InvalidValue as error:
        return Usage(buckets=NO_COUNTS, raw_json=raw_text(raw), problem=str(error))
    if metadata is None:
        return None
    return _believed(_understood(metadata, token_usage, raw, provider=provider, tools=tools, flags=[*flags]))


def _believed(usage: Usage) -> Usage:
    """The usage; one of no tokens at all is incomplete, since no model answers a prompt for nothing."""
    if usage.input_tokens or usage.output_tokens or usage.problem is not None:
        return usage
    return flagged(usage, FLAG_INCOMPLETE)


def _understood(
    metadata: Mapping[str, Any],
    token_usage: Mapping[str, Any] | None,
    raw: dict[str, Any],
    *,
    provider: str | None,
    tools: Mapping[str, int],
    flags: list[str],
) -> Usage:
    if tools:
        raw["tool_calls"] = dict(tools)
    raw_json = raw_text(raw)
    try:
        if token_usage:
            metadata = _with_what_was_dropped(metadata, token_usage, flags)
        if provider == "google_vertexai":
            metadata = _as_google_bills(metadata, token_usage or NO_COUNTS)
        return _split(metadata, raw_json, tools, flags)
    except InvalidValue as error:
        return Usage(buckets=NO_COUNTS, raw_json=raw_json, problem=str(error))


def _split(metadata: Mapping[str, Any], raw_json: str, tools: Mapping[str, int], flags: list[str]) -> Usage:
    total_input, total_output = _count(metadata, "input_tokens"), _count(metadata, "output_tokens")
    output_details = _known_details(metadata.get("output_token_details"), _OUTPUT_DETAILS)
    reasoning = output_details.pop("reasoning", 0)
    total = metadata.get("total_tokens")
    if reasoning and total == total_input + total_output + reasoning:
        # xAI counts reasoning beside the output, and clients made for OpenAI's protocol leave it there.
        total_output += reasoning
    if total not in (None, total_input + total_output):
        flags.append(FLAG_TOTAL_MISMATCH)

    details = _known_details(metadata.get("input_token_details"), _INPUT_DETAILS)
    if "cache_write" in details:  # Anthropic's total of writes stands beside its split by TTL
        by_ttl = details.get("cache_write_5m", 0) + details.get("cache_write_1h", 0)
        if by_ttl > details["cache_write"]:
            flags.append(FLAG_INCONSISTENT)
        details["cache_write"] = max(details["cache_write"] - by_ttl, 0)
    if "input_audio" in details and "cache_read" in details:
        flags.append(FLAG_OVERLAP)
    buckets = _partition("input", total_input, details, flags)

    if reasoning > total_output:
        flags.append(FLAG_INCONSISTENT)
        reasoning = total_output
    buckets.update(_partition("output", total_output, output_details, flags))
    if tools:
        if not DIRECTIONS.keys().isdisjoint(tools):
            raise InvalidValue("usage.tools", sorted(tools), "buckets that count calls, not tokens")
        buckets.update(tools)
    return Usage(
        buckets=buckets,
        reasoning_tokens=reasoning,
        raw_json=raw_json,
        flags=tuple(dict.fromkeys(flags)) if flags else (),
    )


def _known_details(details: object, names: Mapping[str, str]) -> dict[str, int]:
    known: dict[str, int] = {}
    if not details:
        return known
    if not isinstance(details, Mapping):
        raise InvalidValue("usage_metadata details", details, "a mapping of counts")
    for key, count in details.items():
        if count and (bucket := names.get(key)):
            if type(count) is not int or not 0 <= count <= MAX_COUNT:
                check_count(count, f"usage_metadata details.{key}")
            known[bucket] = count if bucket not in known else max(count, known[bucket])
    return known


def _partition(plain: str, total: int, details: Mapping[str, int], flags: list[str]) -> dict[str, int]:
    """Split a total into its details and the plain rest; details that exceed it are cut, in the order they come."""
    buckets: dict[str, int] = {}
    rest = total
    for bucket, count in details.items():
        if count > rest:
            flags.append(FLAG_INCONSISTENT)
        if taken := min(count, rest):
            buckets[bucket] = taken
            rest -= taken
    if rest:
        buckets[plain] = rest
    return buckets


def _count(record: Mapping[str, Any], key: str) -> int:
    count = record.get(key)
    return count if type(count) is int and 0 <= count <= MAX_COUNT else check_count(count, f"usage_metadata.{key}")


def _with_what_was_dropped(
    metadata: Mapping[str, Any], token_usage: Mapping[str, Any], flags: list[str]
) -> Mapping[str, Any]:
    """LangChain's record, with what the provider's own says beyond it."""
    iterations = token_usage.get("iterations")
    if iterations:
        return _billed_iterations(metadata, iterations, flags)
    if token_usage.get("prompt_audio_seconds"):  # Mistral bills spoken input by its length
        flags.append(FLAG_INCOMPLETE)
    if details := metadata.get("input_token_details"):
        return _with_split_of_writes(metadata, details, token_usage)
    cached = _cached_tokens(token_usage)
    return {**metadata, "input_token_details": {"cache_read": cached}} if cached else metadata


def _with_split_of_writes(
    metadata: Mapping[str, Any], details: object, token_usage: Mapping[str, Any]
) -> Mapping[str, Any]:
    """LangChain's record, with Anthropic's split of the cache writes by TTL where only their total came through."""
    split = token_usage.get("cache_creation")
    if not isinstance(split, Mapping) or not isinstance(details, Mapping) or not details.get("cache_creation"):
        return metadata
    by_ttl = {key: split[key] for key in _WRITES_BY_TTL if split.get(key)}
    if not by_ttl or not details.keys().isdisjoint(_WRITES_BY_TTL):
        return metadata
    return {**metadata, "input_token_details": {**details, **by_ttl}}


def _cached_tokens(token_usage: Mapping[str, Any]) -> object:
    """Cached input where an integration reports totals only: Mistral's, DeepSeek's, many that speak OpenAI's."""
    details = token_usage.get("prompt_tokens_details") or token_usage.get("prompt_token_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    return cached or token_usage.get("num_cached_tokens") or token_usage.get("prompt_cache_hit_tokens")


def _as_google_bills(metadata: Mapping[str, Any], token_usage: Mapping[str, Any]) -> Mapping[str, Any]:
    """What langchain-google-vertexai leaves out: thinking, which Google bills as output, and the kinds of input.

    Where the total is still the sum of input and output, the integration has counted the thinking in.
    https://github.com/langchain-ai/langchain-google/issues/1932
    """
    total_input, total_output = _count(metadata, "input_tokens"), _count(metadata, "output_tokens")
    inputs, outputs = metadata.get("input_token_details") or {}, metadata.get("output_token_details") or {}
    if not isinstance(inputs, Mapping) or not isinstance(outputs, Mapping):
        return metadata
    thoughts = outputs.get("reasoning") or token_usage.get("thoughts_token_count") or 0
    check_count(thoughts, "usage_metadata details.reasoning")
    counted_in = metadata.get("total_tokens") == total_input + total_output
    return {
        **metadata,
        "output_tokens": total_output if counted_in else total_output + thoughts,
        "input_token_details": {**inputs, **_by_modality(token_usage.get("prompt_tokens_details"))},
        "output_token_details": {
            **outputs,
            **_by_modality(token_usage.get("candidates_tokens_details")),
            "reasoning": thoughts,
        },
    }


def _by_modality(details: object) -> dict[str, object]:
    """Google's list of counts by modality, for those that have prices of their own."""
    if not isinstance(details, list):
        return {}
    return {
        str(part["modality"]).lower(): part.get("token_count")
        for part in details
        if isinstance(part, Mapping) and part.get("modality") in _MODALITIES
    }


_MODALITIES: Final = ("AUDIO", "IMAGE", "VIDEO")


def _billed_iterations(metadata: Mapping[str, Any], iterations: object, flags: list[str]) -> Mapping[str, Any]:
    """The sum of ``usage.iterations`` where Anthropic gives them: a compaction is billed there and nowhere else.

    An iteration of another model (an advisor, a fallback that declined) is billed at that model's rates, so it cannot
    be in the sum; then the usage is flagged as incomplete.
    """
    if not isinstance(iterations, list):
        raise InvalidValue("token_usage.iterations", iterations, "a list of usage records")
    parts = [_iteration(number, iteration) for number, iteration in enumerate(iterations)]
    served = next((model for kind, model, _ in reversed(parts) if kind not in _BESIDE_THE_ANSWER), None)
    own = [part for kind, model, part in parts if kind == "compaction" or (kind != _ADVISOR and model == served)]
    if len(own) < len(parts):
        flags.append(FLAG_INCOMPLETE)
    summed: dict[str, Any] = {key: sum(_count(part, key) for part in own) for key in ("input_tokens", "output_tokens")}
    summed["input_token_details"] = {
        key: sum(check_count(part["input_token_details"].get(key) or 0, f"iterations.{key}") for part in own)
        for key in _ANTHROPIC_DETAILS
    }
    summed["output_token_details"] = metadata.get("output_token_details")
    return summed


def _iteration(number: int, iteration: object) -> tuple[object, object, dict[str, Any]]:
    """Kind, model and counts of one iteration; one that cannot be read may not pass for one that cost nothing."""
    if isinstance(iteration, Mapping) and (part := _metadata_from_raw(iteration)) is not None:
        return iteration.get("type"), iteration.get("model"), part
    raise InvalidValue(f"token_usage.iterations[{number}]", iteration, "a record with input and output tokens")


_ADVISOR: Final = "advisor_message"
_BESIDE_THE_ANSWER: Final = ("compaction", _ADVISOR)
_WRITES_BY_TTL: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_ANTHROPIC_DETAILS: Final = ("cache_read", "cache_creation", *_WRITES_BY_TTL)


def _metadata_from_raw(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    if raw.get("prompt_tokens") is not None:
        prompt = _nested(raw, "prompt_tokens_details")
        completion = _nested(raw, "completion_tokens_details")
        return {
            "input_tokens": raw["prompt_tokens"],
            "output_tokens": _rest_of_total(raw) if raw.get("completion_tokens") is None else raw["completion_tokens"],
            "total_tokens": raw.get("total_tokens"),
            "input_token_details": {
                "cache_read": _cached_tokens(raw),
                "cache_creation": prompt.get("cache_write_tokens"),
                "audio": prompt.get("audio_tokens"),
            },
            "output_token_details": {
                "reasoning": completion.get("reasoning_tokens"),
                "audio": completion.get("audio_tokens"),
            },
        }
    if raw.get("input_tokens") is None or "output_tokens" not in raw:
        return None
    if "input_tokens_details" in raw:
        prompt, completion = _nested(raw, "input_tokens_details"), _nested(raw, "output_tokens_details")
        return {
            "input_tokens": raw["input_tokens"],
            "output_tokens": raw["output_tokens"],
            "total_tokens": raw.get("total_tokens"),
            "input_token_details": {
                "cache_read": prompt.get("cached_tokens"),
                "cache_creation": prompt.get("cache_write_tokens"),
            },
            "output_token_details": {"reasoning": completion.get("reasoning_tokens")},
        }
    read = check_count(raw.get("cache_read_input_tokens") or 0, "token_usage.cache_read_input_tokens")
    written = check_count(raw.get("cache_creation_input_tokens") or 0, "token_usage.cache_creation_input_tokens")
    by_ttl = _nested(raw, "cache_creation")
    return {
        "input_tokens": _count(raw, "input_tokens") + read + written,
        "output_tokens": raw["output_tokens"],
        "input_token_details": {
            "cache_read": read,
            "cache_creation": written,
            "ephemeral_5m_input_tokens": by_ttl.get("ephemeral_5m_input_tokens"),
            "ephemeral_1h_input_tokens": by_ttl.get("ephemeral_1h_input_tokens"),
        },
    }


def _rest_of_total(raw: Mapping[str, Any]) -> int:
    """Embeddings name no output, and a total that is all input; anything else without an output is not understood."""
    total = check_count(raw.get("total_tokens"), "token_usage.total_tokens")
    return check_count(total - _count(raw, "prompt_tokens"), "token_usage.total_tokens less prompt_tokens")


def _nested(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    nested = raw.get(key) or {}
    if not isinstance(nested, Mapping):
        raise InvalidValue(f"token_usage.{key}", nested, "a mapping of counts")
    return nested
