"""RateCard: the rates of one model in one context on one day, ready to multiply; and the arithmetic that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from math import inf
from types import MappingProxyType
from typing import Final, NamedTuple

from costtrace.money import EXACT, ZERO
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import REQUEST, STANDARD, Band, Rate, RateSheet
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus, exact_quote, unit_price
from costtrace.usage import (
    FLAG_DETAILS_LOST,
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TOOL_FEES,
    FLAG_TOTAL_MISMATCH,
    Usage,
)

_ASSUMED_BY_FLAG: Final = {
    FLAG_DETAILS_LOST: "cached_and_audio_tokens=0",
    FLAG_OVERLAP: "cached_audio_tokens=0",
    FLAG_INCONSISTENT: "details=cut to their total",
    FLAG_TOTAL_MISMATCH: "total=input+output",
}
_MISSING_BY_FLAG: Final = {
    FLAG_INCOMPLETE: "the provider bills more than it reported for this call",
    FLAG_TOOL_FEES: "the provider's own tools are billed beside the tokens, and their fees are not known here",
}


class _UnitRate(NamedTuple):
    units: int
    """What one unit costs, in the band's smallest part of the currency."""
    price: Decimal
    per: int
    once: bool
    sure: bool
    rate: Rate


class _CardBand(NamedTuple):
    above: int
    rates: dict[str, _UnitRate]
    exponent: int
    """Of that smallest part: a power of ten."""
    request: _UnitRate | None
    basis: PriceBasis


_multiply, _add, _scaled = EXACT.multiply, EXACT.add, EXACT.scaleb
_new_line: Final = tuple.__new__  # half the time of QuoteLine(...)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """What one model costs in one context on one day. Made by `compile_card`."""

    bands: tuple[_CardBand, ...]
    currency: str
    assumptions: tuple[str, ...]
    missing: tuple[str, ...]
    by_the_minute: bool
    threshold: int | float
    """Input tokens up to which the first band holds."""
    plain: bool
    """Whether nothing but the usage itself can make a quote less than exact."""

    def quote(self, usage: Usage) -> Quote:
        """Price the usage: one line per bucket, added up without rounding."""
        band = self.bands[0] if usage.input_tokens <= self.threshold else self._band_for(usage)
        _, rates, exponent, request, basis = band
        plain = self.plain and not usage.flags
        lines: list[QuoteLine] = []
        units = 0
        for bucket, quantity in usage.buckets.items():
            found = rates.get(bucket)
            if found is None:
                plain = False
                continue
            unit, price, per, once, sure, _ = found
            if once:
                quantity = 1  # noqa: PLW2901 - this is what is billed
            units += unit * quantity
            lines.append(_new_line(QuoteLine, (bucket, quantity, price, per)))
            if not sure:
                plain = False
        if request is not None and REQUEST not in usage.buckets:
            unit, price, per, _, sure, _ = request
            units += unit
            lines.append(QuoteLine(REQUEST, 1, price, per))
            plain = plain and sure
        amount = _scaled(units, exponent)
        if plain:
            return exact_quote(amount, self.currency, tuple(lines), basis)
        return self._qualified(usage, band, amount, lines)

    def _band_for(self, usage: Usage) -> _CardBand:
        chosen, length = self.bands[0], usage.input_tokens
        for band in self.bands:
            if length > band.above:
                chosen = band
        return chosen

    def _qualified(self, usage: Usage, band: _CardBand, amount: Decimal, lines: list[QuoteLine]) -> Quote:
        rates = [(line, band.rates[line.bucket].rate) for line in lines]
        assumptions = (
            *self.assumptions,
            *(rate.assumption for _, rate in rates if rate.assumption is not None),
            *(text for flag, text in _ASSUMED_BY_FLAG.items() if flag in usage.flags),
        )
        unpriced = [bucket for bucket in usage.buckets if bucket not in band.rates]
        reasons = [*self.missing]
        if unpriced:
            reasons.append(f"no rate for {', '.join(unpriced)} of model {band.basis.model!r}")
        reasons.extend(text for flag, text in _MISSING_BY_FLAG.items() if flag in usage.flags)
        low, high = (None, None) if reasons or not lines else self._bounds(usage, band, amount, rates)
        return Quote(
            status=QuoteStatus.PARTIAL if reasons else QuoteStatus.ESTIMATED,
            amount=amount if lines else None,
            currency=self.currency,
            low=low,
            high=high,
            lines=tuple(lines),
            reason="; ".join(reasons) or (None if lines else "no unit that has a price was reported"),
            assumptions=tuple(dict.fromkeys(assumptions)),
            basis=band.basis,
        )

    def _bounds(
        self, usage: Usage, band: _CardBand, amount: Decimal, lines: list[tuple[QuoteLine, Rate]]
    ) -> tuple[Decimal | None, Decimal | None]:
        """What the amount would be if each assumption were as wrong as it can be; None where one has no end."""
        if self.assumptions or any(flag in usage.flags for flag in (FLAG_INCONSISTENT, FLAG_TOTAL_MISMATCH)):
            return None, None
        low = high = amount
        for line, rate in lines:
            if rate.assumption is None:
                continue
            if rate.low is None or rate.high is None:
                return None, None
            low = _add(low, _difference(line, rate.low, rate))
            high = _add(high, _difference(line, rate.high, rate))
        if FLAG_DETAILS_LOST in usage.flags:
            less, more = _if_not_plain(usage, band)
            low, high = _add(low, less), _add(high, more)
        if FLAG_OVERLAP in usage.flags:
            moved = _if_cached_audio(usage, band)
            if moved is None:
                return None, None
            low, high = _add(low, min(moved, ZERO)), _add(high, max(moved, ZERO))
        return low, high


