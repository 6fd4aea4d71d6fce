"""Entry: one immutable line of the ledger, and the one codec that writes and reads it.

An entry is named by what happened (`entry_id`), so writing the same thing twice is writing it once. It carries `cost`,
money we know we owe, or `estimate`, money we expect; the two are never added.

Nothing is ever changed. What was learned later is an entry that *replaces* an earlier one: its money is the difference
to what was recorded before, and it says how that stood, so that sums and counts come out right in any order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from costtrace.context import NOTHING, TEXT_FIELDS, Context, check_text
from costtrace.errors import InvalidValue
from costtrace.jsontext import decode, encode
from costtrace.money import Money, amount_text, parse_amount
from costtrace.quote import PriceBasis, Quote, QuoteStatus
from costtrace.times import moment_text, parse_moment, utc
from costtrace.usage import Usage, check_count

_CONTEXT_FIELDS: Final = frozenset({*TEXT_FIELDS, "tags"})
_HEX: Final = re.compile(r"[0-9a-f]+\Z")
_OPTIONAL_TEXTS: Final = ("provider", "model", "requested_model", "source_id", "error")
NO_DETAILS: Final[Mapping[str, Any]] = MappingProxyType({})


class Kind(StrEnum):
    """What kinds of entry costtrace itself writes. Others are kept as they are: `Entry.kind` is open text."""

    LLM = "llm"
    """One model call."""
    EMBEDDING = "embedding"
    """One request for embeddings."""
    TOOL = "tool"
    """One use of a tool, a search API or anything else that has a price of its own."""
    TOOL_RUN = "tool-run"
    """One run of a LangChain tool: when, how long, how it ended. It carries no money, and counts in no total."""
    CORRECTION = "correction"
    """The difference to an earlier entry, whose ``details["corrects"]`` names it."""


class Standing(StrEnum):
    """How well the cost of one thing is known."""

    SETTLED = "settled"
    """The seller itself named it, or it cost nothing."""
    CALCULATED = "calculated"
    """It follows exactly from usage and price list."""
    PENDING = "pending"
    """There is an estimate, or the seller will say later."""
    UNPRICED = "unpriced"
    """It cost something nobody could name."""


class Status(StrEnum):
    """How the thing ended. Open text as well, for what other kinds of entry need."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    """The application stopped listening; the provider may bill it all the same."""
    ABANDONED = "abandoned"
    """Its end was never reported."""


_STANDINGS: Final[frozenset[str]] = frozenset(Standing)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanRef:
    """The OpenTelemetry span that shows this entry."""

    trace_id: str
    """32 hexadecimal digits."""
    span_id: str
    """16 hexadecimal digits."""
    sampled: bool = True

    def __post_init__(self) -> None:
        for name, digits in (("trace_id", 32), ("span_id", 16)):
            value = getattr(self, name)
            if not isinstance(value, str) or len(value) != digits or not _HEX.match(value):
                raise InvalidValue(f"span.{name}", value, f"{digits} lower-case hexadecimal digits")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened to one message."""

    entry_id: str
    """Natural, time-ordered key made from what happened: ``llm/<run_id>/<start in microseconds>``."""
    message_uuid: str
    kind: str
    """A `Kind`, or another word."""
    status: str
    """A `Status`, or another word."""
    occurred_at: datetime
    """When it began, UTC. Prices are those of this moment."""
    recorded_at: datetime
    """When it was written down, UTC."""
    duration_us: int | None = None
    """How long it took, in microseconds; None where it has no length or its end is unknown."""
    provider: str | None = None
    """LangChain's ``ls_provider``, such as ``openai``."""
    model: str | None = None
    """The model that served the call, as the provider names it."""
    requested_model: str | None = None
    source_id: str | None = None
    """The id in the system it comes from: LangChain run id, Twilio MessageSid."""
    usage: Usage | None = None
    quote: Quote | None = None
    cost: Money | None = None
    """Money we know we owe; None where it is not known (`reason` says why)."""
    estimate: Money | None = None
    """Money we expect to owe, or the part of it that could be priced; never added to `cost`."""
    replaces: str | None = None
    """The `Standing` of the earlier entry whose place this one takes; None for an entry of its own.

    With it, `cost` and `estimate` are signed differences to what was recorded before, and both may be set.
    """
    context: Context = field(default_factory=lambda: NOTHING)
    span: SpanRef | None = None
    error: str | None = None
    """Class and code of a failure, never its text, which may quote the prompt."""
    details: Mapping[str, Any] = field(default_factory=lambda: NO_DETAILS)
    """What else is known of this kind of entry, as JSON scalars."""

    def __post_init__(self) -> None:
        check_text(self.entry_id, "entry.entry_id")
        check_text(self.message_uuid, "entry.message_uuid")
        check_text(self.kind, "entry.kind")
        check_text(self.status, "entry.status")
        for name in _OPTIONAL_TEXTS:
            text = getattr(self, name)
            if text is not None:
                check_text(text, f"entry.{name}")
        if self.duration_us is not None:
            check_count(self.duration_us, "entry.duration_us")
        if self.details:
            object.__setattr__(self, "details", _as_json(self.details))
        if not (_is_utc(self.occurred_at) and _is_utc(self.recorded_at)):
            object.__setattr__(self, "occurred_at", utc(self.occurred_at, "entry.occurred_at"))
            object.__setattr__(self, "recorded_at", utc(self.recorded_at, "entry.recorded_at"))
        if self.cost is not None or self.replaces is not None:
            self._check_money()

    def _check_money(self) -> None:
        if self.replaces is not None:
            if self.replaces not in _STANDINGS:
                raise InvalidValue("entry.replaces", self.replaces, f"one of {', '.join(Standing)}")
            return
        if self.estimate is not None:
            raise InvalidValue("entry.estimate", self.estimate, "no estimate beside an actual cost")
        if self.quote is not None and not self.quote.is_actual and self.quote.status is not QuoteStatus.OTHER:
            raise InvalidValue("entry.cost", self.cost, f"no cost, since the quote is {self.quote.status.value!r}")

    @property
    def standing(self) -> Standing | None:
        """How well its cost is known; None where nothing was bought."""
        quote = self.quote
        if self.replaces is not None and quote is not None and quote.status is not QuoteStatus.OTHER:
            return standing_of(quote)  # its own money is a difference, which may be nothing
        if self.cost is not None:
            return Standing.CALCULATED if quote is not None and quote.status is QuoteStatus.EXACT else Standing.SETTLED
        if self.estimate is not None:
            return Standing.PENDING
        if quote is None:
            return None
        return Standing.PENDING if quote.status is QuoteStatus.PENDING else Standing.UNPRICED

    @property
    def cost_status(self) -> str | None:
        """The quote's status; None where there is no quote."""
        return None if self.quote is None else self.quote.status.value

    @property
    def reason(self) -> str | None:
        """Why there is no cost."""
        return None if self.quote is None else self.quote.reason


