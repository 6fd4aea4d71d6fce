"""Price list: genai-prices, the bundled table. Imported here, and where its names and its updates are read.

The package knows models, dates and tiers; it also falls back silently where it knows nothing better (an unknown
service tier costs the standard rate, audio costs what text costs). So only its table is used, and every silent fallback
becomes an assumption, a partial sheet or no sheet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, PriceVariant, StartDateConstraint, TieredPrices

from costtrace.money import EXACT
from costtrace.pricing.genai_names import find
from costtrace.pricing.route import Route, assumption
from costtrace.pricing.sheet import PER_MILLION, PER_THOUSAND, REQUEST, Band, Rate, RateSheet
from costtrace.pricing.updates import read_price_file
from costtrace.quote import PriceBasis

_RATES: Final[Mapping[str, tuple[tuple[str, str | None], ...]]] = {
    "input": (("input_mtok", None),),
    "cache_read": (("cache_read_mtok", None), ("input_mtok", "cache_read=input rate")),
    "cache_write": (("cache_write_mtok", None), ("input_mtok", "cache_write=input rate")),
    "cache_write_5m": (
        ("cache_write_5m_mtok", None),
        ("cache_write_mtok", None),
        ("input_mtok", "cache_write_5m=input rate"),
    ),
    "cache_write_1h": (("cache_write_1h_mtok", None), ("cache_write_mtok", "cache_write_1h=cache_write rate")),
    "input_audio": (("input_audio_mtok", None),),
    "input_image": (("input_image_mtok", None), ("input_mtok", None)),
    "input_video": (("input_video_mtok", None), ("input_mtok", None)),
    "cache_read_audio": (("cache_audio_read_mtok", None),),
    "output": (("output_mtok", None),),
    "output_audio": (("output_audio_mtok", None),),
    "output_image": (("output_image_mtok", None),),
    "web_search": (("web_searches_kcount", None),),
    "file_search": (("storage_searches_kcount", None),),
    REQUEST: (("requests_kcount", None),),
}
"""For each bucket, the list's rates that may price it, best first, with what the weaker ones assume."""

_OPTIONAL: Final = frozenset({"cache_image_read_mtok"})
"""Rates for things that arrive in no bucket of ours and are billed apart; they do not make a sheet partial."""

_KNOWN: Final = frozenset(key for choices in _RATES.values() for key, _ in choices) | _OPTIONAL

Prices = Mapping[str, Decimal | TieredPrices]
"""The list's rates of one model by its own keys, such as ``input_mtok``."""


