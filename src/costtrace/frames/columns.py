"""The columns of a data frame: one row is one entry, as it was stored.

Nothing is folded: an entry that takes the place of another has a row of its own, whose money is the difference. So
the sum of `cost` by `currency` is what the ledger's totals say, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.jsontext import encode

SCHEMA_VERSION: Final = "1"
"""Changes when a column goes or means something else; a new column changes nothing."""


class Type(StrEnum):
    """What a column holds."""

    AMOUNT = "amount"
    """An exact decimal."""
    COUNT = "count"
    """A whole number of 64 bits."""
    MOMENT = "moment"
    """A moment in UTC, to the microsecond."""
    TEXT = "text"
    WORD = "word"
    """A text of which there are few, kept once each (a dictionary, a category)."""
    COUNTS = "counts"
    """A map of names to whole numbers."""
    LABELS = "labels"
    """A map of texts to texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. What is not known is null, never zero."""

    name: str
    type: Type
    meaning: str
    parts: tuple[str, ...]
    """What it is read from; see `costtrace.ledger.parts`."""
    made: Callable[..., Any] | None = None
    """Makes its value from those parts; None where there is one part, which is the value."""


def _cache_reads(usage: Mapping[str, int] | None) -> int | None:
    return None if usage is None else usage.get("cache_read", 0) + usage.get("cache_read_audio", 0)


def _cache_writes(usage: Mapping[str, int] | None) -> int | None:
    return None if usage is None else sum(usage[bucket] for bucket in usage if bucket.startswith("cache_write"))


def _currency_of_cost(cost: str | None, currency: str | None) -> str | None:
    return None if cost is None else currency


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _json(details: Any) -> str | None:
    return encode(details) if details else None


def _column(name: str, kind: Type, meaning: str, *parts: str, made: Callable[..., Any] | None = None) -> Column:
    return Column(name=name, type=kind, meaning=meaning, parts=parts or (name,), made=made)


_COLUMNS: Final = (
    _column("seq", Type.COUNT, "Number of the entry in its ledger; grows in the order of storage."),
    _column("entry_id", Type.TEXT, "Natural name of what happened; no two entries of a message share one."),
    _column("message_uuid", Type.TEXT, "The message it belongs to."),
    _column("kind", Type.WORD, "llm, embedding, tool, correction, sms-send, sms, sms-price, ..."),
    _column("status", Type.WORD, "How it ended: completed, failed, cancelled, ..., or the status of an SMS."),
    _column("occurred_at", Type.MOMENT, "When it began.", "occurred_us"),
    _column("recorded_at", Type.MOMENT, "When it was written down.", "recorded_us"),
    _column("duration_us", Type.COUNT, "How long it took, in microseconds."),
    _column("provider", Type.WORD, "Who served it."),
    _column("model", Type.WORD, "What served it, as the provider names it."),
    _column("requested_model", Type.WORD, "What had been asked for."),
    _column("source_id", Type.TEXT, "Its id where it comes from: LangChain run id, Twilio MessageSid."),
    _column("cost", Type.AMOUNT, "Money known to be owed; with `replaces`, the signed difference."),
    _column("currency", Type.WORD, "Currency of `cost`.", "cost", "currency", made=_currency_of_cost),
    _column("estimate", Type.AMOUNT, "Money expected to be owed, never part of `cost`; signed with `replaces`."),
    _column("estimate_currency", Type.WORD, "Currency of `estimate`."),
    _column("standing", Type.WORD, "How well the cost is known: settled, calculated, pending, unpriced."),
    _column("replaces", Type.WORD, "Standing of the earlier entry whose place this one takes."),
    _column("corrects", Type.TEXT, "entry_id of that earlier entry.", made=_text),
    _column("cost_status", Type.WORD, "How the price was found: exact, estimated, partial, unpriced, ..."),
    _column("reason", Type.WORD, "Why there is no exact cost."),
    _column("input_tokens", Type.COUNT, "All input tokens, cached and written ones included."),
    _column("output_tokens", Type.COUNT, "All output tokens, reasoning included."),
    _column(
        "cache_read_tokens",
        Type.COUNT,
        "How many of the input tokens were read from a cache.",
        "buckets",
        made=_cache_reads,
    ),
    _column(
        "cache_write_tokens",
        Type.COUNT,
        "How many of the input tokens were written to a cache.",
        "buckets",
        made=_cache_writes,
    ),
    _column("reasoning_tokens", Type.COUNT, "How many of the output tokens were reasoning."),
    _column("usage", Type.COUNTS, "What was consumed, by bucket; no token is in two of them.", "buckets"),
    _column("user_id", Type.TEXT, "The application's own id of the person."),
    _column("thread_id", Type.TEXT, "The conversation."),
    _column("channel", Type.WORD, "How the message travels: sms, web, ..."),
    _column("direction", Type.WORD, "inbound or outbound."),
    _column("role", Type.WORD, "user or assistant."),
    _column("environment", Type.WORD, "production, staging, ..."),
    _column("message_type", Type.WORD, "chat, welcome, notification, ..."),
    _column("reply_to", Type.TEXT, "The message that this one answers."),
    _column("tags", Type.LABELS, "The application's own labels."),
    _column("trace_id", Type.TEXT, "Trace of the span that shows it."),
    _column("span_id", Type.TEXT, "That span."),
    _column("error", Type.WORD, "Class and code of a failure."),
    _column("details", Type.TEXT, "What else is known of this kind of entry, as JSON.", made=_json),
)

COLUMNS: Final[Mapping[str, Column]] = MappingProxyType({column.name: column for column in _COLUMNS})
"""Every column, in order."""


def columns_of(names: Iterable[str] | None) -> tuple[Column, ...]:
    """The columns of those names in their order, all of them for None; raises InvalidValue naming what is not one."""
    if names is None:
        return _COLUMNS
    if isinstance(names, str):
        raise InvalidValue("columns", names, f"a list of names, such as [{names!r}]")
    chosen = dict.fromkeys(names)
    for name in chosen:
        if name not in COLUMNS:
            raise InvalidValue("columns", name, f"names out of {', '.join(COLUMNS)}")
    if not chosen:
        raise InvalidValue("columns", [], "one name at least, or None for all columns")
    return tuple(COLUMNS[name] for name in chosen)


def values_of(column: Column, parts: Mapping[str, Sequence[Any]]) -> Sequence[Any]:
    """The values of a column, made from the parts of a page."""
    read = [parts[part] for part in column.parts]
    return read[0] if column.made is None else list(map(column.made, *read))
