"""What the chat table shows of a message's cost: ``costs.gpt`` of its model calls, ``costs.twilio`` of its SMS.

Both are folds of the entries that the ledger has, so they may be made again at any time. A projection's version is how
many entries it was made of. A ledger only grows, so of two projections the one with the greater version knows all that
the other knew, and may take its place; never the other way round.

Words are those of the last call or SMS, as in a system where the last write stands; numbers are sums over all of them.
A sum of which a part is unknown is not shown at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from typing import Final

from costtrace.entry import Entry, Kind
from costtrace.messages import Message, Totals, totals_of
from costtrace.money import EXACT, ZERO, amount_text
from costtrace.times import moment_text
from costtrace.twilio.legs import KINDS, Leg, legs
from costtrace.twilio.revisions import price_of

GPT: Final = "gpt"
TWILIO: Final = "twilio"
VERSION: Final = "projectionVersion"
"""The field of a map below ``costs`` that says which projection stands there. What an earlier system wrote has none."""
AGGREGATE: Final = "aggregate"
"""The detail that marks an entry read from the table: what the table said itself is not written back to it."""

_CALLS: Final = frozenset({Kind.LLM, Kind.EMBEDDING})
_SMS_FIELDS: Final = frozenset({"messageSid", "price", "priceUnit", "numSegments", "status", "timestamp"})

Value = str | int | Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the two maps below ``costs``."""

    name: str
    """``gpt`` or ``twilio``."""
    version: int
    """How many entries it was made of."""
    fields: Mapping[str, Value]
    """What is known."""
    unknown: frozenset[str] = frozenset()
    """What an earlier projection may have shown and is not known any more: a sum that has a new, unknown part."""


def parts(message: Message) -> tuple[Part, ...]:
    """What the table is to show of that message; nothing of what the ledger itself knows from the table alone."""
    found = (_gpt(message), _twilio(message))
    return tuple(part for part in found if part is not None)


def model_calls(message: Message) -> list[Entry]:
    """The entries of the message's model calls: chat models and embeddings, and what corrects them."""
    kinds = {entry.entry_id: entry.kind for entry in message.entries}
    return [
        entry
        for entry in message.entries
        if entry.kind in _CALLS
        or (entry.kind == Kind.CORRECTION and kinds.get(str(entry.details.get("corrects"))) in _CALLS)
    ]


def is_live(entries: Sequence[Entry]) -> bool:
    """Whether any of them is more than a number read from the table, and more than that number priced again."""
    read = {entry.entry_id for entry in entries if entry.details.get(AGGREGATE) is True}
    return any(
        entry.entry_id not in read and not (entry.kind == Kind.CORRECTION and entry.details.get("corrects") in read)
        for entry in entries
    )


def _gpt(message: Message) -> Part | None:
    calls = model_calls(message)
    if not is_live(calls):
        return None
    total = reduce(Totals.plus, map(totals_of, calls))
    fields: dict[str, Value] = {
        "inputTokens": total.input_tokens,
        "outputTokens": total.output_tokens,
        "totalTokens": total.input_tokens + total.output_tokens,
        "timestamp": _last_recorded(calls),
    }
    model = _model(calls)
    if model is not None:
        fields["model"] = model
    if total.complete and not total.known.keys() - {"USD"}:
        fields["costUsd"] = total.known.usd
    return Part(name=GPT, version=len(calls), fields=fields, unknown=frozenset({"costUsd"} - fields.keys()))


def _model(calls: Sequence[Entry]) -> str | None:
    """The model of the last call of a chat model, which wrote the answer; where there is none, of the last call."""
    named = [(entry.kind == Kind.LLM, entry.occurred_at, entry.entry_id, _name(entry)) for entry in calls]
    return max((row for row in named if row[-1] is not None), default=(None,))[-1]


def _name(entry: Entry) -> str | None:
    return entry.model or entry.requested_model if entry.kind in _CALLS else None


def _twilio(message: Message) -> Part | None:
    entries = [entry for entry in message.entries if entry.kind in KINDS]
    if not is_live(entries):
        return None
    found = legs(message)
    shown = max(found, key=lambda leg: (leg.sid is not None, leg.started_at, leg.name))
    fields: dict[str, Value] = {"timestamp": _last_recorded(entries), **_price(found)}
    if shown.sid is not None:
        fields["messageSid"] = shown.sid
    if shown.delivery is not None:
        fields["status"] = shown.delivery.status
    segments = [_segments(leg) for leg in found if leg.sid is not None or leg.refusal is None]
    if segments and all(segments):
        fields["numSegments"] = sum(filter(None, segments))
    return Part(name=TWILIO, version=len(entries), fields=fields, unknown=_taken_back(found) - fields.keys())


def _taken_back(found: Sequence[Leg]) -> frozenset[str]:
    """What must not stay where it is no longer known.

    Of a single SMS nothing becomes unknown again but a price whose currency is just being changed. So what somebody
    else wrote about it stays until the ledger knows better.
    """
    if len(found) > 1:
        return _SMS_FIELDS
    return frozenset({"price", "priceUnit"}) if _was_priced(found[0]) else frozenset()


def _was_priced(leg: Leg) -> bool:
    said = leg.revisions if leg.refusal is None else (leg.refusal, *leg.revisions)
    return any(entry.quote is not None and entry.quote.is_actual for entry in said)


def _price(found: Sequence[Leg]) -> dict[str, Value]:
    """The price as Twilio writes it, below zero for what is owed; of several SMS the sum, where each has one."""
    prices = [leg.price for leg in found]
    currencies = {price.currency for price in prices if price is not None and price.amount}
    if any(price is None for price in prices) or len(currencies) > 1:
        return {}
    texts = [_price_text(leg) for leg in found]
    owed = reduce(EXACT.add, map(Decimal, texts), ZERO) if len(texts) > 1 else None
    unit = currencies or {price.currency for price in prices if price is not None}
    return {"price": texts[0] if owed is None else f"{owed:f}", "priceUnit": min(unit)}


def _price_text(leg: Leg) -> str:
    """Twilio's own text for the price of that SMS, such as ``-0.00750``, zeros and all."""
    owed = ZERO if leg.price is None else leg.price.amount
    said = (revision.details.get("price_raw") for revision in reversed(leg.revisions))
    texts = (text for text in said if isinstance(text, str) and price_of(text) == owed)
    return next(texts, amount_text(owed.copy_negate()))


def _segments(leg: Leg) -> int | None:
    """As Twilio counted them; None where it has not, which it says with a zero."""
    count = leg.details.get("num_segments")
    return count if isinstance(count, int) and count else None


def _last_recorded(entries: Iterable[Entry]) -> str:
    return moment_text(max(entry.recorded_at for entry in entries))
