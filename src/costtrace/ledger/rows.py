"""Entries as rows: the scalars in columns that SQL can group and sum, the rest as one JSON text.

A row is made in the host application's callback, so the JSON is put together from parts that are text already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from costtrace.entry import Entry, decode_entry
from costtrace.jsontext import decode, encode
from costtrace.money import Money, amount_pico, amount_text
from costtrace.quote import PriceBasis, Quote
from costtrace.times import from_micros, moment_text, to_micros

COLUMNS: Final = (
    "entry_id",
    "message_uuid",
    "kind",
    "status",
    "occurred_us",
    "recorded_us",
    "duration_us",
    "provider",
    "model",
    "requested_model",
    "source_id",
    "cost",
    "currency",
    "cost_pico",
    "estimate",
    "estimate_currency",
    "estimate_pico",
    "cost_status",
    "standing",
    "replaces",
    "input_tokens",
    "output_tokens",
    "user_id",
    "thread_id",
    "channel",
    "direction",
    "role",
    "environment",
    "message_type",
    "reply_to",
    "error",
)
"""The scalar columns, in order; after them come the price basis and the body."""

Row = list[str | int | None]
"""The scalar columns in order, then the price basis and the body as JSON texts."""

_FIRST_OF_CONTEXT: Final = COLUMNS.index("user_id")
_CONTEXT: Final = COLUMNS[_FIRST_OF_CONTEXT : COLUMNS.index("reply_to") + 1]


def to_row(entry: Entry) -> Row:
    """The entry as it is stored."""
    usage, quote, context = entry.usage, entry.quote, entry.context
    cost, estimate = entry.cost, entry.estimate
    money = cost or estimate
    return [
        entry.entry_id,
        entry.message_uuid,
        entry.kind,
        entry.status,
        to_micros(entry.occurred_at),
        to_micros(entry.recorded_at),
        entry.duration_us,
        entry.provider,
        entry.model,
        entry.requested_model,
        entry.source_id,
        None if cost is None else amount_text(cost.amount),
        None if money is None else money.currency,
        None if cost is None else amount_pico(cost.amount),
        None if estimate is None else amount_text(estimate.amount),
        None if estimate is None else estimate.currency,
        None if estimate is None else amount_pico(estimate.amount),
        None if quote is None else quote.status,
        entry.standing,
        entry.replaces,
        None if usage is None else usage.input_tokens,
        None if usage is None else usage.output_tokens,
        context.user_id,
        context.thread_id,
        context.channel,
        context.direction,
        context.role,
        context.environment,
        context.message_type,
        context.reply_to,
        entry.error,
        quote.basis.json_text if quote is not None and quote.basis is not None else None,
        _body(entry),
    ]


def _body(entry: Entry) -> str:
    body: dict[str, Any] = {}
    usage, quote, span = entry.usage, entry.quote, entry.span
    if usage is not None:
        body["usage"] = {"buckets": dict(usage.buckets), "reasoning_tokens": usage.reasoning_tokens}
        if usage.flags or usage.problem:
            body["usage"] |= {"flags": usage.flags, "problem": usage.problem}
    if quote is not None:
        body["quote"] = _quote_parts(quote, entry.cost or entry.estimate)
    if entry.context.tags:
        body["tags"] = dict(entry.context.tags)
    if span is not None:
        body["span"] = {"trace_id": span.trace_id, "span_id": span.span_id, "sampled": span.sampled}
    if entry.details:
        body["details"] = dict(entry.details)
    text = encode(body)
    return text if usage is None else f'{text[:-1]},"raw":{usage.raw_json}}}'


def _quote_parts(quote: Quote, money: Money | None) -> dict[str, Any]:
    """What the columns do not hold already."""
    parts: dict[str, Any] = {
        "lines": [(bucket, quantity, amount_text(rate), per) for bucket, quantity, rate, per in quote.lines]
    }
    if quote.reason is not None or quote.assumptions:
        parts |= {"reason": quote.reason, "assumptions": quote.assumptions}
    if quote.low is not None or quote.high is not None or quote.computed is not None:
        amounts = {"low": quote.low, "high": quote.high, "computed": quote.computed}
        parts |= {name: amount_text(amount) for name, amount in amounts.items() if amount is not None}
    if (quote.amount, quote.currency) != ((None, "USD") if money is None else (money.amount, money.currency)):
        parts |= {"amount": None if quote.amount is None else amount_text(quote.amount), "currency": quote.currency}
    return parts


def from_row(row: Sequence[Any]) -> Entry:
    """The entry that was stored in such a row."""
    scalars = dict(zip(COLUMNS, row, strict=False))
    basis, body = row[len(COLUMNS)], decode(row[len(COLUMNS) + 1])
    usage = body.get("usage")
    return decode_entry(
        {
            **scalars,
            "occurred_at": moment_text(from_micros(scalars["occurred_us"])),
            "recorded_at": moment_text(from_micros(scalars["recorded_us"])),
            "context": _context(scalars, body),
            "usage": usage and {"flags": (), "problem": None, **usage, "raw": body["raw"]},
            "quote": "quote" in body and _quote(scalars, body["quote"]),
            "span": body.get("span"),
            "details": body.get("details"),
        },
        basis=None if basis is None else _basis(basis),
    )


@lru_cache(maxsize=256)
def _basis(text: str) -> PriceBasis:
    return PriceBasis.from_dict(decode(text))


def _quote(scalars: Mapping[str, Any], quote: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "reason": None,
        "assumptions": (),
        "amount": scalars["cost"] or scalars["estimate"],
        "currency": scalars["currency"] or "USD",
        **quote,
        "status": scalars["cost_status"],
        "lines": [
            {
                "bucket": bucket,
                "quantity": quantity,
                "rate": rate,
                "per": per,
            }
            for bucket, quantity, rate, per in quote["lines"]
        ],
    }


def _context(scalars: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    known = {name: scalars[name] for name in _CONTEXT if scalars[name] is not None}
    return {**known, "tags": body["tags"]} if "tags" in body else known
