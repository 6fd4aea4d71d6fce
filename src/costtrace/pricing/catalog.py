"""Catalog: price lists in order of authority, and the cards compiled from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from costtrace.money import ZERO
from costtrace.pricing.card import RateCard, compile_card
from costtrace.pricing.options import NOTHING, TTLS, Choices, checked, completed, selecting, with_served
from costtrace.pricing.resolution import resolve
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import STANDARD, PriceList, RateSheet
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.reported import reported_amount
from costtrace.responses import read_response
from costtrace.times import utc
from costtrace.usage import FLAG_CACHE_HIT, MAX_COUNT, Usage
from costtrace.usage_metadata import tier_of, usage_from_metadata

NOT_BILLED: Final = Quote(
    status=QuoteStatus.NOT_BILLED, amount=ZERO, reason="LangChain answered from its own cache; no call was made"
)
_MAX_CARDS: Final = 4096

Key = tuple[str, str, Choices, int, int | None]
"""Provider, model, context, UTC day, and the minute of it where rates change within a day."""


class _Call(NamedTuple):
    provider: str | None
    model: str | None
    usage: Usage | None
    tier: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class _NoCard:
    """Stands for the card of a model that no list knows."""

    unpriced: Quote
    by_the_minute: bool = False

    def quote(self, _: Usage) -> Quote:
        return self.unpriced


Card = RateCard | _NoCard


class Catalog:
    """Prices usages. The highest price list that knows a model decides.

    Cards are compiled once per provider, model, context and UTC day; a catalog may be used from many threads.
    """

    def __init__(self, *price_lists: PriceList, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.price_lists = price_lists
        self._clock = clock
        self._cards: dict[Key, Card] = {}

    @classmethod
    def default(cls, rates: str | Path | None = None, prices: str | Path | None = None) -> Catalog:
        """The bundled list prices with their overlay, and above them the TOML file of your own rates, if given.

        `prices` is a file that ``costtrace prices update`` wrote, to be used in place of the bundled list. Raises
        InvalidRates for a file that cannot be used.
        """
        from costtrace.pricing.genai import GenaiPrices  # noqa: PLC0415 - 4 MB of prices, only for who prices
        from costtrace.pricing.rate_file import RateFile  # noqa: PLC0415 - beside the other list

        own = (RateFile.own(rates),) if rates is not None else ()
        table = GenaiPrices() if prices is None else GenaiPrices.from_file(prices)
        return cls(*own, RateFile.overlay(), table)

    def quote(
        self,
        *,
        provider: str | None,
        model: str | None,
        usage: Usage | Mapping[str, Any] | None,
        service_tier: str | None = None,
        at: datetime | None = None,
        context: Mapping[str, Any] | None = None,
        response_metadata: Mapping[str, Any] | None = None,
    ) -> Quote:
        """The price of one call.

        `provider` is LangChain's ``ls_provider`` (``openai``, ``azure``, ``google_genai``) or the price list's id;
        `model` the model as served; `usage` a Usage or LangChain's ``usage_metadata``; `service_tier` the tier as
        served; `at` the moment the call began. `response_metadata` is LangChain's: where given, it says the served
        model, tier and what else it knows. `context` holds what no answer says, by the keys of
        `costtrace.pricing.options.CONTEXT_KEYS`: texts, but for ``tool_calls`` (a count per tool) and
        ``provider_reported`` (the provider's own cost fields).

        Usage that is missing or contradicts itself, and a model nobody has a price for, are answered by a quote without
        an amount. Raises InvalidValue for a naive datetime and for a context key or value of the wrong kind.
        """
        options = NOTHING if context is None else checked(context)
        if response_metadata is not None:
            given = usage.raw.get("usage_metadata") if isinstance(usage, Usage) else usage
            response = read_response(given, response_metadata, provider=provider)
            usage = usage if isinstance(usage, Usage) else response.usage
            model, service_tier = response.model or model, service_tier or response.service_tier
            provider, options = provider or response.provider, with_served(options, response)
        elif usage is not None and not isinstance(usage, Usage):
            service_tier = service_tier or tier_of(usage)
            usage = usage_from_metadata(usage, provider=provider)
        moment = at if at is not None and at.tzinfo is UTC else self._moment(at)
        if options:
            return self._with_options(_Call(provider, model, usage, service_tier, moment), options)
        return self._computed((), provider, model, usage, service_tier, moment)

    def steady_up_to(
        self,
        *,
        provider: str | None,
        model: str | None,
        service_tier: str | None,
        at: datetime,
        context: Mapping[str, Any] | None = None,
    ) -> int:
        """Up to how many input tokens one rate per bucket prices that call, all of the UTC day of `at`; else -1."""
        if not provider or not model:
            return -1
        choices = selecting(checked(context or NOTHING))
        if service_tier:
            choices = (*choices, ("service_tier", service_tier))
        card = self._cards.get((provider, model, choices, at.toordinal(), None))
        return int(min(card.threshold, MAX_COUNT)) if isinstance(card, RateCard) and card.plain else -1

    def _moment(self, at: datetime | None) -> datetime:
        return self._clock() if at is None else utc(at, "at")

    def _with_options(self, call: _Call, options: Mapping[str, Any]) -> Quote:
        choices, usage = selecting(options), call.usage
        if usage is not None:
            call = call._replace(usage=completed(usage, options))
        computed = self._computed(choices, *call)
        tier = options.get("requested_service_tier")
        if tier and not call.tier and tier != "auto" and tier not in STANDARD["service_tier"]:
            asked = self._computed(choices, *call._replace(tier=tier))
            computed = _between(asked, computed, f"service_tier={tier}, as requested")
        ttl = options.get("cache_ttl")
        if ttl is not None and ttl not in TTLS and usage is not None and "cache_write" in usage.buckets:
            computed = _partial(computed, f"no rate of its own is known for cache_ttl={ttl}")
        reported = reported_amount(options.get("provider_reported") or NOTHING)
        if reported is None or computed.status is QuoteStatus.NOT_BILLED:
            return computed
        return replace(
            computed,
            status=QuoteStatus.PROVIDER_REPORTED,
            amount=reported.amount,
            currency=reported.currency,
            low=None,
            high=None,
            computed=computed.amount,
        )

    def _computed(  # noqa: PLR0917 - a call taken apart; nothing is made for it on the hot path
        self,
        choices: Choices,
        provider: str | None,
        model: str | None,
        usage: Usage | None,
        tier: str | None,
        at: datetime,
    ) -> Quote:
        if usage is None:
            return no_quote(QuoteStatus.USAGE_MISSING, "no usage was reported for this call")
        if usage.problem is not None:
            return no_quote(QuoteStatus.INVALID_USAGE, usage.problem)
        if usage.flags and FLAG_CACHE_HIT in usage.flags:
            return NOT_BILLED
        if not provider or not model:
            unknown = "provider" if not provider else "model"
            return no_quote(QuoteStatus.UNPRICED, f"the {unknown} of this call is not known")
        if tier:
            choices = (*choices, ("service_tier", tier))
        card = self._cards.get((provider, model, choices, at.toordinal(), None))
        return (card or self._found(provider, model, choices, at)).quote(usage)

    def _found(self, provider: str, model: str, choices: Choices, at: datetime) -> Card:
        """The card of that minute, kept for the day where its rates hold that long."""
        minute = (provider, model, choices, at.toordinal(), at.hour * 60 + at.minute)
        card = self._cards.get(minute)
        if card is None:
            card = self._compile(resolve(provider, model, dict(choices)), at)
            if len(self._cards) >= _MAX_CARDS:
                self._cards.clear()
            self._cards[minute if card.by_the_minute else (*minute[:4], None)] = card
        return card

    def _compile(self, route: Route, at: datetime) -> Card:
        sheet = self._sheet(0, route, at)
        if sheet is not None:
            return compile_card(sheet, route)
        reason = route.problem or (
            f"no price for model {route.asked_model!r} (provider {route.asked_provider!r}) on {at:%Y-%m-%d}; "
            "add it to your rates file"
        )
        return _NoCard(no_quote(QuoteStatus.UNPRICED, reason))

    def _sheet(self, number: int, route: Route, at: datetime) -> RateSheet | None:
        """What the list of that number, and those beneath it, say."""
        if number == len(self.price_lists):
            return None
        return self.price_lists[number].sheet(route, at, lambda below: self._sheet(number + 1, below, at))


def _between(quote: Quote, other: Quote, assumption: str) -> Quote:
    """The quote, that an assumption makes an estimate; the other one is what it would be without."""
    if quote.amount is None or quote.status is QuoteStatus.NOT_BILLED:
        return quote
    exact = quote.status is QuoteStatus.EXACT and other.status is QuoteStatus.EXACT
    amounts = [q.amount for q in (quote, other) if q.amount is not None and exact]
    return replace(
        quote,
        status=QuoteStatus.PARTIAL if quote.status is QuoteStatus.PARTIAL else QuoteStatus.ESTIMATED,
        low=min(amounts, default=None),
        high=max(amounts, default=None),
        assumptions=(*quote.assumptions, assumption),
    )


def _partial(quote: Quote, reason: str) -> Quote:
    if quote.amount is None or quote.status is QuoteStatus.NOT_BILLED:
        return quote
    reasons = f"{quote.reason}; {reason}" if quote.reason else reason
    return replace(quote, status=QuoteStatus.PARTIAL, low=None, high=None, reason=reasons)