class GenaiPrices:
    """The bundled table of genai-prices: dated list prices in USD. Never touches the network."""

    name = "genai-prices"

    def __init__(
        self, snapshot: DataSnapshot | None = None, *, data_hash: str | None = None, list_version: str | None = None
    ) -> None:
        self._snapshot = get_snapshot() if snapshot is None else snapshot
        self._data_hash = data_hash
        self.version = list_version or version("genai-prices")

    @classmethod
    def from_file(cls, path: str | Path) -> GenaiPrices:
        """The table that ``costtrace prices update`` wrote; raises InvalidRates for a file that cannot be used."""
        snapshot, data_hash, list_version = read_price_file(path)
        return cls(snapshot, data_hash=data_hash, list_version=list_version)

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the price data, first 16 hex digits."""
        if self._data_hash is not None:
            return self._data_hash
        return hashlib.sha256(files("genai_prices").joinpath("data.py").read_bytes()).hexdigest()[:16]

    @property
    def models(self) -> int:
        """How many models it knows."""
        return sum(len(provider.models) for provider in self._snapshot.providers)

    def latest_change(self, before: date) -> date | None:
        """The last day up to `before` on which a price of the table took effect: the table is no older than that."""
        models = (model for provider in self._snapshot.providers for model in provider.models)
        constraints = (price.constraint for model in models for price in _conditions(model))
        starts = (constraint.start_date for constraint in constraints if isinstance(constraint, StartDateConstraint))
        return max((day for day in starts if day <= before), default=None)

    def sheet(self, route: Route, at: datetime, beneath: Callable[[Route], RateSheet | None]) -> RateSheet | None:
        """The rates of that model at that moment, or those of the lists beneath where the table does not know it."""
        found = None if route.problem else find(self._snapshot, route.provider, route.names)
        if found is None:
            return beneath(route)
        info, owner, rule = found
        variants = _selected(info, route.context, at) if owner == route.provider else []
        prices = _prices(info, at, variants)
        provider = next(provider for provider in self._snapshot.providers if provider.id == owner)
        return RateSheet(
            basis=PriceBasis(
                provider=route.provider,
                model=info.id,
                rule=rule if owner == route.provider else f"{rule}, at the prices of {owner}",
                source=self.name,
                version=self.version,
                data_hash=self.data_hash,
                url=provider.pricing_urls[0] if provider.pricing_urls else None,
                effective_from=_effective_from(info, at, variants),
                context_used=MappingProxyType({k: v for variant in variants for k, v in variant.when.items()}),
            ),
            bands=_with_long_context(_bands(prices, _inherited(info, at, variants)), info, at, prices),
            assumptions=(*route.assumptions, *filter(None, (assumption(info.id, rule), _too_early(info, at)))),
            missing=_missing(prices, info),
            by_the_minute=_changes_within_a_day(info),
        )


def _selected(info: ModelInfo, context: Mapping[str, str], at: datetime) -> list[PriceVariant]:
    """The variants that these options choose. One whose rates another has set already has no say: the table knows no
    rate for both options together.
    """
    chosen: list[PriceVariant] = []
    taken: set[str] = set()
    for variant in info.price_variants or ():
        active = variant.constraint is None or variant.constraint.active(at)
        if active and variant.when.items() <= context.items() and taken.isdisjoint(_named(variant.prices)):
            chosen.append(variant)
            taken.update(_named(variant.prices))
    return chosen


def _prices(info: ModelInfo, at: datetime, variants: list[PriceVariant]) -> Prices:
    options = {key: value for variant in variants for key, value in variant.when.items()}
    return _named(info.get_prices(at, options or None))


def _named(prices: ModelPrice) -> Prices:
    return {key: price for key, price in prices.__dict__.items() if price is not None}


def _inherited(info: ModelInfo, at: datetime, variants: list[PriceVariant]) -> Mapping[str, Decimal]:
    """The token rates that an option leaves as they were, and by what share it changed the rate of plain input.

    Providers that sell at half price halve the cached rates too; the table names them only for some models.
    """
    base = _named(info.get_prices(at, None))
    changed = {key: price for variant in variants for key, price in _named(variant.prices).items()}
    if "input_mtok" not in changed:
        return {}
    was, now = (_price_above(prices["input_mtok"], -1) for prices in (base, changed))
    return {key: now / was for key in base if key.startswith("cache_") and key not in changed and was}


def _missing(prices: Prices, info: ModelInfo) -> tuple[str, ...]:
    unknown = sorted(key for key in prices if key not in _KNOWN)
    if unknown:
        return (f"model {info.id!r} is also billed by {', '.join(unknown)}, which a chat call does not report",)
    return ()


def _conditions(info: ModelInfo) -> list[ConditionalPrice]:
    return info.prices if isinstance(info.prices, list) else []


def _too_early(info: ModelInfo, at: datetime) -> str | None:
    """What is assumed of a call from before the first price that the table knows."""
    conditions = _conditions(info)
    constraints = [price.constraint for price in conditions]
    if not conditions or any(constraint is None or constraint.active(at) for constraint in constraints):
        return None
    starts = [c.start_date for c in constraints if isinstance(c, StartDateConstraint)]
    return f"rates=those of {min(starts):%Y-%m-%d}, the first known" if starts else "rates=the first known"


def _changes_within_a_day(info: ModelInfo) -> bool:
    constraints = [price.constraint for price in (*_conditions(info), *(info.price_variants or ()))]
    return any(c is not None and not isinstance(c, StartDateConstraint) for c in constraints)


def _effective_from(info: ModelInfo, at: datetime, variants: list[PriceVariant]) -> date | None:
    chosen = next(
        (
            price.constraint
            for price in reversed(_conditions(info))
            if price.constraint is None or price.constraint.active(at)
        ),
        None,
    )
    constraints = (chosen, *(variant.constraint for variant in variants))
    return max((c.start_date for c in constraints if isinstance(c, StartDateConstraint)), default=None)


def _bands(prices: Prices, inherited: Mapping[str, Decimal]) -> tuple[Band, ...]:
    thresholds = {tier.start for price in prices.values() if isinstance(price, TieredPrices) for tier in price.tiers}
    return tuple(
        Band(
            above=above,
            rates=MappingProxyType(_rates({k: _price_above(p, above) for k, p in prices.items()}, inherited)),
        )
        for above in (-1, *sorted(thresholds))
    )


def _with_long_context(bands: tuple[Band, ...], info: ModelInfo, at: datetime, prices: Prices) -> tuple[Band, ...]:
    """The bands; where an option has one rate and the model itself another for long requests, with a doubtful one.

    OpenAI's priority processing "excludes long context": what is listed for it is not known to hold there.
    https://openai.com/api-priority-processing/
    """
    standard = _named(info.get_prices(at, None)).get("input_mtok")
    if not isinstance(standard, TieredPrices) or isinstance(prices.get("input_mtok"), TieredPrices):
        return bands
    rates = {
        bucket: replace(rate, assumption="long_context=rates of shorter requests", low=None, high=None)
        for bucket, rate in bands[-1].rates.items()
        if rate.per == PER_MILLION
    }
    above = min(tier.start for tier in standard.tiers)
    shorter = tuple(band for band in bands if band.above < above)
    return (*shorter, Band(above=above, rates=MappingProxyType({**bands[-1].rates, **rates})))


def _price_above(price: Decimal | TieredPrices, above: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= above), price.base)


def _rates(prices: Mapping[str, Decimal], inherited: Mapping[str, Decimal]) -> dict[str, Rate]:
    rates: dict[str, Rate] = {}
    for bucket, choices in _RATES.items():
        for key, assumed in choices:
            if key in prices:
                rates[bucket] = _rate(bucket, key, prices, assumed, inherited)
                break
    return rates


def _rate(
    bucket: str, key: str, prices: Mapping[str, Decimal], assumption: str | None, inherited: Mapping[str, Decimal]
) -> Rate:
    per = PER_THOUSAND if key.endswith("_kcount") else PER_MILLION
    price = low = high = prices[key]
    if key in inherited and assumption is None:
        assumption = f"{bucket}=standard rate"
        low, high = sorted((price, EXACT.multiply(price, inherited[key])))
    elif bucket == "cache_write" and "cache_write_1h_mtok" in prices and assumption is None:
        assumption, high = "cache_ttl=5m", prices["cache_write_1h_mtok"]
    elif assumption is not None:
        return Rate(price=price, per=per, source=key, assumption=assumption)
    return Rate(price=price, per=per, source=key, assumption=assumption, low=low, high=high)
