"""Templates: the spool line of a plain model call, of which only the numbers are left to be filled in.

The calls of one model differ in a dozen numbers and ids; everything else in their lines is the same all day. So the
general path (usage, quote, entry, row) shows once how such a call is written, and its line becomes a template. What a
template writes is byte for byte what the general path would write: one that cannot repeat its own sample is not kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import mul
from types import MappingProxyType
from typing import Final, NamedTuple

from costtrace.context import NOTHING, TEXT_FIELDS, Context
from costtrace.entry import Entry, Kind, SpanRef
from costtrace.jsontext import encode
from costtrace.ledger.rows import COLUMNS, ENTRIES, USAGES, Row, column_bit, made, to_line, to_row
from costtrace.money import EXACT, INT64_MAX, NANO_DIGITS, PICO_DIGITS, Money, amount_text
from costtrace.quote import Quote, QuoteStatus, exact_quote, unit_price
from costtrace.times import from_micros, to_micros
from costtrace.usage import DIRECTIONS, Usage, known_raw

_DETAILS: Final = frozenset({"message_from", "parent_run_id", "price_context", "service_tier"})
"""What a plain call says beside its numbers; all but the parent is the same for all calls of a template."""
_CONTEXT: Final = tuple((name, column_bit(name)) for name in COLUMNS if name in TEXT_FIELDS)
_PICO: Final = column_bit("cost_pico")
_SLOTS: Final = {
    "entry_id": '"llm/%s/%d",',
    "message_uuid": "%s,",
    "occurred_us": "%d,",
    "recorded_us": "%d,",
    "duration_us": "%d,",
    "source_id": '"%s",',
    "cost": '"%s",',
    "cost_pico": "%s",
    "input_tokens": "%d,",
    "output_tokens": "%d,",
    **dict.fromkeys(TEXT_FIELDS, ""),
    TEXT_FIELDS[0]: "%s",
}
"""How the columns that differ from call to call are written; the context's stand side by side and are one text."""
_MAY_BE_MISSING: Final = frozenset({*TEXT_FIELDS, "cost_pico"})


class PlainCall(NamedTuple):
    """What differs between the calls of one template."""

    run_id: str
    parent_run_id: str | None
    message_uuid: str
    context: Context
    span: SpanRef | None
    start_us: int
    duration_us: int
    recorded_us: int
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    counts: Sequence[int]
    """By bucket, in the order of the sample's."""
    raw_json: str


class _Slotted(NamedTuple):
    """A line with its slots."""

    scalars: str
    mask: int
    """The columns that are there whatever stands in them."""
    basis: str
    """With the ends of the lines on both sides. It holds no slot, so it is only copied."""
    body: str


class Template:
    """The lines of all plain calls that differ from a sample in ids, times and counts. Made by `template_of`."""

    __slots__ = (
        "_basis",
        "_body",
        "_digits",
        "_mask",
        "_nano",
        "_pico",
        "_sample",
        "_scalars",
        "_scale",
        "_units",
        "most_input",
    )

    def __init__(self, text: _Slotted, sample: Entry, quote: Quote, most_input: int) -> None:
        self.most_input = most_input
        """Up to how many input tokens its rates hold."""
        self._sample = sample, quote
        self._scalars, self._mask, self._basis, self._body = text
        prices = [unit_price(line.rate, line.per) for line in quote.lines]
        self._digits = max(0, *(-int(price.as_tuple().exponent) for price in prices))
        self._units = tuple(int(price.scaleb(self._digits, EXACT)) for price in prices)
        self._scale = 10**self._digits
        self._pico = 10 ** abs(PICO_DIGITS - self._digits)
        self._nano = 10 ** abs(NANO_DIGITS - self._digits)

    def line(self, call: PlainCall) -> bytes:
        """The call as `costtrace.ledger.rows.to_line` writes it."""
        # fmt: off
        (
            run_id, parent_run_id, message_uuid, context, span, start_us, duration_us, recorded_us,
            input_tokens, output_tokens, reasoning_tokens, counts, raw_json,
        ) = call
        # fmt: on
        units = sum(map(mul, self._units, counts))
        picos, finer = (units * self._pico, 0) if self._digits <= PICO_DIGITS else divmod(units, self._pico)
        mask, pico_text = self._mask, ""
        if not finer and picos <= INT64_MAX:
            mask, pico_text = mask | _PICO, f"{picos},"
        columns, beside = "", ""
        if context is not NOTHING:
            columns, present = _columns(context)
            mask |= present
        if span is not None or context.tags:
            beside = _tags_and_span(context, span)
        scalars = self._scalars % (
            run_id,
            start_us,
            f'"{run_id}"' if message_uuid is run_id else encode(message_uuid),
            start_us,
            recorded_us,
            duration_us,
            run_id,
            self._text(units),
            pico_text,
            input_tokens,
            output_tokens,
            columns,
            mask,
        )
        body = self._body % (*counts, reasoning_tokens, *counts, beside, parent_run_id, raw_json)
        return f"{scalars}{self._basis}{body}".encode()

    def _text(self, units: int) -> str:
        whole, rest = divmod(units, self._scale)
        return f"{whole}.{rest:0{self._digits}d}".rstrip("0") if rest else str(whole)

    def amount(self, counts: Sequence[int]) -> Decimal:
        """What a call of those counts costs, in the currency of the sample."""
        return Decimal(sum(map(mul, self._units, counts))).scaleb(-self._digits, EXACT)

    def costs(self, counts: Sequence[int]) -> tuple[str, float, int | None, float, float]:
        """The same for who cannot take a Decimal: as text, as the double next to it, in whole 1e-9, and the doubles of
        its parts for input and output. None for an integer that does not fit 64 bits.
        """
        parts = [*map(mul, self._units, counts)]
        output, units, scale = parts[-1], sum(parts), self._scale
        nano = units * self._nano if self._digits <= NANO_DIGITS else _rounded(units, self._nano)
        return (
            self._text(units),
            units / scale,  # Python divides integers to the nearest double, as it reads a Decimal's digits
            nano if nano <= INT64_MAX else None,
            (units - output) / scale,
            output / scale,
        )

    def entry(self, call: PlainCall) -> Entry:
        """The entry that is in that line, for who wants to see it."""
        sample, quote = self._sample
        lines = [line._replace(quantity=count) for line, count in zip(quote.lines, call.counts, strict=True)]
        amount = self.amount(call.counts)
        buckets = {line.bucket: line.quantity for line in lines}
        details = sample.details
        if call.parent_run_id is not None:
            details = MappingProxyType({**details, "parent_run_id": call.parent_run_id})
        return made(
            ENTRIES,
            f"llm/{call.run_id}/{call.start_us}",
            call.message_uuid,
            sample.kind,
            sample.status,
            from_micros(call.start_us),
            from_micros(call.recorded_us),
            call.duration_us,
            sample.provider,
            sample.model,
            sample.requested_model,
            call.run_id,
            made(
                USAGES,
                MappingProxyType(buckets),
                call.input_tokens,
                call.output_tokens,
                call.reasoning_tokens,
                known_raw(call.raw_json),
                (),
                None,
            ),
            exact_quote(amount, quote.currency, tuple(lines), quote.basis),
            Money(amount, quote.currency),
            None,
            None,
            call.context,
            call.span,
            None,
            details,
        )


