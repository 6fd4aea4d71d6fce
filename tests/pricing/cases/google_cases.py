"""Google: the Gemini API and Vertex AI, with Claude models on Vertex."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.pricing.cases.case import ESTIMATED, EXACT, PARTIAL, Case, mtok, thousand, tokens, utc

PRICING: Final = "https://ai.google.dev/gemini-api/docs/pricing"
BATCH: Final = "https://ai.google.dev/gemini-api/docs/batch-api"
TIERS: Final = "https://ai.google.dev/gemini-api/docs/optimization"
GROUNDING: Final = "https://ai.google.dev/gemini-api/docs/google-search"
VERTEX: Final = "https://cloud.google.com/vertex-ai/generative-ai/pricing"
CLAUDE_ON_VERTEX: Final = "https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai"

gemini = partial(Case, provider="google_genai")
vertex = partial(Case, provider="google_vertexai")
claude = partial(Case, provider="google_anthropic_vertex")

MODELS: Final = [
    gemini(
        "gemini-2.5-pro at 200,000 tokens",
        "gemini-2.5-pro",
        tokens(200_000, 500, of_input={"cache_read": 150_000}),
        mtok("1.25", 50_000) + mtok("0.125", 150_000) + mtok("10", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-2.5-pro above 200,000 tokens",
        "gemini-2.5-pro",
        tokens(200_001, 500, of_input={"cache_read": 150_000}),
        mtok("2.5", 50_001) + mtok("0.25", 150_000) + mtok("15", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-2.5-pro, batch",
        "gemini-2.5-pro",
        tokens(1000, 500),
        mtok("0.625", 1000) + mtok("5", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    gemini(
        "gemini-2.5-flash, thoughts are part of the output",
        "gemini-2.5-flash",
        tokens(1000, 500, of_input={"cache_read": 400}, of_output={"reasoning": 350}),
        mtok("0.3", 600) + mtok("0.03", 400) + mtok("2.5", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-2.5-flash, heard",
        "gemini-2.5-flash",
        tokens(1000, 500, of_input={"audio": 800}),
        mtok("0.3", 200) + mtok("1", 800) + mtok("2.5", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-2.5-flash, batch",
        "gemini-2.5-flash",
        tokens(1000, 500),
        mtok("0.15", 1000) + mtok("1.25", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    gemini(
        "gemini-2.5-flash, batch before its verified rates",
        "gemini-2.5-flash",
        tokens(1000, 500),
        None,
        source=BATCH,
        status=(PARTIAL, ESTIMATED),
        context={"processing": "batch"},
        at=utc("2026-06-01"),
    ),
    gemini(
        "gemini-2.5-flash-lite",
        "gemini-2.5-flash-lite",
        tokens(1000, 500),
        mtok("0.1", 1000) + mtok("0.4", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-2.5-flash with LangChain's prefix",
        "models/gemini-2.5-flash",
        tokens(1000, 500),
        mtok("0.3", 1000) + mtok("2.5", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-3-flash-preview",
        "gemini-3-flash-preview",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("0.5", 600) + mtok("0.05", 400) + mtok("3", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-3.1-pro-preview at 200,000 tokens",
        "gemini-3.1-pro-preview",
        tokens(200_000, 500),
        mtok("2", 200_000) + mtok("12", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-3.1-pro-preview above 200,000 tokens",
        "gemini-3.1-pro-preview",
        tokens(200_001, 500, of_input={"cache_read": 100_000}),
        mtok("4", 100_001) + mtok("0.4", 100_000) + mtok("18", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-3.1-pro-preview, batch above 200,000 tokens",
        "gemini-3.1-pro-preview",
        tokens(200_001, 500),
        mtok("2", 200_001) + mtok("9", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
    gemini(
        "gemini-3.5-flash",
        "gemini-3.5-flash",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1.5", 600) + mtok("0.15", 400) + mtok("9", 500),
        source=PRICING,
    ),
    gemini(
        "gemini-3.5-flash, batch at half the price",
        "gemini-3.5-flash",
        tokens(1000, 500),
        mtok("0.75", 1000) + mtok("4.5", 500),
        source=BATCH,
        status=(EXACT, PARTIAL),
        context={"processing": "batch"},
    ),
    gemini(
        "gemini-embedding-001",
        "gemini-embedding-001",
        tokens(8000, 0),
        mtok("0.15", 8000),
        source=PRICING,
    ),
]

DATES: Final = [
    gemini(
        "gemini-3.8-flash, the last second of its promotion",
        "gemini-3.8-flash",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("0.75", 600) + mtok("0.075", 400) + mtok("3.75", 500),
        source=PRICING,
        at=utc("2026-12-31 23:59:59"),
    ),
    gemini(
        "gemini-3.8-flash, after it",
        "gemini-3.8-flash",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("1.5", 600) + mtok("0.15", 400) + mtok("7.5", 500),
        source=PRICING,
        at=utc("2027-01-01"),
    ),
    gemini(
        "gemini-4-argon, the last second of its launch price",
        "gemini-4-argon",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("2", 600) + mtok("0.1", 400) + mtok("10", 500),
        source=PRICING,
        at=utc("2026-11-30 23:59:59"),
    ),
    gemini(
        "gemini-4-argon, after it",
        "gemini-4-argon",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("4", 600) + mtok("0.2", 400) + mtok("20", 500),
        source=PRICING,
        at=utc("2026-12-01"),
    ),
    gemini(
        "gemini-4-argon, batch at the launch price",
        "gemini-4-argon",
        tokens(1000, 500),
        mtok("1", 1000) + mtok("5", 500),
        source=BATCH,
        context={"processing": "batch"},
    ),
]

SERVICE_TIERS: Final = [
    gemini(
        "gemini-2.5-pro, flex at half the price",
        "gemini-2.5-pro",
        tokens(1000, 500),
        mtok("0.625", 1000) + mtok("5", 500),
        source=TIERS,
        status=(EXACT, PARTIAL),
        service_tier="flex",
    ),
    gemini(
        "gemini-2.5-pro, standard",
        "gemini-2.5-pro",
        tokens(1000, 500),
        mtok("1.25", 1000) + mtok("10", 500),
        source=TIERS,
        service_tier="standard",
    ),
]

SEARCHES: Final = [
    # A number of grounded prompts or queries is free every month; whether one call was within it, no call reports.
    gemini(
        "Gemini 3 is billed by the search query",
        "gemini-3.1-pro-preview",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("12", 500) + thousand("14", 3),
        source=GROUNDING,
        status=(EXACT, ESTIMATED),
        context={"tool_calls": {"web_search": 3}},
    ),
    gemini(
        "Gemini 2.5 is billed by the grounded prompt, however many queries it made",
        "gemini-2.5-flash",
        tokens(1000, 500),
        mtok("0.3", 1000) + mtok("2.5", 500) + thousand("35", 1),
        source=GROUNDING,
        status=(EXACT, ESTIMATED, PARTIAL),
        context={"tool_calls": {"web_search": 3}},
    ),
]

ON_VERTEX: Final = [
    vertex(
        "gemini-2.5-pro",
        "gemini-2.5-pro",
        tokens(1000, 500),
        mtok("1.25", 1000) + mtok("10", 500),
        source=VERTEX,
    ),
    vertex(
        "thoughts are left out of the output by LangChain and billed as output by Google",
        "gemini-2.5-flash",
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 450,
            "output_token_details": {"reasoning": 300},
        },
        mtok("0.3", 100) + mtok("2.5", 50 + 300),
        source=VERTEX,
    ),
    claude(
        "claude-sonnet-4-6 at the global endpoint",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3", 1000) + mtok("15", 500),
        source=CLAUDE_ON_VERTEX,
        status=(EXACT, ESTIMATED),
        context={"region": "global"},
    ),
    claude(
        "claude-sonnet-4-5 with Vertex's own form of date",
        "claude-sonnet-4-5@20250929",
        tokens(1000, 500),
        mtok("3", 1000) + mtok("15", 500),
        source=CLAUDE_ON_VERTEX,
        status=(EXACT, ESTIMATED),
        context={"region": "global"},
    ),
    claude(
        "claude-sonnet-4-6 at a regional endpoint costs a tenth more",
        "claude-sonnet-4-6",
        tokens(1000, 500),
        mtok("3.3", 1000) + mtok("16.5", 500),
        source=CLAUDE_ON_VERTEX,
        status=(EXACT, PARTIAL),
        context={"region": "us-east5"},
    ),
]

CASES: Final = [*MODELS, *DATES, *SERVICE_TIERS, *SEARCHES, *ON_VERTEX]
