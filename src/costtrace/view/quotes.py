"""A quote with its working: every line, where the rates come from, what was assumed and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from costtrace.money import amount_text
from costtrace.quote import PriceBasis, Quote
from costtrace.usage import Usage
from costtrace.view.amounts import lined_up
from costtrace.view.blocks import Block, Cell, Column, Facts, Grid

_COLUMNS = (
    Column(right=True),
    Column(),
    Column(right=True),
    Column(right=True),
    Column(right=True, whole=True),
    Column(),
)


def working(quote: Quote, usage: Usage | None, *, rates_as_for: int | None = None) -> list[Block]:
    """The lines (quantity bucket x rate / per = subtotal, and where the rate stands) and the facts behind them.

    Where the rates come from is left out where it was said already, under the number `rates_as_for`.
    """
    blocks: list[Block] = []
    rows = list(_lines(quote, usage))
    if rows:
        blocks.append(Grid(_COLUMNS, rows))
    facts = list(_facts(quote, usage))
    if rates_as_for is not None:
        facts.append(("rates", Cell(f"as for {rates_as_for}", "dim")))
    elif quote.basis:
        facts.extend(_basis(quote.basis))
    if facts:
        blocks.append(Facts(facts))
    return blocks


def verdict(quote: Quote) -> Cell:
    """The amount and how far it can be trusted, in a few words."""
    if quote.amount is None:
        return Cell(f"unpriced: {quote.reason or quote.status.value}", "bad")
    word = quote.status.value.replace("_", " ")
    return Cell(f"{amount_text(quote.amount)} {quote.currency}, {word}", "strong" if quote.is_actual else "warn")


def _lines(quote: Quote, usage: Usage | None) -> Iterator[tuple[Cell, ...]]:
    subtotals = lined_up([line.subtotal for line in quote.lines])
    rates = lined_up([line.rate for line in quote.lines])
    sources = quote.basis.rates if quote.basis else {}
    for line, rate, subtotal in zip(quote.lines, rates, subtotals, strict=True):
        yield (
            Cell(str(line.quantity)),
            Cell(line.bucket),
            Cell(f"x {rate}"),
            Cell(f"/ {line.per}", "dim"),
            Cell(f"= {subtotal}"),
            Cell(sources.get(line.bucket, ""), "dim"),
        )
    priced = {line.bucket for line in quote.lines}
    for bucket, count in usage.buckets.items() if usage else ():
        if bucket not in priced:
            yield Cell(str(count)), Cell(bucket), Cell("no rate", "bad"), Cell(""), Cell("unpriced", "bad"), Cell("")


def _facts(quote: Quote, usage: Usage | None) -> Iterator[tuple[str, Cell]]:
    if quote.reason and quote.amount is not None:  # without an amount, the verdict says it
        yield "reason", Cell(quote.reason, "" if quote.is_actual else "bad")
    if quote.computed is not None:
        computed = f"{amount_text(quote.computed)} {quote.currency} by the price list; the provider's word stands"
        yield "computed", Cell(computed)
    if quote.low is not None and quote.high is not None:
        yield "between", Cell(f"{amount_text(quote.low)} and {amount_text(quote.high)} {quote.currency}", "warn")
    if quote.assumptions:
        yield "assumed", Cell(", ".join(quote.assumptions), "warn")
    if usage and usage.reasoning_tokens:
        yield "reasoning", Cell(f"{usage.reasoning_tokens} of the output tokens")
    if usage and usage.flags:
        yield "usage", Cell(", ".join(flag.replace("_", " ") for flag in usage.flags), "warn")


def _basis(basis: PriceBasis) -> Iterator[tuple[str, Cell]]:
    yield "rates of", Cell(f"{basis.provider} {basis.model} ({basis.rule})")
    if basis.effective_from or basis.effective_until:
        yield "in force", Cell(_days(basis))
    for sentence in basis.adjustments:
        yield "adjusted", Cell(sentence)
    if basis.context_used:
        yield "chosen by", Cell(_options(basis.context_used))
    if basis.context_ignored:
        yield "ignored", Cell(_options(basis.context_ignored), "warn")
    yield "price list", Cell(f"{basis.source} {basis.version}, sha256 {basis.data_hash}", "dim")
    if basis.url:
        checked = f", checked on {basis.checked_on.isoformat()}" if basis.checked_on else ""
        yield "published", Cell(f"{basis.url}{checked}", "dim")


def _days(basis: PriceBasis) -> str:
    since = f"since {basis.effective_from.isoformat()}" if basis.effective_from else ""
    until = f"until {basis.effective_until.isoformat()}" if basis.effective_until else ""
    return " ".join(filter(None, (since, until)))


def _options(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())