def template_of(entry: Entry, most_input: int) -> Template | None:
    """The template of the plain calls that are like this one, where it is one.

    Its rates must hold for the whole UTC day, up to `most_input` input tokens.
    """
    usage, quote = entry.usage, entry.quote
    if usage is None or quote is None or not _is_plain(entry, usage, quote) or usage.input_tokens > most_input:
        return None
    row = to_row(entry)
    template = Template(_slotted(row, _body_with_slots(entry, usage, quote)), entry, quote, most_input)
    return template if _line_of(template, entry, usage) == to_line(row) else None


def _is_plain(entry: Entry, usage: Usage, quote: Quote) -> bool:
    return (
        entry.kind == Kind.LLM
        and quote.status is QuoteStatus.EXACT
        and quote.basis is not None
        and not usage.flags
        and [DIRECTIONS.get(bucket) for bucket in usage.buckets] == ["input"] * (len(usage.buckets) - 1) + ["output"]
        and [(line.bucket, line.quantity) for line in quote.lines] == list(usage.buckets.items())
        and entry.details.keys() <= _DETAILS
        and entry.replaces is None
        and entry.duration_us is not None
    )


def _line_of(template: Template, entry: Entry, usage: Usage) -> bytes:
    return template.line(
        PlainCall(
            entry.source_id or "",
            entry.details.get("parent_run_id"),
            entry.message_uuid,
            entry.context,
            entry.span,
            to_micros(entry.occurred_at),
            entry.duration_us or 0,
            to_micros(entry.recorded_at),
            usage.input_tokens,
            usage.output_tokens,
            usage.reasoning_tokens,
            tuple(usage.buckets.values()),
            str(usage.raw_json),
        )
    )


def _slotted(row: Row, body: str) -> _Slotted:
    *scalars, basis, _ = row
    columns, mask = [], 0
    for name, value in zip(COLUMNS, scalars, strict=True):
        if name in _SLOTS:
            columns.append(_SLOTS[name])
        elif value is not None:
            columns.append(f"{_constant(encode(value))},")
        if value is not None and name not in _MAY_BE_MISSING:
            mask |= column_bit(name)
    return _Slotted(f"[{''.join(columns)}%d]", mask, f"\n{basis}\n", body)


def _body_with_slots(entry: Entry, usage: Usage, quote: Quote) -> str:
    buckets = ",".join(f'"{bucket}":%d' for bucket in usage.buckets)
    lines = ",".join(f'["{line.bucket}",%d,"{amount_text(line.rate)}",{line.per}]' for line in quote.lines)
    details = [
        '"parent_run_id":"%s"' if name == "parent_run_id" else _constant(f'"{name}":{encode(value)}')
        for name, value in entry.details.items()
    ]
    no_parent = "" if "parent_run_id" in entry.details else "%.0s"  # takes the argument and writes none of it
    return (
        f'{{"usage":{{"buckets":{{{buckets}}},"reasoning_tokens":%d}},"quote":{{"lines":[{lines}]}}%s'
        + (f',"details":{{{",".join(details)}}}' if details else "")
        + f'{no_parent},"raw":%s}}'
    )


def _constant(text: str) -> str:
    return text.replace("%", "%%")


def _rounded(units: int, unit: int) -> int:
    """How many whole units, to the nearest, and of two the even one."""
    whole, rest = divmod(units, unit)
    return whole + (2 * rest > unit or (2 * rest == unit and whole % 2))


def _columns(context: Context) -> tuple[str, int]:
    """What the context's columns hold, and which of them."""
    mask, values = 0, []
    for name, bit in _CONTEXT:
        value = getattr(context, name)
        if value is not None:
            mask |= bit
            values.append(value)
    return f"{encode(values)[1:-1]}," if values else "", mask


def _tags_and_span(context: Context, span: SpanRef | None) -> str:
    tags = f',"tags":{encode(dict(context.tags))}' if context.tags else ""
    if span is None:
        return tags
    sampled = "true" if span.sampled else "false"
    return f'{tags},"span":{{"trace_id":"{span.trace_id}","span_id":"{span.span_id}","sampled":{sampled}}}'