def standing_of(quote: Quote) -> Standing:
    """How well a cost is known of which the quote is the last word."""
    if quote.is_actual:
        return Standing.CALCULATED if quote.status is QuoteStatus.EXACT else Standing.SETTLED
    return Standing.PENDING if quote.amount is not None or quote.status is QuoteStatus.PENDING else Standing.UNPRICED


def encode_entry(entry: Entry) -> dict[str, Any]:
    """The entry as JSON objects: money as text, moments as ISO 8601 in UTC."""
    money = entry.cost or entry.estimate
    return {
        "entry_id": entry.entry_id,
        "message_uuid": entry.message_uuid,
        "kind": str(entry.kind),
        "status": str(entry.status),
        "occurred_at": moment_text(entry.occurred_at),
        "recorded_at": moment_text(entry.recorded_at),
        "duration_us": entry.duration_us,
        "provider": entry.provider,
        "model": entry.model,
        "requested_model": entry.requested_model,
        "source_id": entry.source_id,
        "cost": None if entry.cost is None else amount_text(entry.cost.amount),
        "estimate": None if entry.estimate is None else amount_text(entry.estimate.amount),
        "currency": None if money is None else money.currency,
        "estimate_currency": None if entry.estimate is None else entry.estimate.currency,
        "standing": entry.standing and entry.standing.value,
        "replaces": entry.replaces,
        "context": entry.context.to_dict(),
        "usage": entry.usage and entry.usage.to_dict(),
        "quote": entry.quote and entry.quote.to_dict(),
        "span": entry.span
        and {"trace_id": entry.span.trace_id, "span_id": entry.span.span_id, "sampled": entry.span.sampled},
        "error": entry.error,
        "details": dict(entry.details),
    }


def decode_entry(record: Mapping[str, Any], *, basis: PriceBasis | None = None) -> Entry:
    """The entry that `encode_entry` wrote; `basis` is its quote's, where that was kept apart.

    Keys that a later version added are left aside.

    Raises InvalidValue, or KeyError for a record that is no entry at all.
    """
    currency = record["currency"]
    estimate_currency = record.get("estimate_currency") or currency
    return Entry(
        entry_id=record["entry_id"],
        message_uuid=record["message_uuid"],
        kind=record["kind"],
        status=record["status"],
        occurred_at=parse_moment(record["occurred_at"], "entry.occurred_at"),
        recorded_at=parse_moment(record["recorded_at"], "entry.recorded_at"),
        duration_us=record["duration_us"],
        provider=record["provider"],
        model=record["model"],
        requested_model=record["requested_model"],
        source_id=record["source_id"],
        usage=Usage.from_dict(record["usage"]) if record["usage"] else None,
        quote=Quote.from_dict(record["quote"], basis) if record["quote"] else None,
        cost=_money(record["cost"], currency, "entry.cost"),
        estimate=_money(record["estimate"], estimate_currency, "entry.estimate"),
        replaces=record.get("replaces"),
        context=Context(**{name: value for name, value in record["context"].items() if name in _CONTEXT_FIELDS}),
        span=_span(record["span"]) if record["span"] else None,
        error=record["error"],
        details=record["details"] or NO_DETAILS,
    )


def _as_json(details: Mapping[str, Any]) -> Mapping[str, Any]:
    """The details as every later reader will see them; what could be written and not be read again is refused here."""
    try:
        for key, value in details.items():
            if not (key.isascii() and (type(value) is bool or (type(value) is str and value.isascii()))):
                return MappingProxyType(decode(encode(dict(details))))
        return MappingProxyType(dict(details))
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidValue("entry.details", details, "a mapping of texts to what JSON can hold") from error


def _is_utc(moment: object) -> bool:
    return type(moment) is datetime and moment.tzinfo is UTC


def _span(record: Mapping[str, Any]) -> SpanRef:
    return SpanRef(trace_id=record["trace_id"], span_id=record["span_id"], sampled=record["sampled"])


def _money(text: str | None, currency: str | None, field: str) -> Money | None:
    return None if text is None else Money(parse_amount(text, field), currency or "")
