"""xAI: an inclusive threshold, a dated price cut, the endpoint in the United States, batch, tools, reported cost."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

from tests.pricing.cases.case import ESTIMATED, EXACT, PARTIAL, REPORTED, UNPRICED, Case, mtok, thousand, tokens, utc

PRICING: Final = "https://docs.x.ai/developers/pricing"
REGIONS: Final = "https://docs.x.ai/developers/advanced-api-usage/regions"
BATCH: Final = "https://docs.x.ai/developers/advanced-api-usage/batch-api"
COST: Final = "https://docs.x.ai/developers/cost-tracking"

xai = partial(Case, provider="xai")

CASES: Final = [
    xai(
        "grok-4.5 below 200,000 tokens",
        "grok-4.5",
        tokens(199_999, 500, of_input={"cache_read": 100_000}),
        mtok("2", 99_999) + mtok("0.3", 100_000) + mtok("6", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.5 at 200,000 tokens is long already",
        "grok-4.5",
        tokens(200_000, 500, of_input={"cache_read": 100_000}),
        mtok("4", 100_000) + mtok("0.6", 100_000) + mtok("12", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.7",
        "grok-4.7",
        tokens(1000, 500, of_input={"cache_read": 400}, of_output={"reasoning": 200}),
        mtok("2", 600) + mtok("0.5", 400) + mtok("6", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.7 at 200,000 tokens",
        "grok-4.7",
        tokens(200_000, 500, of_input={"cache_read": 50_000}),
        mtok("4", 150_000) + mtok("1", 50_000) + mtok("12", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.3 below 200,000 tokens",
        "grok-4.3",
        tokens(199_999, 500),
        mtok("1.25", 199_999) + mtok("2.5", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.3 at 200,000 tokens",
        "grok-4.3",
        tokens(200_000, 500),
        mtok("2.5", 200_000) + mtok("5", 500),
        source=PRICING,
    ),
    xai(
        "grok-build-0.1",
        "grok-build-0.1",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1", 600) + mtok("0.2", 400) + mtok("2", 500),
        source=PRICING,
    ),
    xai(
        "grok-4.20 on the last day of its launch price",
        "grok-4.20",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("6", 500),
        source=PRICING,
        at=utc("2026-04-29 23:59:59"),
    ),
    xai(
        "grok-4.20 since its price cut",
        "grok-4.20",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1.25", 600) + mtok("0.2", 400) + mtok("2.5", 500),
        source=PRICING,
        at=utc("2026-04-30"),
    ),
    xai(
        "grok-code-fast-1 while it was a model of its own",
        "grok-code-fast-1",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("0.2", 600) + mtok("0.02", 400) + mtok("1.5", 500),
        source=PRICING,
        at=utc("2026-05-14 23:59:59"),
    ),
    xai(
        "grok-code-fast-1 after it was withdrawn: at most the name is left, served by grok-build-0.1",
        "grok-code-fast-1",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1", 600) + mtok("0.2", 400) + mtok("2", 500),
        source="https://docs.x.ai/developers/migration/may-15-retirement",
        status=(EXACT, ESTIMATED, PARTIAL, UNPRICED),
    ),
    xai(
        "grok-4.6 in the United States",
        "grok-4.6",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("2.2", 600) + mtok("0.55", 400) + mtok("6.6", 500),
        source=REGIONS,
        context={"region": "us"},
    ),
    xai(
        "grok-4.6 in the United States, told by its endpoint",
        "grok-4.6",
        tokens(200_000, 500),
        mtok("4.4", 200_000) + mtok("13.2", 500),
        source=REGIONS,
        context={"base_url": "https://us.api.x.ai/v1"},
    ),
    xai(
        "grok-4.6 at the global endpoint",
        "grok-4.6",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("6", 500),
        source=REGIONS,
        context={"base_url": "https://api.x.ai/v1"},
    ),
    xai(
        "grok-4.3, batch at a fifth less",
        "grok-4.3",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1", 600) + mtok("0.16", 400) + mtok("2", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    xai(
        "grok-4.7, batch at a fifth less",
        "grok-4.7",
        tokens(1000, 500),
        mtok("1.6", 1000) + mtok("4.8", 500),
        source=BATCH,
        status=(EXACT, ESTIMATED),
        context={"processing": "batch"},
    ),
    xai(
        "two web searches",
        "grok-4.7",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("6", 500) + thousand("5", 2),
        source=PRICING,
        status=(EXACT, PARTIAL),
        context={"tool_calls": {"web_search": 2}},
    ),
    xai(
        "the answer says what was charged, tools included",
        "grok-4.7",
        tokens(1000, 500),
        Decimal("0.0037756"),
        source=COST,
        status=REPORTED,
        context={"provider_reported": {"cost_in_usd_ticks": 37_756_000}},
    ),
    xai(
        "one tick",
        "grok-4.7",
        tokens(1, 1),
        Decimal("0.0000000001"),
        source=COST,
        status=REPORTED,
        context={"provider_reported": {"cost_in_usd_ticks": 1}},
    ),
    xai(
        "what was charged stands in the raw usage of the response",
        "grok-4.7",
        tokens(1000, 500),
        Decimal("0.0052"),
        source=COST,
        status=REPORTED,
        response_metadata={
            "model_name": "grok-4.7",
            "token_usage": {"prompt_tokens": 1000, "completion_tokens": 500, "cost_in_usd_ticks": 52_000_000},
        },
    ),
    xai(
        "what was charged for a model that no list knows",
        "grok-9-internal",
        tokens(1000, 500),
        Decimal("0.02"),
        source=COST,
        status=REPORTED,
        context={"provider_reported": {"cost_in_usd_ticks": 200_000_000}},
    ),
    xai(
        "a tier that is not sold",
        "grok-4.5",
        tokens(1000, 500),
        None,
        source=PRICING,
        status=PARTIAL,
        service_tier="flex",
    ),
]
