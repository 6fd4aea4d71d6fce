"""Mistral, OpenRouter, Groq and Cohere."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Final

from tests.pricing.cases.case import ESTIMATED, PARTIAL, REPORTED, UNPRICED, Case, mtok, tokens, utc

MISTRAL: Final = "https://mistral.ai/pricing"
OPENROUTER: Final = "https://openrouter.ai/docs/use-cases/usage-accounting"
OPENROUTER_MODELS: Final = "https://openrouter.ai/models"

mistral = partial(Case, provider="mistralai")
openrouter = partial(Case, provider="openrouter")

FROM_MISTRAL: Final = [
    mistral(
        "mistral-large-2512",
        "mistral-large-2512",
        tokens(1000, 500),
        mtok("0.5", 1000) + mtok("1.5", 500),
        source=MISTRAL,
    ),
    mistral(
        "mistral-large-2512, cached input",
        "mistral-large-2512",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("0.5", 600) + mtok("0.05", 400) + mtok("1.5", 500),
        source=MISTRAL,
    ),
    mistral(
        "mistral-large-2512, cached input stands in the raw usage only",
        "mistral-large-2512",
        tokens(1000, 500),
        mtok("0.5", 600) + mtok("0.05", 400) + mtok("1.5", 500),
        source=MISTRAL,
        response_metadata={
            "model_name": "mistral-large-2512",
            "model_provider": "mistralai",
            "token_usage": {
                "prompt_tokens": 1000,
                "completion_tokens": 500,
                "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 400},
            },
        },
    ),
    mistral(
        "mistral-large-2512, a stream loses how much of the input was cached",
        "mistral-large-2512",
        tokens(1000, 500),
        mtok("0.5", 1000) + mtok("1.5", 500),
        source=MISTRAL,
        status=ESTIMATED,
        response_metadata={"model_name": "mistral-large-2512", "model_provider": "mistralai"},
    ),
    mistral(
        "mistral-large-2512, batch",
        "mistral-large-2512",
        tokens(1000, 500),
        mtok("0.25", 1000) + mtok("0.75", 500),
        source="https://docs.mistral.ai/capabilities/batch/",
        context={"processing": "batch"},
    ),
    mistral(
        "mistral-medium-latest",
        "mistral-medium-latest",
        tokens(1000, 500),
        mtok("1.5", 1000) + mtok("7.5", 500),
        source=MISTRAL,
    ),
    mistral(
        "mistral-medium-latest while it meant Medium 3",
        "mistral-medium-latest",
        tokens(1000, 500),
        mtok("0.4", 1000) + mtok("2", 500),
        source=MISTRAL,
        at=utc("2026-03-01"),
    ),
    mistral(
        "mistral-small-latest",
        "mistral-small-latest",
        tokens(1000, 500),
        mtok("0.15", 1000) + mtok("0.6", 500),
        source=MISTRAL,
    ),
    mistral(
        "codestral-2508",
        "codestral-2508",
        tokens(1000, 500),
        mtok("0.3", 1000) + mtok("0.9", 500),
        source=MISTRAL,
    ),
    mistral("mistral-embed", "mistral-embed", tokens(8000, 0), mtok("0.1", 8000), source=MISTRAL),
    mistral(
        "mistral-large-latest: what the name stands for has moved, and the lists disagree",
        "mistral-large-latest",
        tokens(1000, 500),
        None,
        source=MISTRAL,
        status=(ESTIMATED, PARTIAL, UNPRICED),
    ),
]

FROM_OPENROUTER: Final = [
    openrouter(
        "the answer says what was charged",
        "anthropic/claude-sonnet-4.6",
        tokens(1000, 500),
        Decimal("0.00123"),
        source=OPENROUTER,
        status=REPORTED,
        context={
            "provider_reported": {"cost": 0.00123, "cost_details": {"upstream_inference_cost": None}},
        },
    ),
    openrouter(
        "a charge in the millionths, which Python prints with an exponent",
        "openai/gpt-4o-mini",
        tokens(2, 2),
        Decimal("0.0000015"),
        source=OPENROUTER,
        status=REPORTED,
        context={"provider_reported": {"cost": 1.5e-06}},
    ),
    openrouter(
        "what was charged stands in the response",
        "anthropic/claude-sonnet-4.6",
        tokens(1000, 500),
        Decimal("0.0105"),
        source=OPENROUTER,
        status=REPORTED,
        response_metadata={
            "model_name": "anthropic/claude-sonnet-4.6",
            "cost": 0.0105,
            "cost_details": {"upstream_inference_cost": None},
        },
    ),
    Case(
        "ChatOpenAI at OpenRouter's address, charge in the raw usage",
        "openai/gpt-4o",
        tokens(1000, 500),
        Decimal("0.0075"),
        provider="openai",
        source=OPENROUTER,
        status=REPORTED,
        response_metadata={
            "model_name": "openai/gpt-4o",
            "token_usage": {"prompt_tokens": 1000, "completion_tokens": 500, "cost": 0.0075},
        },
        context={"base_url": "https://openrouter.ai/api/v1"},
    ),
    openrouter(
        "claude-sonnet-4.6 without a reported charge",
        "anthropic/claude-sonnet-4.6",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("3", 600) + mtok("0.3", 400) + mtok("15", 500),
        source=OPENROUTER_MODELS,
    ),
    Case(
        "ChatOpenAI at OpenRouter's address without a reported charge",
        "openai/gpt-4o-mini",
        tokens(1000, 500),
        mtok("0.15", 1000) + mtok("0.6", 500),
        provider="openai",
        source=OPENROUTER_MODELS,
        context={"base_url": "https://openrouter.ai/api/v1"},
    ),
]

FROM_OTHERS: Final = [
    Case(
        "llama-3.3-70b-versatile",
        "llama-3.3-70b-versatile",
        tokens(1000, 500),
        mtok("0.59", 1000) + mtok("0.79", 500),
        provider="groq",
        source="https://groq.com/pricing",
        at=utc("2026-01-20"),
    ),
    Case(
        "ChatOpenAI at Groq's address",
        "llama-3.3-70b-versatile",
        tokens(1000, 500),
        mtok("0.59", 1000) + mtok("0.79", 500),
        provider="openai",
        source="https://groq.com/pricing",
        context={"base_url": "https://api.groq.com/openai/v1"},
        at=utc("2026-01-20"),
    ),
    Case(
        "command-a",
        "command-a-03-2025",
        tokens(1000, 500),
        mtok("2.5", 1000) + mtok("10", 500),
        provider="cohere",
        source="https://cohere.com/pricing",
    ),
]

CASES: Final = [*FROM_MISTRAL, *FROM_OPENROUTER, *FROM_OTHERS]
