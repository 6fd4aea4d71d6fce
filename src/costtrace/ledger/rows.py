"""Entries as rows: the scalars in columns that SQL can group and sum, the rest as one JSON text.

A row is made in the host application's callback, so the JSON is put together from parts that are text already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from functools import lru_cache
from operator import is_not, itemgetter
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar

from costtrace.context import NOTHING, Context
from costtrace.entry import NO_DETAILS, Entry, SpanRef
from costtrace.jsontext import decode, encode
from costtrace.money import Money, amount_pico, amount_text, parse_amount
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus, exact_quote
from costtrace.times import from_micros, to_micros
from costtrace.usage import Usage, raw_text

T = TypeVar("T")

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

SELECT: Final = (
    f"SELECT seq, {', '.join(f'entries.{column}' for column in COLUMNS)}, price_basis.body, entries.body "  # noqa: S608 - our own column names
    "FROM entries LEFT JOIN price_basis ON price_basis.id = entries.basis "
)
"""Reads the sequence number and then a row for `from_row`; a WHERE follows."""

Row = list[str | int | None]
"""The scalar columns in order, then the price basis and the body as JSON texts."""

Parts = tuple[int, Sequence[Any], bytes]
"""A row without its empty columns: which columns it has, the first as bit 0; their values and the body; the basis."""
_BITS: Final = tuple(1 << number for number in range(len(COLUMNS)))
_ALL: Final = sum(_BITS)
_BASIS: Final = len(COLUMNS)
_BODY: Final = _BASIS + 1
_NONES: Final = (None,) * (_BODY + 1)
_QUOTE_STATUSES: Final[Mapping[str, QuoteStatus]] = {status.value: status for status in QuoteStatus}


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


def to_line(row: Row) -> bytes:
    """The row as the spool holds it, in three lines: scalars as a JSON list, price basis, body.

    Of the scalars only those that are there, and last which they are. A text that is JSON already is not escaped to be
    written and read once more, and a basis is the same bytes in thousands of lines.
    """
    mask, (*values, body), basis = parts_of(row)
    values.append(mask)
    return b"%b\n%b\n%b" % (encode(values).encode(), basis, body.encode())


def from_line(line: bytes) -> Parts:
    """The row that was written so; raises ValueError for what is no such line."""
    first = line.index(b"\n")  # twice as fast as to split it
    second = line.index(b"\n", first + 1)
    values: list[Any] = decode(line[:first])
    mask = values.pop()
    values.append(line[second + 1 :].decode())
    return mask, values, line[first + 1 : second]


def parts_of(row: Row) -> Parts:
    """The row without its empty columns.

    Python's sqlite3 takes twice as long to bind None as a text, and most columns of most entries are None.
    """
    mask, pick = _presence(tuple(map(is_not, row, _NONES)))
    return mask, pick(row), str(row[_BASIS] or "").encode()


@lru_cache(maxsize=256)
def _presence(present: tuple[bool, ...]) -> tuple[int, Callable[[Row], tuple[Any, ...]]]:
    """Which columns a row has, and what picks their values and the body. Rows are of few such forms."""
    scalars = [number for number, here in enumerate(present[:_BASIS]) if here]
    return sum(_BITS[number] for number in scalars), itemgetter(*scalars, _BODY)


def column_bit(name: str) -> int:
    """The bit that says that a row has that column."""
    return _BITS[COLUMNS.index(name)]


@lru_cache(maxsize=256)
def insertion(mask: int, *, basis: bool) -> str:
    """The SQL that stores those columns and the body, and after them the id of the basis if there is one.

    Raises ValueError for columns that this version does not know.
    """
    if not 0 < mask <= _ALL:
        raise ValueError(f"columns {mask:#x} of a row; known are {_ALL:#x}")
    columns = [*(name for bit, name in zip(_BITS, COLUMNS, strict=True) if mask & bit), "body"]
    if basis:
        columns.append("basis")
    return (
        f"INSERT INTO entries ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - our own column names
        " ON CONFLICT (entry_id) DO NOTHING"
    )


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
    """The entry that was stored in such a row.

    Reading and delivering a ledger is mostly this, so what was checked before it was stored is not checked again.
    """
    # fmt: off
    (
        entry_id, message_uuid, kind, status, occurred_us, recorded_us, duration_us, provider, model, requested_model,
        source_id, cost, currency, _cost_pico, estimate, estimate_currency, _estimate_pico, cost_status, _standing,
        replaces, input_tokens, output_tokens,
        *context, error, basis, text,
    ) = row
    # fmt: on
    body = decode(text)
    spent = None if cost is None else _money(cost, currency)
    expected = None if estimate is None else _money(estimate, estimate_currency or currency)
    quote, span = body.get("quote"), body.get("span")
    return made(
        ENTRIES,
        entry_id,
        message_uuid,
        kind,
        status,
        from_micros(occurred_us),
        from_micros(recorded_us),
        duration_us,
        provider,
        model,
        requested_model,
        source_id,
        _usage(body["usage"], body["raw"], input_tokens, output_tokens) if "usage" in body else None,
        None if quote is None else _quote(quote, cost_status, spent or expected, basis),
        spent,
        expected,
        replaces,
        _tagged(context, body["tags"]) if "tags" in body else _context(*context),
        None if span is None else SpanRef(**span),
        error,
        MappingProxyType(body["details"]) if body.get("details") else NO_DETAILS,
    )


class _Maker(NamedTuple, Generic[T]):
    """How to make a value without the checks of its constructor."""

    kind: type[T]
    puts: tuple[Callable[[T, Any], None], ...]
    """Sets one field each, in their order."""


def _maker(kind: type[T]) -> _Maker[T]:
    return _Maker(kind, tuple(kind.__dict__[slot.name].__set__ for slot in fields(kind)))  # type: ignore[arg-type]  # all of them are dataclasses


def made(maker: _Maker[T], *values: Any) -> T:
    """The value with those fields, in their order, none of which is checked."""
    made = _new(maker.kind)
    for put, value in zip(maker.puts, values, strict=True):
        put(made, value)
    return made


_new: Final = object.__new__
ENTRIES: Final = _maker(Entry)
USAGES: Final = _maker(Usage)
_set_amount, _set_currency = _maker(Money).puts
_CONTEXTS: Final = _maker(Context)


def _money(text: str, currency: str) -> Money:
    money = _new(Money)
    _set_amount(money, Decimal(text))
    _set_currency(money, currency)
    return money


def _usage(stored: Mapping[str, Any], raw: Mapping[str, Any], input_tokens: int, output_tokens: int) -> Usage:
    return made(
        USAGES,
        MappingProxyType(stored["buckets"]),
        input_tokens,
        output_tokens,
        stored["reasoning_tokens"],
        raw_text(raw),
        tuple(stored.get("flags") or ()),
        stored.get("problem"),
    )


def _quote(quote: Mapping[str, Any], word: str, money: Money | None, basis: str | None) -> Quote:
    if word == QuoteStatus.EXACT and len(quote) == 1 and money is not None and basis is not None:
        return exact_quote(money.amount, money.currency, _lines(quote["lines"]), _basis(basis))
    return Quote(
        status=_QUOTE_STATUSES.get(word, QuoteStatus.OTHER),
        amount=_amount(quote, "amount") if "amount" in quote else (None if money is None else money.amount),
        currency=quote.get("currency", "USD" if money is None else money.currency),
        low=_amount(quote, "low"),
        high=_amount(quote, "high"),
        computed=_amount(quote, "computed"),
        lines=_lines(quote["lines"]),
        reason=quote.get("reason") if word in _QUOTE_STATUSES else f"status {word!r}",
        assumptions=tuple(quote.get("assumptions") or ()),
        basis=None if basis is None else _basis(basis),
    )


def _lines(lines: Sequence[tuple[str, int, str, int]]) -> tuple[QuoteLine, ...]:
    return tuple([QuoteLine(bucket, quantity, _rate(rate), per) for bucket, quantity, rate, per in lines])


def _amount(quote: Mapping[str, Any], name: str) -> Decimal | None:
    text = quote.get(name)
    return None if text is None else parse_amount(text, f"quote.{name}")


@lru_cache(maxsize=1024)
def _rate(text: str) -> Decimal:
    """The rates of a price list come again and again."""
    return parse_amount(text, "line.rate")


@lru_cache(maxsize=256)
def _basis(text: str) -> PriceBasis:
    return PriceBasis.from_dict(decode(text))


@lru_cache(maxsize=256)
def _context(*texts: str | None) -> Context:
    """Entries that were stored together are often about one message."""
    return made(_CONTEXTS, *texts, NOTHING.tags)


def _tagged(texts: Sequence[str | None], tags: Mapping[str, str]) -> Context:
    return replace(_context(*texts), tags=tags)
