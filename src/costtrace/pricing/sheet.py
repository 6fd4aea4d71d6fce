"""RateSheet: what the price lists say of one model in one context at one moment; and what a price list is.

Lists lie above one another. Each answers for a route by itself, or changes what the lists beneath it say, or passes the
question on. What comes out at the top is compiled into a `RateCard`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

from costtrace.pricing.route import Route
from costtrace.quote import PriceBasis

PER_MILLION: Final = 1_000_000
PER_THOUSAND: Final = 1_000

REQUEST: Final = "request"
"""The bucket of a fee for the call itself, which no usage counts: a model with a rate for it charges it once a call."""

STANDARD: Final[Mapping[str, frozenset[str]]] = {
    "inference_geo": frozenset({"global", "not_available"}),
    "processing": frozenset({"standard"}),
    "region": frozenset({"global"}),
    "service_tier": frozenset({"default", "on_demand", "standard", "standard_only"}),
    "speed": frozenset({"standard"}),
}
"""For each option of a call, the values that every provider bills at its standard rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """The price of one bucket."""

    price: Decimal
    """What `per` units cost."""
    per: int
    """1, 1,000 or 1,000,000 units."""
    source: str
    """Which line of which list says so."""
    assumption: str | None = None
    """What is assumed when the bucket is priced at this rate; None where the rate was published for it."""
    low: Decimal | None = None
    """The lowest price that the assumption leaves possible; None where nobody can say."""
    high: Decimal | None = None
    once: bool = False
    """Whether it is charged once a call, however many units were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """The rates for requests whose input is longer than a threshold; they hold for the whole request."""

    above: int
    """Input tokens that must be exceeded; -1 for every request."""
    rates: Mapping[str, Rate]
    """By usage bucket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateSheet:
    """The rates of one model, in one context, at one moment."""

    basis: PriceBasis
    """`context_used` names the options that selected a rate; what the context says beside those selected none."""
    bands: tuple[Band, ...]
    """Shortest threshold first; the first one is for every request."""
    currency: str = "USD"
    assumptions: tuple[str, ...] = ()
    """What is assumed of the whole sheet, without bounds."""
    missing: tuple[str, ...] = ()
    """Why these rates cannot be the whole truth."""
    by_the_minute: bool = False
    """Whether the rates change within the day."""


class PriceList(Protocol):
    """A source of rates."""

    name: str

    def sheet(self, route: Route, at: datetime, beneath: Callable[[Route], RateSheet | None]) -> RateSheet | None:
        """The rates for that route at that moment; None where neither this list nor those beneath it know any."""
