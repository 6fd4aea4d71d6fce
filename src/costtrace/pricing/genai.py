"""Price list: genai-prices. The only module that imports it.

The package knows models, dates and tiers; it also falls back silently where it knows nothing better (an unknown
service tier costs the standard rate, audio costs what text costs). So only its table and its matcher are used here, and
every silent fallback becomes an assumption, a partial card or no card.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from genai_prices.data_snapshot import DataSnapshot, find_provider_by_id, get_snapshot
from genai_prices.types import ConditionalPrice, ModelInfo, PriceVariant, StartDateConstraint, TieredPrices

from costtrace.pricing.card import PER_MILLION, PER_THOUSAND, STANDARD_TIERS, Band, Rate, RateCard
from costtrace.quote import PriceBasis

PROVIDERS: Final[Mapping[str, str]] = {
    "amazon_bedrock": "aws",
    "anthropic-bedrock": "aws",
    "azure_openai": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "google_anthropic_vertex": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "mistralai": "mistral",
    "xai": "x-ai",
}
"""LangChain's ``ls_provider`` to the price list's id, where they differ. The list's own fuzzy matching of provider
names is not used: it sends ``azure_openai`` to OpenAI's prices and ``anthropic-bedrock`` to Anthropic's."""

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
}
"""For each bucket, the list's rates that may price it, best first, with what the weaker ones assume."""

_OPTIONAL: Final = frozenset({"storage_searches_kcount", "cache_image_read_mtok"})
"""Rates for things that arrive in no bucket of ours and are billed apart; they do not make a card partial."""

_KNOWN: Final = frozenset(key for choices in _RATES.values() for key, _ in choices) | _OPTIONAL


class GenaiPrices:
    """The bundled table of genai-prices: dated list prices in USD. Never touches the network."""

    name = "genai-prices"

    def __init__(self, snapshot: DataSnapshot | None = None) -> None:
        self._snapshot = get_snapshot() if snapshot is None else snapshot
        self.version = version("genai-prices")

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the bundled price data, first 16 hex digits."""
        return hashlib.sha256(files("genai_prices").joinpath("data.py").read_bytes()).hexdigest()[:16]

    def latest_change(self, before: date) -> date | None:
        """The last day up to `before` on which a price of the table took effect: the table is no older than that."""
        models = (model for provider in self._snapshot.providers for model in provider.models)
        constraints = (price.constraint for model in models for price in _conditions(model))
        starts = (constraint.start_date for constraint in constraints if isinstance(constraint, StartDateConstraint))
        return max((day for day in starts if day <= before), default=None)

    def card(self, provider: str, model: str, context: Mapping[str, str], at: datetime) -> RateCard | None:
        """The rates of that model at that moment, or None where the list has no such provider or model."""
        source = find_provider_by_id(self._snapshot.providers, PROVIDERS.get(provider, provider))
        if source is None or source.id != PROVIDERS.get(provider, provider):
            return None
        info = source.find_model(model, all_providers=self._snapshot.providers)
        if info is None:
            return None
        own = any(info is candidate for candidate in source.models)
        variants = _selected(info, context, at) if own else []
        used = {key: value for variant in variants for key, value in variant.when.items()}
        ignored = {key: value for key, value in context.items() if key not in used and value not in STANDARD_TIERS}
        prices = info.get_prices(at, dict(context) if own else None).__dict__
        return RateCard(
            basis=PriceBasis(
                provider=source.id,
                model=info.id,
                rule="exact name" if model.lower() == info.id else "price list match",
                source=self.name,
                version=self.version,
                data_hash=self.data_hash,
                url=source.pricing_urls[0] if source.pricing_urls else None,
                effective_from=_effective_from(info, at),
                context_used=MappingProxyType(used),
                context_ignored=MappingProxyType(ignored),
            ),
            bands=_bands({key: price for key, price in prices.items() if price is not None}),
            partial=_partial(ignored, prices, info),
            by_the_minute=_changes_within_a_day(info),
        )


def _selected(info: ModelInfo, context: Mapping[str, str], at: datetime) -> list[PriceVariant]:
    return [
        variant
        for variant in info.price_variants or ()
        if (variant.constraint is None or variant.constraint.active(at)) and variant.when.items() <= context.items()
    ]


def _partial(ignored: Mapping[str, str], prices: Mapping[str, object], info: ModelInfo) -> str | None:
    if ignored:
        options = ", ".join(f"{key}={value}" for key, value in ignored.items())
        return f"the price list has no rate of its own for {options} of model {info.id!r} on that day"
    unknown = sorted(key for key, price in prices.items() if price is not None and key not in _KNOWN)
    if unknown:
        return f"model {info.id!r} is also billed by {', '.join(unknown)}, which a chat call does not report"
    return None


def _conditions(info: ModelInfo) -> list[ConditionalPrice]:
    return info.prices if isinstance(info.prices, list) else []


def _changes_within_a_day(info: ModelInfo) -> bool:
    constraints = [price.constraint for price in (*_conditions(info), *(info.price_variants or ()))]
    return any(c is not None and not isinstance(c, StartDateConstraint) for c in constraints)


def _effective_from(info: ModelInfo, at: datetime) -> date | None:
    for condition in reversed(_conditions(info)):
        if condition.constraint is None:
            return None
        if condition.constraint.active(at):
            return condition.constraint.start_date if isinstance(condition.constraint, StartDateConstraint) else None
    return None


def _bands(prices: Mapping[str, Decimal | TieredPrices]) -> tuple[Band, ...]:
    thresholds = {tier.start for price in prices.values() if isinstance(price, TieredPrices) for tier in price.tiers}
    return tuple(
        Band(above=above, rates=MappingProxyType(_flat_rates({k: _price_above(p, above) for k, p in prices.items()})))
        for above in (-1, *sorted(thresholds))
    )


def _price_above(price: Decimal | TieredPrices, above: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    return next((tier.price for tier in reversed(price.tiers) if tier.start <= above), price.base)


def _flat_rates(prices: Mapping[str, Decimal]) -> dict[str, Rate]:
    rates: dict[str, Rate] = {}
    for bucket, choices in _RATES.items():
        for key, assumption in choices:
            if key in prices:
                per = PER_THOUSAND if key.endswith("_kcount") else PER_MILLION
                rates[bucket] = Rate(price=prices[key], per=per, assumption=assumption)
                break
    return rates
