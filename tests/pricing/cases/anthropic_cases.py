"""Anthropic: cache writes by time to live, long prompts, dated prices, batch, geography, fast mode, web search."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from tests.pricing.cases.case import ESTIMATED, EXACT, PARTIAL, Case, mtok, thousand, tokens, utc

PRICING: Final = "https://platform.claude.com/docs/en/about-claude/pricing"
GEO: Final = "https://platform.claude.com/docs/en/manage-claude/data-residency"
FAST: Final = "https://platform.claude.com/docs/en/build-with-claude/fast-mode"
BATCH: Final = "https://platform.claude.com/docs/en/build-with-claude/batch-processing"
CACHING: Final = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
WEB_SEARCH: Final = "https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool"

anthropic = partial(Case, provider="anthropic")


def cached(read: int, written_5m: int, written_1h: int) -> dict[str, int]:
    """The details of a call that was not streamed: the sum of the writes is zeroed, their split is kept."""
    return {
        "cache_read": read,
        "cache_creation": 0,
        "ephemeral_5m_input_tokens": written_5m,
        "ephemeral_1h_input_tokens": written_1h,
    }


def served(model: str, **usage: Any) -> dict[str, Any]:
    """The response metadata of a call that was not streamed, with the provider's own usage record."""
    return {"model_name": model, "model_provider": "anthropic", "usage": {"service_tier": "standard", **usage}}


