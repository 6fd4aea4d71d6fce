"""Where we say exact, genai-prices says the same sum: two calculations, for every model of the big three providers."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from costtrace.pricing import Catalog
from costtrace.quote import QuoteStatus
from costtrace.usage import DIRECTIONS, Usage

CATALOG = Catalog.default()
MOMENTS = (
    datetime(2025, 6, 1, 12, tzinfo=UTC),
    datetime(2026, 1, 20, 2, 30, tzinfo=UTC),
    datetime(2026, 11, 1, 23, tzinfo=UTC),
)
USAGES = (
    {"input": 450, "output": 200},
    {"input": 600, "cache_read": 400, "output": 500},
    {"input": 100_000, "output": 1},
    {"input": 99_999, "cache_read": 100_001, "output": 7},
    {"input": 272_000, "output": 33},
    {"input": 271_999, "cache_read": 2, "output": 33},
)


def theirs(provider: str, model: str, buckets: dict[str, int], at: datetime, tier: str | None) -> Any:
    tokens = {
        direction: sum(count for bucket, count in buckets.items() if DIRECTIONS[bucket] == direction)
        for direction in ("input", "output")
    }
    usage = genai_prices.Usage(
        input_tokens=tokens["input"], output_tokens=tokens["output"], cache_read_tokens=buckets.get("cache_read", 0)
    )
    context = {"service_tier": tier} if tier else None
    return genai_prices.calc_price(
        usage, model, provider_id=provider, genai_request_timestamp=at, price_context=context
    ).total_price


@pytest.mark.parametrize("tier", [None, "flex", "priority"])
@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
def test_an_exact_quote_is_what_genai_prices_calculates(provider: str, tier: str | None) -> None:
    models = next(known.models for known in get_snapshot().providers if known.id == provider)
    exact = 0
    for model, at, buckets in product([model.id for model in models], MOMENTS, USAGES):
        quote = CATALOG.quote(provider=provider, model=model, usage=Usage(buckets=buckets), service_tier=tier, at=at)
        if quote.status is QuoteStatus.EXACT:
            exact += 1
            assert quote.amount == theirs(provider, model, buckets, at, tier), (model, at, buckets)
    assert exact or (provider, tier) in {("anthropic", "flex"), ("anthropic", "priority")}


@pytest.mark.parametrize(
    "model",
    ["gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5.4", "o3", "claude-sonnet-4-6", "claude-haiku-4-5", "gemini-2.5-pro"],
)
def test_the_models_everybody_uses_are_exact(model: str) -> None:
    provider = {"c": "anthropic", "g": "openai", "o": "openai"}[model[0]] if model != "gemini-2.5-pro" else "google"
    for buckets in USAGES:
        quote = CATALOG.quote(provider=provider, model=model, usage=Usage(buckets=buckets), at=MOMENTS[2])
        assert quote.status is QuoteStatus.EXACT