def _difference(line: QuoteLine, price: Decimal, rate: Rate) -> Decimal:
    return _multiply(unit_price(EXACT.subtract(price, rate.price), rate.per), line.quantity)


def _if_not_plain(usage: Usage, band: _CardBand) -> tuple[Decimal, Decimal]:
    """What it would add to the amount if all plain input had been cached, or spoken: the least and the most."""
    rates = band.rates
    prices = [rates[name].units for name in ("input", "cache_read", "input_audio") if name in rates]
    plain, tokens = rates["input"].units if "input" in rates else 0, usage.buckets.get("input", 0)
    changes = [(price - plain) * tokens for price in prices]
    return _scaled(min(changes, default=0), band.exponent), _scaled(max(changes, default=0), band.exponent)


def _if_cached_audio(usage: Usage, band: _CardBand) -> Decimal | None:
    """What it would add to the amount if as many audio tokens as possible had been cached ones."""
    names = ("input", "cache_read_audio", "input_audio", "cache_read")
    if any(name not in band.rates for name in names):
        return None
    plain, cached_audio, audio, cached = (band.rates[name].units for name in names)
    most = min(usage.buckets.get("input_audio", 0), usage.buckets.get("cache_read", 0))
    return _scaled((plain + cached_audio - audio - cached) * most, band.exponent)


def compile_card(sheet: RateSheet, route: Route) -> RateCard:
    """The card of a sheet that was found for that route. An option that selected nothing makes it partial."""
    ignored = {
        name: value
        for name, value in route.context.items()
        if name not in sheet.basis.context_used and value not in STANDARD.get(name, ())
    }
    used = {**route.used, **sheet.basis.context_used}
    basis = replace(sheet.basis, context_used=MappingProxyType(used), context_ignored=MappingProxyType(ignored))
    missing = sheet.missing
    if ignored:
        options = ", ".join(f"{name}={value}" for name, value in ignored.items())
        missing = (*missing, f"no rate of its own is known for {options} of model {basis.model!r} at that time")
    return RateCard(
        bands=tuple(_compiled(band, basis) for band in sheet.bands),
        currency=sheet.currency,
        assumptions=sheet.assumptions,
        missing=missing,
        by_the_minute=sheet.by_the_minute,
        threshold=sheet.bands[1].above if len(sheet.bands) > 1 else inf,
        plain=not missing and not sheet.assumptions,
    )


def _compiled(band: Band, basis: PriceBasis) -> _CardBand:
    prices = {name: unit_price(rate.price, rate.per) for name, rate in band.rates.items()}
    exponent = min((_exponent(price) for price in prices.values()), default=0)
    rates = {
        name: _UnitRate(
            units=int(_scaled(prices[name], -exponent)),
            price=rate.price,
            per=rate.per,
            once=rate.once,
            sure=rate.assumption is None,
            rate=rate,
        )
        for name, rate in band.rates.items()
    }
    threshold = {} if band.above < 0 else {"input_tokens": f"more than {band.above}"}
    return _CardBand(
        above=band.above,
        rates=rates,
        exponent=exponent,
        request=rates.get(REQUEST),
        basis=replace(
            basis,
            context_used=MappingProxyType({**basis.context_used, **threshold}),
            rates=MappingProxyType({name: rate.source for name, rate in band.rates.items()}),
        ),
    )


def _exponent(price: Decimal) -> int:
    exponent = price.as_tuple().exponent
    return min(exponent, 0) if isinstance(exponent, int) else 0
