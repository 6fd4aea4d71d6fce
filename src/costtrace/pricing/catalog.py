"""Catalog: price lists in order of authority, and the cards compiled from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

from costtrace.errors import InvalidValue
from costtrace.money import ZERO
from costtrace.pricing.card import RateCard
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.times import utc
from costtrace.usage import FLAG_CACHE_HIT, Usage, usage_from_metadata

NOT_BILLED: Final = Quote(
    status=QuoteStatus.NOT_BILLED, amount=ZERO, reason="LangChain answered from its own cache; no call was made"
)
_MAX_CARDS: Final = 4096

Key = tuple[str, str, tuple[tuple[str, str], ...], int, int | None]
"""Provider, model, context, UTC day, and the minute of it where rates change within a day."""


class PriceList(Protocol):
    """A source of rates."""

    def card(self, provider: str, model: str, context: Mapping[str, str], at: datetime) -> RateCard | None:
        """The rates of that model, in that context, at that moment; None where this list does not know it."""


class Catalog:
    """Prices usages. The first price list that knows a model decides.

    Cards are compiled once per provider, model, context and UTC day; a catalog may be used from many threads.
    """

    def __init__(self, *price_lists: PriceList, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._price_lists = price_lists
        self._clock = clock
        self._cards: dict[Key, RateCard | Quote] = {}

    @classmethod
    def default(cls, rates: str | Path | None = None) -> Catalog:
        """The bundled list prices, and above them the TOML file of your own rates, if given.

        Raises InvalidRates for a file that cannot be used.
        """
        from costtrace.pricing.genai import GenaiPrices  # noqa: PLC0415 - 4 MB of prices, only for who prices
        from costtrace.pricing.own_rates import OwnRates  # noqa: PLC0415 - beside the other list

        return cls(*((OwnRates(rates),) if rates is not None else ()), GenaiPrices())

    def quote(
        self,
        *,
        provider: str | None,
        model: str | None,
        usage: Usage | Mapping[str, Any] | None,
        service_tier: str | None = None,
        at: datetime | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Quote:
        """The price of one call.

        `provider` is LangChain's ``ls_provider`` (``openai``, ``azure``, ``google_genai``) or the price list's id;
        `model` the model as served; `usage` a Usage or LangChain's ``usage_metadata``; `service_tier` the tier as
        served; `at` the moment the call began. Usage that is missing or contradicts itself, and a model nobody has a
        price for, are answered by a quote without an amount; only a naive datetime raises (InvalidValue).
        """
        if usage is None:
            return no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
        if not isinstance(usage, Usage):
            usage = usage_from_metadata(usage)
        if usage.problem is not None:
            return no_quote(QuoteStatus.INVALID_USAGE, usage.problem)
        if FLAG_CACHE_HIT in usage.flags:
            return NOT_BILLED
        if not provider or not model:
            unknown = "provider" if not provider else "model"
            return no_quote(QuoteStatus.UNPRICED, f"the {unknown} of this call is not known")
        moment = self._clock() if at is None else utc(at, "at")
        card = self._card(provider, model, _context(service_tier, context), moment)
        return card if isinstance(card, Quote) else card.quote(usage)

    def _card(self, provider: str, model: str, context: tuple[tuple[str, str], ...], at: datetime) -> RateCard | Quote:
        key = (provider, model, context, at.toordinal(), None)
        card = self._cards.get(key) or self._cached(key, at)
        if isinstance(card, RateCard) and card.by_the_minute:
            return self._cached((provider, model, context, at.toordinal(), at.hour * 60 + at.minute), at)
        return card

    def _cached(self, key: Key, at: datetime) -> RateCard | Quote:
        card = self._cards.get(key)
        if card is None:
            card = self._compile(key[0], key[1], key[2], at)
            if len(self._cards) >= _MAX_CARDS:
                self._cards.clear()
            self._cards[key] = card
        return card

    def _compile(
        self, provider: str, model: str, context: tuple[tuple[str, str], ...], at: datetime
    ) -> RateCard | Quote:
        for price_list in self._price_lists:
            card = price_list.card(provider, model, dict(context), at)
            if card is not None:
                return card
        reason = f"no price for model {model!r} (provider {provider!r}) on {at:%Y-%m-%d}; add it to your rates file"
        return no_quote(QuoteStatus.UNPRICED, reason)


def _context(service_tier: str | None, context: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if not context:
        return (("service_tier", service_tier),) if service_tier else ()
    for key, value in context.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise InvalidValue(f"context.{key}", value, "a text")
    merged = {**context, **({"service_tier": service_tier} if service_tier else {})}
    return tuple(sorted(merged.items()))
