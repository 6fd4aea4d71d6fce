"""Usage: what one call consumed, in disjoint buckets, beside the provider's untouched numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.jsontext import decode, encode

DIRECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "input": "input",
        "input_audio": "input",
        "input_image": "input",
        "input_video": "input",
        "cache_read": "input",
        "cache_read_audio": "input",
        "cache_write": "input",
        "cache_write_5m": "input",
        "cache_write_1h": "input",
        "cache_write_12h": "input",
        "output": "output",
        "output_audio": "output",
        "output_image": "output",
    }
)
"""The token buckets and the total each is part of. A bucket outside this table (a tool call, a request, an SMS segment)
counts something that is not a token."""

FLAG_INCONSISTENT: Final = "inconsistent_details"
"""The details add up to more than their total; the total stands and the details are cut to fit it."""
FLAG_TOTAL_MISMATCH: Final = "total_mismatch"
"""The provider's own total is not input + output."""
FLAG_INCOMPLETE: Final = "usage_incomplete"
"""The provider bills more for this call than it reports, or the answer broke off before the last count."""
FLAG_OVERLAP: Final = "overlap_unknown"
"""Both audio and cached input are reported; how many of the audio tokens were cached is not."""
FLAG_TOOL_FEES: Final = "tool_fees_uncounted"
"""The provider ran tools of its own that it bills beside the tokens, and how much of them was not reported."""
FLAG_DETAILS_LOST: Final = "input_details_lost"
"""The integration drops how much of the input was cached or spoken; all of it is taken for plain input."""
FLAG_CACHE_HIT: Final = "llm_cache_hit"
"""LangChain answered from its own cache: nothing was bought, so nothing stands in the buckets."""

NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})
MAX_COUNT: Final = 2**53
"""No count is larger: JSON readers lose digits of what is."""
_MAX_RAW: Final = 65_536


class _RawText(str):
    """JSON of an object, known to be so because we wrote it."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one call consumed. Buckets are disjoint: no token is counted in two of them."""

    buckets: Mapping[str, int]
    """Counts by bucket name, zero counts left out. Names in `DIRECTIONS` count tokens."""
    input_tokens: int = field(init=False)
    """All input tokens, cached and written ones included."""
    output_tokens: int = field(init=False)
    """All output tokens, reasoning included."""
    reasoning_tokens: int = 0
    """How many of the output tokens were reasoning; already inside ``output``, never added to it."""
    raw_json: str = _RawText("{}")
    """The provider's own numbers, untouched, as JSON text: ``usage_metadata`` and, where it came, ``token_usage``."""
    flags: tuple[str, ...] = ()
    """What a reader must know about these numbers; the FLAG_ names of this module."""
    problem: str | None = None
    """Why the provider's numbers could not be understood; then there are no buckets."""

    def __post_init__(self) -> None:
        buckets: dict[str, int] = {}
        tokens = {"input": 0, "output": 0}
        for bucket, count in self.buckets.items():
            if not bucket.isidentifier():
                raise InvalidValue("usage.buckets", bucket, "names made of letters, digits and underscores")
            if type(count) is not int or not 0 <= count <= MAX_COUNT:
                check_count(count, f"usage.{bucket}")
            if count:
                buckets[bucket] = count
                if bucket in DIRECTIONS:
                    tokens[DIRECTIONS[bucket]] += count
        if type(self.raw_json) is not _RawText:
            object.__setattr__(self, "raw_json", _checked_raw(self.raw_json))
        if self.reasoning_tokens or type(self.reasoning_tokens) is not int:
            check_count(self.reasoning_tokens, "usage.reasoning_tokens")
        object.__setattr__(self, "buckets", MappingProxyType(buckets))
        object.__setattr__(self, "input_tokens", tokens["input"])
        object.__setattr__(self, "output_tokens", tokens["output"])

    @property
    def raw(self) -> dict[str, Any]:
        """The provider's own numbers, parsed anew at each call."""
        parsed: dict[str, Any] = decode(str(self.raw_json))
        return parsed

    def to_dict(self) -> dict[str, Any]:
        """The usage as JSON objects."""
        return {
            "buckets": dict(self.buckets),
            "reasoning_tokens": self.reasoning_tokens,
            "flags": list(self.flags),
            "problem": self.problem,
            "raw": self.raw,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Usage:
        """The usage that `to_dict` wrote."""
        return cls(
            buckets=record["buckets"],
            reasoning_tokens=record["reasoning_tokens"],
            flags=tuple(record["flags"]),
            problem=record["problem"],
            raw_json=raw_text(record["raw"]),
        )


def flagged(usage: Usage, flag: str) -> Usage:
    """The usage, with one more thing to know about it."""
    return Usage(
        buckets=usage.buckets,
        reasoning_tokens=usage.reasoning_tokens,
        raw_json=usage.raw_json,
        flags=usage.flags if flag in usage.flags else (*usage.flags, flag),
        problem=usage.problem,
    )


def check_count(count: object, field: str) -> int:
    """The count itself when it is a whole number from 0 to 2**53; otherwise InvalidValue naming the field."""
    if type(count) is not int or not 0 <= count <= MAX_COUNT:
        raise InvalidValue(field, count, "a whole number of zero or more")
    return count


def raw_text(raw: Mapping[str, Any]) -> _RawText:
    """The provider's own record as JSON; of what JSON cannot hold, or what is far too long, only that it was so."""
    try:
        text = encode(raw)
        if "\\ud" in text:
            decode(text)
    except (TypeError, ValueError) as error:  # NaN, infinity, odd keys, lone surrogates: not everyone's JSON has them
        text = encode({"unreadable": str(error)})
    return _RawText(text if len(text) <= _MAX_RAW else encode({"unreadable": f"{len(text)} characters"}))


def known_raw(text: str) -> _RawText:
    """The text that `raw_text` would make of the same record, where that has been seen to."""
    return _RawText(text)


def _checked_raw(text: object) -> _RawText:
    try:
        raw = decode(str(text)) if isinstance(text, str) else None
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        raise InvalidValue("usage.raw_json", text, "the JSON text of an object")
    return raw_text(raw)
