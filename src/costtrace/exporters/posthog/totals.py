"""``message_cost``: what a whole message came to, as soon as all of it is known.

It can be known more than once: a price is corrected, an agent calls another model. Each time a newer version says the
whole again. A version is the number of entries that carry money, so it is the same event whoever makes it, and no later
one has a lower version.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from costtrace.entry import Entry, Kind
from costtrace.exporters.posthog.money import USD, pico
from costtrace.messages import Message, Totals, totals_of
from costtrace.money import EXACT, ZERO, amount_text
from costtrace.twilio.legs import KINDS as SMS_KINDS

_AI: Final = frozenset({Kind.LLM, Kind.EMBEDDING})
_PARTS: Final = ("ai", "sms", "other")


def is_money(entry: Entry) -> bool:
    """Whether the entry says something of a cost."""
    return entry.standing is not None or entry.replaces is not None


def settled_entries(message: Message) -> tuple[Entry, ...]:
    """The entries that make the cost of a message of which all costs are known; none where something is open."""
    total = message.total
    if not total.complete or total.settled + total.calculated <= 0:
        return ()
    return tuple(entry for entry in message.entries if is_money(entry))


def put_total(properties: dict[str, Any], entries: tuple[Entry, ...]) -> None:
    """What those entries, which are all that carry money, add up to: in dollars, and beside them what is not dollars.

    The names are others than those of single costs, so that no sum over events takes both.
    """
    total, calls = Totals(), 0
    parts = dict.fromkeys(_PARTS, ZERO)
    for entry in entries:
        total = total.plus(totals_of(entry))
        calls += entry.kind == Kind.LLM and entry.replaces is None
        if entry.cost is not None and entry.cost.currency == USD:
            part = part_of(entry)
            parts[part] = EXACT.add(parts[part], entry.cost.amount)
    known = total.known
    properties["version"] = len(entries)
    if USD in known or not known:
        _put_amount(properties, "total", known.get(USD, ZERO))
        for part, amount in parts.items():
            _put_amount(properties, f"{part}_total", amount)
    others = sorted(currency for currency in known if currency != USD)
    if others:
        properties["other_currencies"] = ",".join(others)
        for currency in others:
            properties[f"total_{currency.lower()}_exact"] = amount_text(known[currency])
    properties["llm_calls"] = calls
    properties["settled"], properties["calculated"] = total.settled, total.calculated
    properties["input_tokens"], properties["output_tokens"] = total.input_tokens, total.output_tokens


def part_of(entry: Entry) -> str:
    """What the money of an entry went to: ``ai``, ``sms`` or ``other``; a correction went where the corrected did."""
    kind = entry.kind
    if kind == Kind.CORRECTION:
        kind = corrected_kind(entry)
    return "ai" if kind in _AI else "sms" if kind in SMS_KINDS else "other"


def corrected_kind(entry: Entry) -> str:
    """The kind of the entry that a correction corrects, which its id begins with."""
    corrects = entry.details.get("corrects")
    return corrects.partition("/")[0] if isinstance(corrects, str) else entry.kind


def _put_amount(properties: dict[str, Any], name: str, amount: Decimal) -> None:
    properties[f"{name}_usd"] = float(amount)
    whole = pico(amount)
    if whole is not None:
        properties[f"{name}_picousd"] = whole
    if name == "total":
        properties[f"{name}_usd_exact"] = amount_text(amount)
