"""Calls that nobody can price, or not wholly, from what is known: they must never look like a price."""

from __future__ import annotations

from typing import Final

from tests.pricing.cases.case import (
    ESTIMATED,
    INVALID_USAGE,
    PARTIAL,
    UNPRICED,
    USAGE_MISSING,
    Case,
    tokens,
    utc,
)

OPENAI: Final = "https://developers.openai.com/api/docs/pricing"
ANTHROPIC: Final = "https://platform.claude.com/docs/en/about-claude/pricing"
GOOGLE: Final = "https://ai.google.dev/gemini-api/docs/pricing"
DEEPSEEK: Final = "https://api-docs.deepseek.com/quick_start/pricing"
OPENROUTER: Final = "https://openrouter.ai/docs/features/model-routing"
LANGCHAIN: Final = "https://reference.langchain.com/python/langchain_core/messages/"


def unknown(name: str, provider: str | None, model: str | None, source: str, **context: str) -> Case:
    return Case(
        name, model, tokens(1000, 500), None, provider=provider, source=source, status=UNPRICED, context=context
    )


UNKNOWN: Final = [
    unknown("a provider that no list knows", "acme", "acme-chat-1", LANGCHAIN),
    unknown("a provider that no list knows, with a model that one does", "acme", "gpt-4o", LANGCHAIN),
    unknown("a model that is not out yet", "openai", "gpt-9", OPENAI),
    unknown("a name that begins like a known one", "openai", "gpt-5.4-foo", OPENAI),
    unknown("a name that ends like a known one", "openai", "my-gpt-4o", OPENAI),
    unknown("a known family with another number", "anthropic", "claude-sonnet-99", ANTHROPIC),
    unknown("a known model with another word", "anthropic", "claude-opus-4-5-turbo", ANTHROPIC),
    unknown("a Gemini that does not exist", "google_genai", "gemini-2.5-flash-xyz", GOOGLE),
    unknown("a DeepSeek that does not exist", "deepseek", "deepseek-v4-flash-mini", DEEPSEEK),
    unknown("a Claude that Bedrock does not have", "bedrock_converse", "us.anthropic.claude-sonnet-99", ANTHROPIC),
    unknown("a fine-tuned model without a published rate", "openai", "ft:gpt-9:acme::AbCdEf12", OPENAI),
    unknown("an OpenRouter name at OpenAI's own address", "openai", "openai/gpt-4o", OPENROUTER),
    unknown("an OpenRouter variant of its own price", "openrouter", "openai/gpt-4o:acme-variant", OPENROUTER),
    unknown(
        "a model of one's own behind OpenAI's protocol",
        "openai",
        "gpt-4o",
        OPENAI,
        base_url="http://127.0.0.1:8000/v1",
    ),
    unknown(
        "an address that only looks like OpenAI's",
        "openai",
        "gpt-4o",
        OPENAI,
        base_url="https://api.openai.com.example.net/v1",
    ),
    unknown(
        "a subscription, not the API's price list",
        "openai-codex",
        "gpt-5.4",
        "https://developers.openai.com/codex/pricing",
    ),
    unknown("no provider", None, "gpt-4o", LANGCHAIN),
    unknown("no model", "openai", None, LANGCHAIN),
]

NOT_BY_THE_TOKEN: Final = [
    Case(
        "whisper-1 is sold by the minute",
        "whisper-1",
        tokens(1000, 0),
        None,
        provider="openai",
        source=OPENAI,
        status=(PARTIAL, UNPRICED),
    ),
    Case(
        "tts-1 is sold by the character",
        "tts-1",
        tokens(1000, 0),
        None,
        provider="openai",
        source=OPENAI,
        status=(PARTIAL, UNPRICED),
    ),
    Case(
        "sonar is sold by the request as well, at $5, $8 or $12 a thousand by a setting that no answer repeats",
        "sonar",
        tokens(1000, 500),
        None,
        provider="perplexity",
        source="https://docs.perplexity.ai/getting-started/pricing",
        status=(ESTIMATED, PARTIAL),
        at=utc("2026-01-20"),
    ),
]

BAD_USAGE: Final = [
    Case(
        "a stream without usage",
        "gpt-5.4",
        None,
        None,
        provider="openai",
        source=LANGCHAIN,
        status=USAGE_MISSING,
    ),
    Case(
        "a negative count",
        "gpt-5.4",
        {"input_tokens": -5, "output_tokens": 10, "total_tokens": 5},
        None,
        provider="openai",
        source=LANGCHAIN,
        status=INVALID_USAGE,
    ),
    Case(
        "half a token",
        "claude-sonnet-5-5",
        {"input_tokens": 10.5, "output_tokens": 10, "total_tokens": 20},
        None,
        provider="anthropic",
        source=LANGCHAIN,
        status=INVALID_USAGE,
    ),
    Case(
        "a total is missing",
        "gemini-2.5-pro",
        {"input_tokens": 10},
        None,
        provider="google_genai",
        source=LANGCHAIN,
        status=INVALID_USAGE,
    ),
]

CASES: Final = [*UNKNOWN, *NOT_BY_THE_TOKEN, *BAD_USAGE]