MODELS: Final = [
    anthropic(
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("10", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-sonnet-5-5, cache read and written for both times",
        "claude-sonnet-5-5",
        tokens(10_000, 500, of_input=cached(6000, 2000, 1000)),
        mtok("2", 1000) + mtok("0.1", 6000) + mtok("2.5", 2000) + mtok("4", 1000) + mtok("10", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-opus-5-5, written for five minutes",
        "claude-opus-5-5",
        tokens(5000, 500, of_input=cached(0, 4000, 0)),
        mtok("4", 1000) + mtok("5", 4000) + mtok("20", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-opus-5-5, written for an hour",
        "claude-opus-5-5",
        tokens(5000, 500, of_input=cached(0, 0, 4000)),
        mtok("4", 1000) + mtok("8", 4000) + mtok("20", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-opus-5, cache read",
        "claude-opus-5",
        tokens(5000, 500, of_input=cached(4000, 0, 0)),
        mtok("5", 1000) + mtok("0.5", 4000) + mtok("25", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-opus-4-8, cache written for both times",
        "claude-opus-4-8",
        tokens(5000, 500, of_input=cached(0, 1500, 2500)),
        mtok("5", 1000) + mtok("6.25", 1500) + mtok("10", 2500) + mtok("25", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-sonnet-4-6, everything is read from the cache",
        "claude-sonnet-4-6",
        tokens(5000, 500, of_input=cached(5000, 0, 0)),
        mtok("0.3", 5000) + mtok("15", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-fable-5-1, cache reads at a fortieth",
        "claude-fable-5-1",
        tokens(5000, 500, of_input=cached(4000, 0, 0)),
        mtok("10", 1000) + mtok("0.25", 4000) + mtok("50", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-haiku-4-5, cache written for both times",
        "claude-haiku-4-5",
        tokens(5000, 500, of_input=cached(1000, 1500, 500)),
        mtok("1", 2000) + mtok("0.1", 1000) + mtok("1.25", 1500) + mtok("2", 500) + mtok("5", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-haiku-5-5",
        "claude-haiku-5-5",
        tokens(5000, 500, of_input=cached(1000, 1500, 500)),
        mtok("0.1", 2000) + mtok("0.01", 1000) + mtok("0.125", 1500) + mtok("0.2", 500) + mtok("0.5", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-3-haiku, cache writes are not 1.25 times its input",
        "claude-3-haiku-20240307",
        tokens(5000, 500, of_input=cached(0, 4000, 0)),
        mtok("0.25", 1000) + mtok("0.3", 4000) + mtok("1.25", 500),
        source=PRICING,
        at=utc("2026-01-20"),
    ),
    anthropic(
        "a retired model keeps its price",
        "claude-opus-4-1-20250805",
        tokens(1000, 500),
        mtok("15", 1000) + mtok("75", 500),
        source=PRICING,
        at=utc("2026-01-20"),
    ),
    anthropic(
        "a dated snapshot",
        "claude-haiku-4-5-20251001",
        tokens(1000, 500),
        mtok("1", 1000) + mtok("5", 500),
        source=PRICING,
    ),
    anthropic(
        "thinking is part of the output",
        "claude-opus-5-5",
        tokens(1000, 500, of_output={"reasoning": 300}),
        mtok("4", 1000) + mtok("20", 500),
        source=PRICING,
    ),
]

STREAMED: Final = [
    anthropic(
        "a stream does not say for how long the cache was written",
        "claude-sonnet-4-6",
        tokens(6000, 500, of_input={"cache_read": 0, "cache_creation": 5000}),
        mtok("3", 1000) + mtok("3.75", 5000) + mtok("15", 500),
        source=CACHING,
        status=ESTIMATED,
        low=mtok("3", 1000) + mtok("3.75", 5000) + mtok("15", 500),
        high=mtok("3", 1000) + mtok("6", 5000) + mtok("15", 500),
    ),
    anthropic(
        "a stream whose request asked for an hour",
        "claude-sonnet-4-6",
        tokens(6000, 500, of_input={"cache_read": 0, "cache_creation": 5000}),
        mtok("3", 1000) + mtok("6", 5000) + mtok("15", 500),
        source=CACHING,
        status=(EXACT, ESTIMATED),
        context={"cache_ttl": "1h"},
    ),
    anthropic(
        "a stream whose request asked for five minutes",
        "claude-sonnet-4-6",
        tokens(6000, 500, of_input={"cache_read": 0, "cache_creation": 5000}),
        mtok("3", 1000) + mtok("3.75", 5000) + mtok("15", 500),
        source=CACHING,
        status=(EXACT, ESTIMATED),
        context={"cache_ttl": "5m"},
    ),
    anthropic(
        "the split as served wins over the time that was asked for",
        "claude-sonnet-4-6",
        tokens(6000, 500, of_input=cached(0, 5000, 0)),
        mtok("3", 1000) + mtok("3.75", 5000) + mtok("15", 500),
        source=CACHING,
        context={"cache_ttl": "1h"},
    ),
    anthropic(
        "a stream that wrote nothing leaves no doubt",
        "claude-sonnet-4-6",
        tokens(6000, 500, of_input={"cache_read": 5000, "cache_creation": 0}),
        mtok("3", 1000) + mtok("0.3", 5000) + mtok("15", 500),
        source=CACHING,
    ),
]

LONG_PROMPTS_AND_DATES: Final = [
    anthropic(
        "claude-haiku-5-5 at 100,000 tokens",
        "claude-haiku-5-5",
        tokens(100_000, 500),
        mtok("0.1", 100_000) + mtok("0.5", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-haiku-5-5 above 100,000 tokens, cached ones counted",
        "claude-haiku-5-5",
        tokens(100_001, 500, of_input=cached(90_000, 0, 1)),
        mtok("0.5", 10_000) + mtok("0.05", 90_000) + mtok("1", 1) + mtok("2.5", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-haiku-5-5, batch above 100,000 tokens",
        "claude-haiku-5-5",
        tokens(100_001, 500),
        mtok("0.25", 100_001) + mtok("1.25", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    anthropic(
        "claude-sonnet-4-5 at 200,000 tokens",
        "claude-sonnet-4-5-20250929",
        tokens(200_000, 500),
        mtok("3", 200_000) + mtok("15", 500),
        source=PRICING,
        at=utc("2026-03-01"),
    ),
    anthropic(
        "claude-sonnet-4-5 above 200,000 tokens while that was sold",
        "claude-sonnet-4-5-20250929",
        tokens(200_001, 500, of_input=cached(100_000, 0, 0)),
        mtok("6", 100_001) + mtok("0.6", 100_000) + mtok("22.5", 500),
        source=PRICING,
        at=utc("2026-03-01"),
    ),
    anthropic(
        "claude-sonnet-4-6 above 200,000 tokens, the last day of the long-prompt rate",
        "claude-sonnet-4-6",
        tokens(200_001, 500),
        mtok("6", 200_001) + mtok("22.5", 500),
        source=PRICING,
        at=utc("2026-03-12 23:59:59"),
    ),
    anthropic(
        "claude-sonnet-4-6 above 200,000 tokens, the day it ended",
        "claude-sonnet-4-6",
        tokens(200_001, 500),
        mtok("3", 200_001) + mtok("15", 500),
        source=PRICING,
        at=utc("2026-03-13"),
    ),
    anthropic(
        "claude-opus-4-6 above 200,000 tokens before",
        "claude-opus-4-6",
        tokens(300_000, 500, of_input=cached(0, 0, 50_000)),
        mtok("10", 250_000) + mtok("20", 50_000) + mtok("37.5", 500),
        source=PRICING,
        at=utc("2026-03-12"),
    ),
    anthropic(
        "claude-opus-4-6 above 200,000 tokens since",
        "claude-opus-4-6",
        tokens(300_000, 500, of_input=cached(0, 0, 50_000)),
        mtok("5", 250_000) + mtok("10", 50_000) + mtok("25", 500),
        source=PRICING,
        at=utc("2026-03-13 12:00"),
    ),
    anthropic(
        "claude-opus-5 has no long-prompt rate",
        "claude-opus-5",
        tokens(900_000, 500),
        mtok("5", 900_000) + mtok("25", 500),
        source=PRICING,
    ),
    anthropic(
        "claude-sonnet-5 in August",
        "claude-sonnet-5",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("10", 500),
        source=PRICING,
        at=utc("2026-08-31 23:59:59"),
    ),
    anthropic(
        "claude-sonnet-5 in September: the announced increase never came",
        "claude-sonnet-5",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("10", 500),
        source=PRICING,
        at=utc("2026-09-01"),
    ),
]

BATCHES: Final = [
    anthropic(
        "claude-sonnet-5-5, batch",
        "claude-sonnet-5-5",
        tokens(1000, 500),
        mtok("1", 1000) + mtok("5", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    anthropic(
        "claude-opus-5-5, batch halves the cache rates too",
        "claude-opus-5-5",
        tokens(10_000, 500, of_input=cached(6000, 2000, 1000)),
        mtok("2", 1000) + mtok("0.1", 6000) + mtok("2.5", 2000) + mtok("4", 1000) + mtok("10", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    anthropic(
        "claude-opus-5, the answer names batch as its service tier",
        "claude-opus-5",
        tokens(1000, 500),
        mtok("2.5", 1000) + mtok("12.5", 500),
        source=BATCH,
        service_tier="batch",
    ),
    anthropic(
        "claude-haiku-4-5, batch before its verified rates",
        "claude-haiku-4-5",
        tokens(1000, 500),
        None,
        source=BATCH,
        status=(PARTIAL, ESTIMATED),
        context={"processing": "batch"},
        at=utc("2026-10-13 23:59:59"),
    ),
    anthropic(
        "claude-haiku-4-5, batch on the first day of its verified rates",
        "claude-haiku-4-5",
        tokens(1000, 500),
        mtok("0.5", 1000) + mtok("2.5", 500),
        source=BATCH,
        context={"processing": "batch"},
        at=utc("2026-10-14"),
    ),
]

GEOGRAPHY: Final = [
    anthropic(
        "claude-sonnet-4-6 in the United States only",
        "claude-sonnet-4-6",
        tokens(10_000, 500, of_input=cached(6000, 2000, 1000)),
        mtok("3.3", 1000) + mtok("0.33", 6000) + mtok("4.125", 2000) + mtok("6.6", 1000) + mtok("16.5", 500),
        source=GEO,
        context={"inference_geo": "us"},
    ),
    anthropic(
        "claude-opus-4-6, the first model that can be asked",
        "claude-opus-4-6",
        tokens(1000, 500),
        mtok("5.5", 1000) + mtok("27.5", 500),
        source=GEO,
        context={"inference_geo": "us"},
    ),
    anthropic(
        "claude-opus-5-5, told by the response",
        "claude-opus-5-5",
        tokens(1000, 500),
        mtok("4.4", 1000) + mtok("22", 500),
        source=GEO,
        response_metadata=served("claude-opus-5-5", input_tokens=1000, output_tokens=500, inference_geo="us"),
    ),
    anthropic(
        "claude-opus-5-5, global",
        "claude-opus-5-5",
        tokens(1000, 500),
        mtok("4", 1000) + mtok("20", 500),
        source=GEO,
        response_metadata=served("claude-opus-5-5", input_tokens=1000, output_tokens=500, inference_geo="global"),
    ),
    anthropic(
        "an older model answers that geography does not apply",
        "claude-haiku-4-5-20251001",
        tokens(1000, 500),
        mtok("1", 1000) + mtok("5", 500),
        source=GEO,
        response_metadata=served(
            "claude-haiku-4-5-20251001", input_tokens=1000, output_tokens=500, inference_geo="not_available"
        ),
    ),
    anthropic(
        "batch and geography multiply",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("1.65", 1000) + mtok("8.25", 500),
        source=PRICING,
        context={"processing": "batch", "inference_geo": "us"},
    ),
    anthropic(
        "a model that cannot be asked for a geography",
        "claude-haiku-4-5",
        tokens(1000, 500),
        None,
        source=GEO,
        status=PARTIAL,
        context={"inference_geo": "us"},
    ),
    anthropic(
        "a geography that is not sold",
        "claude-opus-5-5",
        tokens(1000, 500),
        None,
        source=GEO,
        status=PARTIAL,
        context={"inference_geo": "mars"},
    ),
]

FAST_MODE: Final = [
    anthropic(
        "claude-opus-5-5, fast",
        "claude-opus-5-5",
        tokens(5000, 500, of_input=cached(4000, 0, 0)),
        mtok("8", 1000) + mtok("0.4", 4000) + mtok("40", 500),
        source=FAST,
        context={"speed": "fast"},
    ),
    anthropic(
        "claude-opus-4-8, fast, told by the response",
        "claude-opus-4-8",
        tokens(1000, 500),
        mtok("10", 1000) + mtok("50", 500),
        source=FAST,
        response_metadata=served("claude-opus-4-8", input_tokens=1000, output_tokens=500, speed="fast"),
    ),
    anthropic(
        "claude-opus-5, standard speed",
        "claude-opus-5",
        tokens(1000, 500),
        mtok("5", 1000) + mtok("25", 500),
        source=FAST,
        context={"speed": "standard"},
    ),
    anthropic(
        "fast mode and geography multiply",
        "claude-opus-5-5",
        tokens(1000, 500),
        mtok("8.8", 1000) + mtok("44", 500),
        source=FAST,
        context={"speed": "fast", "inference_geo": "us"},
    ),
    anthropic(
        "claude-opus-4-6, fast at six times the price while it was offered",
        "claude-opus-4-6",
        tokens(1000, 500),
        mtok("30", 1000) + mtok("150", 500),
        source=FAST,
        status=(EXACT, PARTIAL),
        context={"speed": "fast"},
        at=utc("2026-04-20"),
    ),
    anthropic(
        "a model without a fast mode",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        None,
        source=FAST,
        status=PARTIAL,
        context={"speed": "fast"},
    ),
]

TOOLS: Final = [
    anthropic(
        "two web searches",
        "claude-sonnet-5-5",
        tokens(9000, 500),
        mtok("2", 9000) + mtok("10", 500) + thousand("10", 2),
        source=WEB_SEARCH,
        context={"tool_calls": {"web_search": 2}},
    ),
    anthropic(
        "three web searches, counted by the response",
        "claude-sonnet-5-5",
        tokens(9000, 500),
        mtok("2", 9000) + mtok("10", 500) + thousand("10", 3),
        source=WEB_SEARCH,
        response_metadata=served(
            "claude-sonnet-5-5",
            input_tokens=9000,
            output_tokens=500,
            server_tool_use={"web_search_requests": 3, "web_fetch_requests": 0},
        ),
    ),
    anthropic(
        "fetching a page costs its tokens only",
        "claude-sonnet-5-5",
        tokens(9000, 500),
        mtok("2", 9000) + mtok("10", 500),
        source="https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-fetch-tool",
        response_metadata=served(
            "claude-sonnet-5-5",
            input_tokens=9000,
            output_tokens=500,
            server_tool_use={"web_search_requests": 0, "web_fetch_requests": 4},
        ),
    ),
    anthropic(
        "geography multiplies tokens, not searches",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3.3", 1000) + mtok("16.5", 500) + thousand("10", 1),
        source=PRICING,
        context={"inference_geo": "us", "tool_calls": {"web_search": 1}},
    ),
    anthropic(
        "code runs in a container that is billed by the hour, which the call does not report",
        "claude-sonnet-5-5",
        tokens(1000, 500),
        None,
        source="https://platform.claude.com/docs/en/agents-and-tools/tool-use/code-execution-tool",
        status=PARTIAL,
        context={"tool_calls": {"code_execution": 1}},
    ),
    anthropic(
        "capacity bought beforehand has no price per token",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        None,
        source="https://platform.claude.com/docs/en/api/service-tiers",
        status=PARTIAL,
        service_tier="priority",
    ),
]

CASES: Final = [
    *MODELS,
    *STREAMED,
    *LONG_PROMPTS_AND_DATES,
    *BATCHES,
    *GEOGRAPHY,
    *FAST_MODE,
    *TOOLS,
]
