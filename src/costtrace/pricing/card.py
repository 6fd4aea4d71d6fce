"""RateCard: the rates of one model in one context on one day, ready to multiply; and the arithmetic that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from costtrace.money import EXACT, ZERO
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus, unit_price
from costtrace.usage import (
    FLAG_INCOMPLETE,
    FLAG_INCONSISTENT,
    FLAG_OVERLAP,
    FLAG_TIER_ASSUMED,
    FLAG_TOOL_FEES,
    FLAG_TOTAL_MISMATCH,
    Usage,
)

STANDARD_TIERS: Final = frozenset({"default", "standard"})
"""Served tiers that every provider bills at its standard rate."""

PER_MILLION: Final = 1_000_000
PER_THOUSAND: Final = 1_000

_ASSUMED_BY_FLAG: Final = {
    FLAG_TIER_ASSUMED: "service_tier=as requested",
    FLAG_OVERLAP: "cached_audio_tokens=0",
    FLAG_INCONSISTENT: "details=cut to their total",
    FLAG_TOTAL_MISMATCH: "total=input+output",
}
_MISSING_BY_FLAG: Final = {
    FLAG_INCOMPLETE: "the provider bills more than it reported for this call",
    FLAG_TOOL_FEES: "the provider's own tools are billed beside the tokens, and their fees are not known here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The price of one bucket."""

    price: Decimal
    """What `per` units cost."""
    per: int
    """1, 1,000 or 1,000,000 units."""
    assumption: str | None = None
    """What is assumed when the bucket is priced at this rate; None where the rate was published for it."""
    unit_price: Decimal = field(init=False)
    """What one unit costs, exactly."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit_price", unit_price(self.price, self.per))


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The rates for requests whose input is longer than a threshold; they hold for the whole request."""

    above: int
    """Input tokens that must be exceeded; -1 for every request."""
    rates: Mapping[str, Rate]
    """By usage bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """What one model costs in one context on one day."""

    basis: PriceBasis
    bands: tuple[Band, ...]
    """Shortest threshold first; the first one is for every request."""
    partial: str | None = None
    """Why these rates cannot be the whole truth in this context, if so."""
    by_the_minute: bool = False
    """Whether the rates change within the day."""

    def quote(self, usage: Usage) -> Quote:
        """Price the usage: one line per bucket, added up without rounding."""
        multiply, add = EXACT.multiply, EXACT.add
        rates = self._rates_for(usage)
        lines: list[QuoteLine] = []
        assumptions: list[str] = []
        missing: list[str] = []
        amount = ZERO
        for bucket, quantity in usage.buckets.items():
            rate = rates.get(bucket)
            if rate is None:
                missing.append(bucket)
                continue
            subtotal = multiply(rate.unit_price, quantity)
            amount = add(amount, subtotal)
            lines.append(QuoteLine(bucket, quantity, rate.price, rate.per, subtotal))
            if rate.assumption:
                assumptions.append(rate.assumption)
        if not missing and not assumptions and not usage.flags and not self.partial:
            return Quote(status=QuoteStatus.EXACT, amount=amount, lines=tuple(lines), basis=self.basis)
        return self._qualified(usage, amount, lines, assumptions, missing)

    def _rates_for(self, usage: Usage) -> Mapping[str, Rate]:
        rates = self.bands[0].rates
        if len(self.bands) > 1:
            length = usage.input_tokens
            for band in self.bands:
                if length > band.above:
                    rates = band.rates
        return rates

    def _qualified(
        self, usage: Usage, amount: Decimal, lines: list[QuoteLine], assumptions: list[str], missing: list[str]
    ) -> Quote:
        assumptions = [*assumptions, *(text for flag, text in _ASSUMED_BY_FLAG.items() if flag in usage.flags)]
        reasons = [self.partial] if self.partial else []
        if missing:
            reasons.append(f"no rate for {', '.join(missing)} of model {self.basis.model!r}")
        reasons.extend(text for flag, text in _MISSING_BY_FLAG.items() if flag in usage.flags)
        return Quote(
            status=QuoteStatus.PARTIAL if reasons else QuoteStatus.ESTIMATED,
            amount=amount if lines else None,
            lines=tuple(lines),
            reason="; ".join(reasons) or (None if lines else "no unit that has a price was reported"),
            assumptions=tuple(assumptions),
            basis=self.basis,
        )
