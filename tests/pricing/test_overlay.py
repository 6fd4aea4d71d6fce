"""The overlay: every figure in it, written out as the page of its row has it, and priced through the whole catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final

import pytest

from costtrace.pricing import Catalog, Quote
from costtrace.pricing.genai import GenaiPrices
from costtrace.pricing.rate_file import RateFile
from costtrace.pricing.rate_rows import best, known
from costtrace.pricing.resolution import resolve
from costtrace.quote import QuoteStatus
from costtrace.usage import Usage

CATALOG: Final = Catalog.default()
NOVEMBER: Final = "2026-11-20T12:00"
TOOLS: Final = {"web_search", "file_search", "code_execution"}
CALLS: Final = {"request", "x_search", "attachment_search"}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What a page says: the rates of some buckets of a model, in a context, at a moment."""

    provider: str
    model: str
    rates: str
    at: str = NOVEMBER
    context: Mapping[str, Any] = field(default_factory=dict)
    long: int = 0
    """Input tokens that make the request a long one."""
    status: QuoteStatus = QuoteStatus.EXACT

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.at).replace(tzinfo=UTC)

    @property
    def options(self) -> dict[str, Any]:
        return {key: value for key, value in self.context.items() if key != "service_tier"}

    def by_bucket(self) -> dict[str, Decimal]:
        return {name: Decimal(rate) for name, rate in (pair.split("=") for pair in self.rates.split())}


def quote_of(figures: Figures, buckets: Mapping[str, int]) -> Quote:
    return CATALOG.quote(
        provider=figures.provider,
        model=figures.model,
        usage=Usage(buckets=buckets),
        service_tier=figures.context.get("service_tier"),
        at=figures.moment,
        context=figures.options,
    )


def says(
    provider: str,
    model: str | list[str],
    rates: str,
    at: str = NOVEMBER,
    *,
    long: int = 0,
    status: QuoteStatus = QuoteStatus.EXACT,
    **context: Any,
) -> list[Figures]:
    return [
        Figures(provider=provider, model=one, rates=rates, at=at, context=context, long=long, status=status)
        for one in ([model] if isinstance(model, str) else model)
    ]


ESTIMATED: Final = QuoteStatus.ESTIMATED

OPENAI: Final = [
    # Data residency: 1.1 times the rates of models released from 2026-03-05 on, whatever their tier.
    *says("openai", "gpt-5.4", "input=2.75 cache_read=0.275 output=16.5 web_search=10", region="eu"),
    *says("openai", "gpt-5.4-2026-03-05", "input=2.75 output=16.5", region="us"),
    *says("openai", "gpt-5.4", "input=5.5 output=24.75", region="eu", long=272_001),
    *says("openai", "gpt-5.4-mini", "input=0.825 cache_read=0.0825 output=4.95", region="eu"),
    *says("openai", "gpt-5.4-nano", "input=0.22 output=1.375", region="eu"),
    *says("openai", "gpt-5.4-pro", "input=33 output=198", region="us"),
    *says("openai", "gpt-5.5", "input=5.5 cache_read=0.55 output=33", region="jp"),
    *says("openai", "gpt-5.5-pro", "input=33 output=198", region="eu"),
    *says("openai", "gpt-5.6-sol", "input=4.4 cache_read=0.44 cache_write=5.5 output=22", region="eu"),
    *says("openai", "gpt-5.6-sol", "input=2.2 output=11", region="eu", service_tier="flex"),
    *says("openai", "gpt-5.6-terra", "input=2.2 output=13.2", region="au"),
    *says("openai", "gpt-5.6-luna", "input=0.22 output=1.32", region="in"),
    *says("openai", "gpt-6-astra", "input=11 cache_read=1.1 cache_write_12h=27.5 output=55", region="eu"),
    *says("openai", "gpt-6-sol", "input=2.2 output=11", region="us"),
    *says("openai", "gpt-6-luna", "input=0.11 output=0.55", region="us"),
    *says("openai", "gpt-6-rosalind", "input=16.5 output=82.5", region="us"),
    *says("openai", "gpt-6.1-sol", "input=2.2 cache_read=0.11 output=11", region="us"),
    *says("openai", "gpt-6.1-terra", "input=1.1 cache_read=0.055 output=5.5", region="eu"),
    # Older models cost the same everywhere.
    *says("openai", "gpt-3.5-turbo", "input=0.5 output=1.5", region="eu"),
    *says("openai", ["gpt-4o", "gpt-4o-2024-08-06"], "input=2.5 cache_read=1.25 output=10", region="eu"),
    *says("openai", "gpt-5", "input=1.25 output=10", region="eu"),
    *says("openai", "gpt-5-mini", "input=0.25 output=2", region="eu"),
    *says("openai", "gpt-5.1", "input=1.25 output=10", region="eu"),
    *says("openai", "gpt-5.2", "input=1.75 output=14", region="eu"),
    *says("openai", "gpt-5.3-codex", "input=1.75 output=14", region="eu"),
    *says("openai", "o1", "input=15 output=60", region="eu"),
    *says("openai", "o3", "input=2 output=8", region="eu"),
    *says("openai", "o4-mini", "input=1.1 output=4.4", region="eu"),
    *says("openai", "text-embedding-3-small", "input=0.02", region="eu"),
    # A cache write kept for 12 hours costs twice the one kept for 30 minutes, in every tier and at every length.
    *says("openai", "gpt-5.6-sol", "cache_write=5 cache_write_12h=10"),
    *says("openai", "gpt-5.6-sol", "cache_write=10 cache_write_12h=20", long=272_001),
    *says("openai", "gpt-5.6-terra", "cache_write_12h=5"),
    *says("openai", "gpt-5.6-luna", "cache_write_12h=0.5"),
    *says("openai", "gpt-5.6-cyber", "cache_write_12h=31.25"),
    *says("openai", "gpt-6-astra", "cache_write_12h=25"),
    *says("openai", "gpt-6-sol", "cache_write_12h=5"),
    *says("openai", "gpt-6-luna", "cache_write_12h=0.25"),
    *says("openai", "gpt-6-luna", "cache_write_12h=0.5", service_tier="priority"),
    *says("openai", "gpt-6-rosalind", "cache_write_12h=37.5"),
    *says("openai", "gpt-6.1-sol", "cache_write_12h=5"),
    *says("openai", "gpt-6.1-sol", "cache_write_12h=2.5", processing="batch"),
    *says("openai", "gpt-6.1-terra", "cache_write_12h=2.5"),
    # The promotion, "at least until November 21, 2026".
    *says("openai", "gpt-5.6-sol", "input=5 output=30", "2026-08-20T23:59"),
    *says("openai", "gpt-5.6-sol", "input=4 cache_read=0.4 cache_write=5 output=20", "2026-11-21T23:59"),
    *says("openai", "gpt-5.6-sol", "input=4 cache_read=0.4 output=20", "2026-11-22T00:00", status=ESTIMATED),
    # Audio.
    *says("openai", "gpt-4o-audio-preview", "input=2.5 input_audio=40 output=10 output_audio=80"),
    *says("openai", "gpt-4o-transcribe", "input=2.5 input_audio=2.5 output=10"),
    # Cached input of older models in a batch is not published.
    *says("openai", "gpt-4.1", "cache_read=0.5", processing="batch", status=ESTIMATED),
    *says("openai", "gpt-4.1-mini", "cache_read=0.1", processing="batch", status=ESTIMATED),
    *says("openai", "gpt-4.1-nano", "cache_read=0.025", processing="batch", status=ESTIMATED),
    *says("openai", "o3", "cache_read=0.5", processing="batch", status=ESTIMATED),
    *says("openai", "o4-mini", "cache_read=0.275", processing="batch", status=ESTIMATED),
    *says("openai", "gpt-4o", "cache_read=1.25", processing="batch", status=ESTIMATED),
    *says("openai", "gpt-4o-mini", "cache_read=0.075", processing="batch", status=ESTIMATED),
    *says("openai", "o1", "cache_read=7.5", processing="batch", status=ESTIMATED),
    *says("openai", "o3-mini", "cache_read=0.55", processing="batch", status=ESTIMATED),
    # Models that search the web for every answer.
    *says("openai", "gpt-4o-search-preview", "input=2.5 output=10", status=QuoteStatus.PARTIAL),
    # GPT-6.2 Sol.
    *says("openai", "gpt-6.2-sol", "input=2 cache_read=0.1 cache_write=2.5 cache_write_12h=5 output=10"),
    *says("openai", "gpt-6.2-sol", "web_search=10 file_search=2.5"),
    *says("openai", "gpt-6.2-sol", "web_search=10 file_search=2.5", processing="batch"),
    *says("openai", "gpt-6.2-sol", "web_search=10 file_search=2.5", service_tier="priority"),
    *says("openai", "gpt-6.2-sol", "input=2 output=10", long=272_000),
    *says("openai", "gpt-6.2-sol", "input=4 cache_read=0.2 cache_write=5 cache_write_12h=10 output=15", long=272_001),
    *says("openai", "gpt-6.2-sol", "input=1 output=5", processing="batch", long=272_000),
    *says(
        "openai", "gpt-6.2-sol", "cache_read=0.1 cache_write=2.5 cache_write_12h=5", processing="batch", long=272_001
    ),
    *says("openai", "gpt-6.2-sol", "cache_write=5 cache_write_12h=10", service_tier="priority"),
    *says("openai", "gpt-6.2-sol", "input=4 output=20", service_tier="priority", long=272_000),
    *says(
        "openai", "gpt-6.2-sol", "cache_read=0.4 cache_write=10 cache_write_12h=20", service_tier="fast", long=272_001
    ),
    *says("openai", "gpt-6.2-sol", "input=1 cache_read=0.05 cache_write=1.25 output=5", processing="batch"),
    *says("openai", "gpt-6.2-sol", "cache_write_12h=2.5", processing="batch"),
    *says("openai", "gpt-6.2-sol", "input=2 output=7.5", processing="batch", long=272_001),
    *says("openai", "gpt-6.2-sol", "input=4 cache_read=0.2 output=20", service_tier="priority"),
    *says("openai", "gpt-6.2-sol", "input=8 output=30", service_tier="fast", long=272_001),
    # Fine-tuned models.
    *says("openai", "ft:gpt-4.1-2025-04-14:org::id", "input=3 cache_read=0.75 output=12"),
    *says("openai", "ft:gpt-4.1-2025-04-14:org::id", "input=1.5 cache_read=0.5 output=6", processing="batch"),
    *says("openai", "ft:gpt-4.1-mini-2025-04-14:org::id", "input=0.8 cache_read=0.2 output=3.2"),
    *says("openai", "ft:gpt-4.1-mini-2025-04-14:org::id", "input=0.4 cache_read=0.1 output=1.6", processing="batch"),
    *says("openai", "ft:gpt-4.1-nano-2025-04-14:org::id", "input=0.2 cache_read=0.05 output=0.8"),
    *says("openai", "ft:gpt-4.1-nano-2025-04-14:org::id", "input=0.1 cache_read=0.025 output=0.4", processing="batch"),
    *says("openai", "ft:gpt-4o-2024-08-06:org::id", "input=3.75 cache_read=1.875 output=15"),
    *says(
        "openai",
        "ft:gpt-4o-2024-08-06:org::id",
        "input=2.225 cache_read=0.9 output=12.5",
        processing="batch",
        status=ESTIMATED,
    ),
    *says("openai", "ft:gpt-4o-mini-2024-07-18:org::id", "input=0.3 cache_read=0.15 output=1.2"),
    *says("openai", "ft:gpt-4o-mini-2024-07-18:org::id", "input=0.15 cache_read=0.075 output=0.6", processing="batch"),
    *says("openai", "ft:gpt-3.5-turbo-0125:org::id", "input=3 output=6"),
    *says("openai", "ft:gpt-3.5-turbo-0125:org::id", "input=1.5 output=3", processing="batch"),
    *says("openai", "ft:o4-mini-2025-04-16:org::id", "input=4 cache_read=1 output=16"),
    *says("openai", "ft:o4-mini-2025-04-16:org::id", "input=2 cache_read=0.5 output=8", processing="batch"),
]

AZURE: Final = [
    # Azure followed OpenAI's price cuts of July and August on 2026-10-03.
    *says("azure", "gpt-5.6-sol", "input=5 output=30", "2026-08-20T23:59"),
    *says("azure", "gpt-5.6-sol", "input=5 cache_read=0.5 cache_write=6.25 output=30", "2026-08-21", status=ESTIMATED),
    *says("azure", "gpt-5.6-sol", "input=5 output=30", "2026-10-02T23:59", status=ESTIMATED),
    *says("azure", "gpt-5.6-sol", "input=4 cache_read=0.4 output=20", "2026-10-03"),
    *says("azure", "gpt-5.6-terra", "input=2.5 output=15", "2026-07-30", status=ESTIMATED),
    *says("azure", "gpt-5.6-terra", "input=2 output=12", "2026-10-03"),
    *says("azure", "gpt-5.6-luna", "input=1 output=6", "2026-08-05", status=ESTIMATED),
    *says("azure", "gpt-5.6-luna", "input=0.2 output=1.2", "2026-10-03"),
    *says("azure", "gpt-4o-2024-08-06", "input=2.75 cache_read=1.375 output=11", region="eu"),
    *says("azure", "gpt-4.1", "input=2.2 cache_read=0.55 output=8.8", region="us"),
    *says("azure", "gpt-4.1-mini", "input=0.44 cache_read=0.11 output=1.76", region="us"),
    *says("azure", "gpt-4.1-nano", "input=0.11 cache_read=0.028 output=0.44", region="us"),
    *says("azure", "gpt-4o-mini", "input=0.165 cache_read=0.083 output=0.66", region="eu"),
    *says("azure", "o4-mini", "input=1.21 cache_read=0.303 output=4.84", region="eu"),
    *says("azure", "gpt-5", "input=1.375 cache_read=0.1375 output=11", region="eu"),
    *says("azure", "gpt-5-mini", "input=0.275 output=2.2", region="eu"),
    *says("azure", "gpt-5-nano", "input=0.055 output=0.44", region="eu"),
    *says("azure", "gpt-5.1", "input=1.375 output=11", region="eu"),
    *says("azure", "gpt-5.2", "input=1.925 output=15.4", region="eu"),
    *says("azure", "gpt-5.3-codex", "input=1.925 output=15.4", region="eu"),
    *says("azure", "gpt-5.4", "input=2.75 cache_read=0.275 output=16.5", region="eu"),
    *says("azure", "gpt-5.4-mini", "input=0.825 output=4.95", region="eu"),
    *says("azure", "gpt-5.4-nano", "input=0.22 output=1.375", region="eu"),
    *says("azure", "gpt-5.4-pro", "input=33 output=198", region="eu"),
    *says("azure", "gpt-5.5", "input=5.5 output=33", region="us"),
    *says("azure", "gpt-5.6-sol", "input=4.4 output=22", region="us"),
    *says("azure", "gpt-5.6-terra", "input=2.2 output=13.2", region="us"),
    *says("azure", "gpt-5.6-luna", "input=0.22 output=1.32", region="us"),
    *says("azure", "o1", "input=16.5 output=66", region="eu"),
    *says("azure", "o3", "input=2.2 output=8.8", region="eu"),
    *says("azure", "o3-mini", "input=1.21 cache_read=0.605 output=4.84", region="eu"),
    *says("azure", "gpt-6-sol", "input=2.4 cache_read=0.24 output=12", region="eu"),
    *says("azure", "gpt-6-sol", "input=2.2 cache_read=0.22 output=11", region="us"),
    *says("azure", "gpt-6-astra", "input=12 output=60", region="eu"),
    *says("azure", "gpt-6-astra", "input=11 output=55", region="us"),
    *says("azure", "gpt-6-luna", "input=0.12 output=0.6", region="eu"),
    *says("azure", "gpt-6-luna", "input=0.11 output=0.55", region="us"),
    *says("azure", "gpt-6.1-sol", "input=2.4 output=12", region="eu"),
    *says("azure", "gpt-6.1-sol", "input=2.2 output=11", region="us"),
    *says("azure", "gpt-6.1-terra", "input=1.2 output=6", region="eu"),
    *says("azure", "gpt-6.1-terra", "input=1.1 output=5.5", region="us"),
    # Half of what a global deployment costs.
    *says("azure", "gpt-4.1", "input=1 output=4", processing="batch"),
    *says("azure", "gpt-4.1-mini", "input=0.2 output=0.8", processing="batch"),
    *says("azure", "gpt-4.1-nano", "input=0.05 output=0.2", processing="batch"),
    *says("azure", "gpt-4o-2024-11-20", "input=1.25 output=5", processing="batch"),
    *says("azure", "gpt-4o", "cache_read=1.25", processing="batch", status=ESTIMATED),
    *says("azure", "gpt-4o-mini", "input=0.075 output=0.3", processing="batch"),
    *says("azure", "gpt-5", "input=0.625 output=5", processing="batch"),
    *says("azure", "gpt-5.1", "input=0.625 output=5", processing="batch"),
    *says("azure", "gpt-5.4", "input=1.25 output=7.5", processing="batch"),
    *says("azure", "gpt-5.4-mini", "input=0.375 output=2.25", processing="batch"),
    *says("azure", "o3-2025-04-16", "input=1 output=4", processing="batch"),
    *says("azure", "o3-mini", "input=0.55 output=2.2", processing="batch"),
    *says("azure", "o4-mini", "input=0.55 output=2.2", processing="batch"),
]

ANTHROPIC: Final = [
    *says(
        "anthropic",
        ["claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5"],
        "input=5.5 cache_read=0.55 cache_write_5m=6.875 cache_write_1h=11 output=27.5",
        inference_geo="us",
    ),
    *says("anthropic", "claude-opus-5-5", "input=4.4 cache_read=0.22 output=22 web_search=10", inference_geo="us"),
    *says("anthropic", "claude-opus-5", "input=11 output=55", inference_geo="us", speed="fast"),
    *says("anthropic", "claude-opus-5", "input=2.75 output=13.75", inference_geo="us", processing="batch"),
    *says("anthropic", "claude-sonnet-4-6", "input=3.3 output=16.5", inference_geo="us"),
    *says("anthropic", "claude-sonnet-5", "input=2.2 output=11", inference_geo="us"),
    *says("anthropic", "claude-sonnet-5-5", "input=2.2 cache_read=0.11 output=11", inference_geo="us"),
    *says("anthropic", "claude-haiku-5-5", "input=0.11 output=0.55", inference_geo="us"),
    *says("anthropic", "claude-haiku-5-5", "input=0.55 output=2.75", inference_geo="us", long=100_001),
    *says("anthropic", "claude-fable-5", "input=11 cache_read=1.1 output=55", inference_geo="us"),
    *says("anthropic", "claude-fable-5-1", "input=11 cache_read=0.275 output=55", inference_geo="us"),
    *says("anthropic", ["claude-fable-5-2", "claude-mythos-5-2"], "input=8.8 output=44", inference_geo="us"),
    *says("anthropic", "claude-sonnet-4-5", "input=3 output=15", long=200_000),
    *says("anthropic", "claude-sonnet-4-5", "input=6 output=22.5", "2026-04-29T23:59", long=200_001),
    *says("anthropic", "claude-sonnet-4-5", "input=6 output=22.5", "2026-04-30T00:00", long=200_001, status=ESTIMATED),
    *says("anthropic", "claude-sonnet-4-6", "web_search=10"),
]

GOOGLE: Final = [
    *says("google_genai", "gemini-2.5-pro", "input=0.625 cache_read=0.125 output=5", processing="batch"),
    *says("google_genai", "gemini-3.5-flash", "input=0.75 output=4.5", processing="batch"),
    *says("google_genai", "gemini-3.5-flash", "cache_read=0.15", processing="batch", status=ESTIMATED),
    *says("google_genai", "gemini-2.5-flash", "input=0.15 cache_read=0.03 output=1.25", processing="batch"),
    *says("google_genai", "gemini-2.5-flash-lite", "input=0.05 cache_read=0.01 output=0.2", processing="batch"),
    *says("google_genai", "gemini-3-flash-preview", "cache_read=0.05 cache_read_audio=0.1", processing="batch"),
    *says("google_genai", "gemini-3.1-pro-preview", "input=1 cache_read=0.2 output=6", processing="batch"),
    *says("google_genai", "gemini-2.5-flash", "web_search=35", status=ESTIMATED),
    *says("google_genai", "gemini-3.5-flash", "web_search=14", status=ESTIMATED),
    *says("google_genai", "gemini-4-argon", "web_search=14", status=ESTIMATED),
    *says("google_vertexai", "gemini-3.5-flash", "input=1.65 cache_read=0.165 output=9.9", region="europe-west4"),
    *says("google_vertexai", "gemini-3.5-flash", "input=1.5 output=9", region="global"),
    *says("google_vertexai", "gemini-3.1-flash-lite", "input=0.275 output=1.65", region="us-central1"),
    *says("google_vertexai", "gemini-3.5-flash-lite", "input=0.33 output=2.75", region="us-central1"),
    *says("google_vertexai", "gemini-3.6-flash", "input=0.825 output=4.125", region="us-central1"),
    *says("google_vertexai", "gemini-3.7-flash", "input=0.825 output=4.125", region="us-central1"),
    *says("google_vertexai", "gemini-3.8-flash", "input=0.825 output=4.125", region="us-central1"),
    *says("google_vertexai", "gemini-4-argon", "input=2.2 output=11", region="us-central1"),
    *says("google_vertexai", "gemini-2.5-flash", "input=0.3 output=2.5", region="europe-west4"),
    *says("google_anthropic_vertex", "claude-3-haiku@20240307", "input=0.25 output=1.25", region="us-east5"),
    *says("google_anthropic_vertex", "claude-sonnet-4-5@20250929", "input=3.3 output=16.5", region="us-east5"),
    *says("google_anthropic_vertex", "claude-sonnet-4-5@20250929", "input=3 output=15", region="global"),
    *says("google_anthropic_vertex", "claude-sonnet-4-6", "input=3.3 cache_read=0.33 output=16.5", region="eu"),
    *says("google_anthropic_vertex", "claude-sonnet-5-5", "input=2.2 output=11", region="us-east5"),
    *says("google_anthropic_vertex", "claude-haiku-4-5@20251001", "input=1.1 output=5.5", region="us-east5"),
    *says("google_anthropic_vertex", "claude-haiku-5-5", "input=0.11 output=0.55", region="us-east5"),
    *says("google_anthropic_vertex", "claude-opus-5-5", "input=4.4 output=22", region="us-east5"),
    *says(
        "google_anthropic_vertex",
        ["claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5"],
        "input=5.5 output=27.5",
        region="us-east5",
    ),
    *says("google_anthropic_vertex", ["claude-fable-5", "claude-fable-5-1"], "input=11 output=55", region="us-east5"),
]

OTHERS: Final = [
    *says("xai", "grok-4.6", "input=2.2 cache_read=0.55 output=6.6 web_search=5", region="us"),
    *says("xai", "grok-4.6", "input=4.4 cache_read=1.1 output=13.2", region="us", long=200_000),
    *says("xai", "grok-4.6", "web_search=5 code_execution=5 file_search=2.5 x_search=0.005 attachment_search=0.01"),
    *says("xai", "grok-4.7", "input=1.6 cache_read=0.4 output=4.8", processing="batch", status=ESTIMATED),
    *says("xai", "grok-4.7", "input=3.2 output=9.6", processing="batch", long=200_000, status=ESTIMATED),
    *says("xai", "grok-code-fast-1", "input=0.2 cache_read=0.02 output=1.5", "2026-05-14T23:59"),
    *says("xai", "grok-code-fast-1", "input=1 cache_read=0.2 output=2 web_search=5", "2026-05-15T00:00"),
    *says("xai", "grok-code-fast-1", "code_execution=5 file_search=2.5 x_search=0.005 attachment_search=0.01"),
    *says("xai", "grok-code-fast-1", "input=1 output=2", long=199_999),
    *says("xai", "grok-code-fast-1", "input=2 cache_read=0.4 output=4", long=200_000),
    *says("xai", ["grok-code-fast", "grok-code-fast-1-0825"], "input=1 output=2"),
    *says("mistralai", "mistral-large-latest", "input=0.5 cache_read=0.05 output=1.5", "2026-10-05T12:00"),
    *says("mistralai", "mistral-large-latest", "input=0.5 output=1.5", "2026-10-06T12:00", status=ESTIMATED),
    *says("mistralai", "mistral-large-latest", "input=0.5 output=1.5", status=ESTIMATED),
    *says("perplexity", ["sonar", "sonar-reasoning"], "request=0.012", status=ESTIMATED),
    *says("perplexity", ["sonar-pro", "sonar-reasoning-pro"], "request=0.014", status=ESTIMATED),
]

CLAUDE_GOV: Final = {
    "claude-sonnet-4-5-20250929-v1:0": "input=3.6 cache_read=0.36 cache_write_5m=4.5 cache_write_1h=7.2 output=18",
    "claude-haiku-4-5-20251001-v1:0": "input=1.2 cache_read=0.12 cache_write_5m=1.5 cache_write_1h=2.4 output=6",
    "claude-opus-4-8": "input=6 cache_read=0.6 cache_write_5m=7.5 cache_write_1h=12 output=30",
    "claude-opus-5": "input=6 cache_read=0.6 cache_write_5m=7.5 cache_write_1h=12 output=30",
    "claude-opus-5-5": "input=4.8 cache_read=0.24 cache_write_5m=6 cache_write_1h=9.6 output=24",
    "claude-sonnet-5": "input=2.4 cache_read=0.24 cache_write_5m=3 cache_write_1h=4.8 output=12",
    "claude-sonnet-5-5": "input=2.4 cache_read=0.12 cache_write_5m=3 cache_write_1h=4.8 output=12",
    "claude-fable-5-1": "input=12 cache_read=0.3 cache_write_5m=15 cache_write_1h=24 output=60",
    "claude-haiku-5-5": "input=0.12 cache_read=0.012 cache_write_5m=0.15 cache_write_1h=0.24 output=0.6",
}
HAIKU_GOV_LONG: Final = "input=0.6 cache_read=0.06 cache_write_5m=0.75 cache_write_1h=1.2 output=3"
OTHER_GOV: Final = {
    "openai.gpt-oss-120b-1:0": "input=0.18 output=0.72",
    "openai.gpt-oss-20b-1:0": "input=0.084 output=0.36",
    "nvidia.nemotron-nano-9b-v2": "input=0.072 output=0.276",
    "nvidia.nemotron-nano-3-30b": "input=0.072 output=0.288",
    "nvidia.nemotron-super-3-120b": "input=0.18 output=0.78",
}
PER_REGION: Final = {
    "meta.llama3-70b-instruct-v1:0": {
        "ap-south-1": "input=3.18 output=4.2",
        "ca-central-1": "input=3.05 output=4.03",
        "eu-west-1": "input=2.86 output=3.78",
        "eu-west-2": "input=3.45 output=4.55",
        "sa-east-1": "input=4.45 output=5.88",
        "us-east-1": "input=2.65 output=3.5",
    },
    "meta.llama3-8b-instruct-v1:0": {
        "ap-south-1": "input=0.36 output=0.72",
        "ca-central-1": "input=0.35 output=0.69",
        "eu-west-1": "input=0.32 output=0.65",
        "eu-west-2": "input=0.39 output=0.78",
        "sa-east-1": "input=0.5 output=1.01",
        "us-west-2": "input=0.3 output=0.6",
    },
    "mistral.mistral-7b-instruct-v0:2": {"eu-west-3": "input=0.2 output=0.26"},
    "mistral.mistral-large-2402-v1:0": {"eu-west-3": "input=5.2 output=15.6"},
    "mistral.mixtral-8x7b-instruct-v0:1": {"eu-west-3": "input=0.59 output=0.91"},
}

AWS: Final = [
    *(f for model, rates in CLAUDE_GOV.items() for f in says("bedrock", f"us-gov.anthropic.{model}", rates)),
    *(
        f
        for model, rates in CLAUDE_GOV.items()
        for f in says("bedrock_converse", f"anthropic.{model}", rates, region="us-gov-west-1")
    ),
    *says("bedrock", "us-gov.anthropic.claude-opus-5", "cache_write=7.5", status=ESTIMATED),
    *says("bedrock", "us-gov.anthropic.claude-haiku-5-5", HAIKU_GOV_LONG, long=100_001),
    *says("bedrock", "us-gov.anthropic.claude-haiku-5-5", "input=0.12 output=0.6", long=100_000),
    *says("bedrock", "anthropic.claude-haiku-5-5", HAIKU_GOV_LONG, region="us-gov-west-1", long=100_001),
    *says("bedrock", "anthropic.claude-haiku-5-5", "input=0.12", region="us-gov-west-1", long=100_000),
    *(f for model, rates in OTHER_GOV.items() for f in says("bedrock", f"us-gov.{model}", rates)),
    *(f for model, rates in OTHER_GOV.items() for f in says("bedrock", model, rates, region="us-gov-east-1")),
    *(
        f
        for model, regions in PER_REGION.items()
        for region, rates in regions.items()
        for f in says("bedrock", model, rates, region=region)
    ),
    *says("bedrock", "amazon.nova-lite-v1:0", "input=0.072 cache_read=0.018 output=0.288", region="us-gov-west-1"),
    *says("bedrock", "amazon.nova-micro-v1:0", "input=0.042 cache_read=0.0105 output=0.168", region="us-gov-west-1"),
    *says("bedrock", "amazon.nova-pro-v1:0", "input=0.96 cache_read=0.24 output=3.84", region="us-gov-east-1"),
    *says("bedrock", "eu.amazon.nova-lite-v1:0", "input=0.078 cache_read=0.0195 output=0.312"),
    *says("bedrock", "eu.amazon.nova-micro-v1:0", "input=0.046 cache_read=0.0115 output=0.184"),
    *says("bedrock", "eu.amazon.nova-pro-v1:0", "input=1.05 cache_read=0.2625 output=4.2"),
    *says("bedrock", "eu.amazon.nova-2-lite-v1:0", "input=0.429 cache_read=0.10725 output=3.597"),
    *says("bedrock", "apac.amazon.nova-lite-v1:0", "input=0.063 cache_read=0.01575 output=0.252"),
    *says("bedrock", "apac.amazon.nova-micro-v1:0", "input=0.037 cache_read=0.00925 output=0.148"),
    *says("bedrock", "apac.amazon.nova-pro-v1:0", "input=0.84 cache_read=0.21 output=3.36"),
    *says("bedrock", "apac.amazon.nova-2-lite-v1:0", "input=0.396 cache_read=0.099 output=3.311"),
    *says("bedrock", "jp.amazon.nova-2-lite-v1:0", "input=0.396 cache_read=0.099 output=3.311"),
    *says("bedrock", "us.amazon.nova-pro-v1:0", "input=0.8 cache_read=0.2 output=3.2"),
    *says("bedrock", "eu.meta.llama3-2-1b-instruct-v1:0", "input=0.13 output=0.13"),
    *says("bedrock", "eu.meta.llama3-2-3b-instruct-v1:0", "input=0.19 output=0.19"),
    *says("bedrock", "anthropic.claude-sonnet-4-6", "input=3.3 output=16.5", status=ESTIMATED),
    *says("bedrock", "global.anthropic.claude-sonnet-4-6", "input=3 output=15"),
    *says("bedrock", "us.anthropic.claude-sonnet-4-6", "input=3.3 output=16.5"),
    # Half the rates of a call.
    *says("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "input=1.65 output=8.25", processing="batch"),
    *says("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", "input=1.5 output=7.5", processing="batch"),
    *says("bedrock", "eu.anthropic.claude-haiku-4-5-20251001-v1:0", "input=0.55 output=2.75", processing="batch"),
    *says("bedrock", "global.anthropic.claude-haiku-4-5-20251001-v1:0", "input=0.5 output=2.5", processing="batch"),
    *says("bedrock", "amazon.nova-micro-v1:0", "input=0.0175 output=0.07", processing="batch"),
    *says("bedrock", "amazon.nova-lite-v1:0", "input=0.03 output=0.12", processing="batch"),
    *says("bedrock", "us.amazon.nova-pro-v1:0", "input=0.4 output=1.6", processing="batch"),
    *says("bedrock", "us.amazon.nova-2-lite-v1:0", "input=0.165 output=1.375", processing="batch"),
    *says("bedrock", "global.amazon.nova-2-lite-v1:0", "input=0.15 output=1.25", processing="batch"),
    *says("bedrock", "meta.llama3-1-8b-instruct-v1:0", "input=0.11 output=0.11", processing="batch"),
    *says("bedrock", "meta.llama3-1-70b-instruct-v1:0", "input=0.36 output=0.36", processing="batch"),
    *says("bedrock", "meta.llama3-3-70b-instruct-v1:0", "input=0.36 output=0.36", processing="batch"),
    *says("bedrock", "meta.llama4-maverick-17b-instruct-v1:0", "input=0.12 output=0.485", processing="batch"),
    *says("bedrock", "mistral.mistral-large-3-675b-instruct", "input=0.25 output=0.75", processing="batch"),
    *says("bedrock", "openai.gpt-oss-20b-1:0", "input=0.035 output=0.15", processing="batch"),
    *says("bedrock", "openai.gpt-oss-120b-1:0", "input=0.075 output=0.3", processing="batch"),
    *says("bedrock", "qwen.qwen3-32b-v1:0", "input=0.075 output=0.3", processing="batch"),
    *says("bedrock", "qwen.qwen3-coder-30b-a3b-v1:0", "input=0.075 output=0.3", processing="batch"),
]

V4_FLAT: Final = "input=0.14 cache_read=0.0028 output=0.28"
V4_LOW, V4_PEAK = "input=0.22 cache_read=0.007 output=0.66", "input=0.44 cache_read=0.014 output=1.32"
V41_LOW, V41_PEAK = "input=0.15 cache_read=0.003 output=0.6", "input=0.3 cache_read=0.006 output=1.2"
PRO_FLAT: Final = "input=0.435 cache_read=0.003625 output=0.87"
PRO_LOW, PRO_PEAK = "input=0.66 cache_read=0.022 output=1.98", "input=1.32 cache_read=0.044 output=3.96"
FLASH: Final = "deepseek-v4-flash"
EXPERIMENT: Final = "deepseek-v4-flash-vision-exp"

DEEPSEEK: Final = [
    *says("deepseek", FLASH, V4_FLAT, "2026-08-16T02:00"),  # Would be a peak hour a day later.
    *says("deepseek", FLASH, V4_FLAT, "2026-08-16T15:59"),
    *says("deepseek", FLASH, V4_LOW, "2026-08-16T16:00"),
    *says("deepseek", [FLASH, EXPERIMENT], V4_PEAK, "2026-08-17T01:00"),
    *says("deepseek", [FLASH, EXPERIMENT], V4_LOW, "2026-08-17T04:00"),
    *says("deepseek", FLASH, V4_PEAK, "2026-08-22T09:59"),  # The last Saturday with peak hours.
    *says("deepseek", FLASH, V4_LOW, "2026-08-23T09:59"),
    *says("deepseek", [FLASH, EXPERIMENT], V4_PEAK, "2026-08-24T06:00"),
    *says("deepseek", FLASH, V4_PEAK, "2026-09-10T03:59"),
    *says("deepseek", [FLASH, EXPERIMENT], V41_LOW, "2026-09-10T04:00"),
    *says("deepseek", [FLASH, EXPERIMENT, "deepseek-flash"], V41_PEAK, "2026-09-10T06:00"),
    *says("deepseek", FLASH, V41_LOW, "2026-09-10T10:00"),
    *says("deepseek", [FLASH, EXPERIMENT, "deepseek-flash"], V41_LOW, "2026-09-11T00:59"),
    *says("deepseek", [FLASH, EXPERIMENT, "deepseek-flash"], V41_PEAK, "2026-09-11T01:00"),
    *says("deepseek", FLASH, V41_LOW, "2026-09-25T02:00"),  # Mid-Autumn Festival, a Friday.
    *says("deepseek", FLASH, V41_LOW, "2026-10-07T02:00"),  # National Day holidays, a Wednesday.
    *says("deepseek", FLASH, V41_PEAK, "2026-10-08T02:00"),
    *says("deepseek", FLASH, V41_LOW, "2026-11-21T02:00"),  # A Saturday.
    *says("deepseek", FLASH, V41_PEAK, "2027-01-05T02:00", status=ESTIMATED),
    *says("deepseek", FLASH, V41_LOW, "2027-01-09T02:00", status=ESTIMATED),  # A Saturday.
    *says("deepseek", FLASH, V41_LOW, "2027-01-09T07:00", status=ESTIMATED),
    *says("deepseek", FLASH, V41_LOW, "2027-01-05T12:00", status=ESTIMATED),
    *says("deepseek", "deepseek-v4-pro", PRO_FLAT, "2026-08-16T02:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_LOW, "2026-08-17T00:59"),
    *says("deepseek", "deepseek-v4-pro", PRO_PEAK, "2026-08-17T01:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_PEAK, "2026-11-20T02:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_LOW, "2026-11-22T02:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_PEAK, "2026-12-31T02:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_LOW, "2026-12-31T12:00"),
    *says("deepseek", "deepseek-v4-pro", PRO_LOW, "2027-01-01T12:00", status=ESTIMATED),
    *says("deepseek", [FLASH, EXPERIMENT, "deepseek-flash"], V41_PEAK, "2026-12-31T02:00"),
    *says("deepseek", [FLASH, EXPERIMENT, "deepseek-flash"], V41_LOW, "2026-12-31T12:00"),
    *says("deepseek", ["deepseek-chat", "deepseek-reasoner"], "input=0.56 cache_read=0.07 output=1.68", "2025-09-20"),
    *says("deepseek", ["deepseek-chat", "deepseek-reasoner"], "input=0.28 cache_read=0.028 output=0.42", "2026-02-01"),
    *says("deepseek", "deepseek-chat", "input=0.28 output=0.42", "2026-08-01", status=ESTIMATED),
]

ALL: Final = [*OPENAI, *AZURE, *ANTHROPIC, *GOOGLE, *OTHERS, *AWS, *DEEPSEEK]


@pytest.mark.parametrize(
    "figures", ALL, ids=lambda f: f"{f.provider} {f.model} {f.at} {dict(f.context)} {f.long or ''}"
)
def test_a_figure_is_what_its_page_says(figures: Figures) -> None:
    """Per million tokens, per 1,000 searches, per other call; beside it stands the input that makes a request long."""
    for bucket, rate in figures.by_bucket().items():
        per = 1000 if bucket in TOOLS else 1 if bucket in CALLS else 1_000_000
        # One token, or one call, is too few to make a request a long one by itself.
        quote = quote_of(
            figures, {bucket: 1, **({"input": figures.long} if figures.long and bucket != "input" else {})}
        )
        if figures.long and bucket == "input":
            quote = quote_of(figures, {"input": figures.long})
        line = next(line for line in quote.lines if line.bucket == bucket)
        assert (line.rate * 1_000 / line.per) == rate * 1_000 / per
        assert quote.status is figures.status, quote.reason or quote.assumptions


@pytest.mark.parametrize(
    ("figures", "low", "high"),
    [
        # After the promotion the rates of before may be back: 5 for input, 30 for output.
        (says("openai", "gpt-5.6-sol", "input=4", "2026-11-22")[0], "0.000004", "0.000005"),
        (says("openai", "gpt-5.6-sol", "output=20", "2026-11-22")[0], "0.00002", "0.00003"),
        (says("openai", "gpt-5.6-sol", "output=10", "2026-11-22", service_tier="flex")[0], "0.00001", "0.000015"),
        (says("azure", "gpt-5.6-luna", "input=1", "2026-08-05")[0], "0.0000002", "0.000001"),
        # Half the cached rate, or the batch rate of plain input: 0.25 to 1.
        (says("openai", "gpt-4.1", "cache_read=0.5", processing="batch")[0], "0.00000025", "0.000001"),
        (says("openai", "gpt-4o", "cache_read=1.25", processing="batch")[0], "0.000000625", "0.00000125"),
        # The global rate, 3, or the regional one, 3.3.
        (says("bedrock", "anthropic.claude-sonnet-4-6", "input=3.3")[0], "0.000003", "0.0000033"),
        # Free within the allowance.
        (says("google_genai", "gemini-2.5-pro", "web_search=35")[0], "0", "0.035"),
        # Large 3 at 0.5, or Large 4 at 1.36 and later 0.7.
        (says("mistralai", "mistral-large-latest", "input=0.5", "2026-10-20")[0], "0.0000005", "0.00000136"),
        (says("mistralai", "mistral-large-latest", "input=0.5")[0], "0.0000005", "0.0000007"),
        # A fee of 5 to 12 dollars for 1,000 requests, and one token.
        (says("perplexity", "sonar", "request=12")[0], "0.005", "0.012"),
    ],
    ids=lambda value: f"{value.model} {value.at} {value.rates}" if isinstance(value, Figures) else value,
)
def test_an_estimate_names_the_bounds_that_the_pages_leave(figures: Figures, low: str, high: str) -> None:
    bucket = next(iter(figures.by_bucket()))
    quote = quote_of(figures, {bucket: 1} if bucket != "request" else {"request": 1})
    assert (quote.status, quote.low, quote.high) == (ESTIMATED, Decimal(low), Decimal(high))


def test_what_the_overlay_has_no_rate_for_stays_partial() -> None:
    """Code execution at Anthropic is billed by container time, and a Bedrock region may cost anything."""
    executed = CATALOG.quote(
        provider="anthropic", model="claude-opus-5", usage=Usage(buckets={"input": 1, "code_execution": 1})
    )
    assert (executed.status, executed.reason) == (
        QuoteStatus.PARTIAL,
        "no rate for code_execution of model 'claude-opus-5'",
    )
    for provider, model, context in (
        ("bedrock", "amazon.nova-pro-v1:0", {"region": "eu-west-1"}),
        ("bedrock", "us.anthropic.claude-opus-5", {"processing": "batch"}),
        ("openai", "gpt-4o-mini", {"processing": "batch"}),
        ("openai", "gpt-5.4", {"region": "mars"}),
        ("anthropic", "claude-sonnet-4-5", {"inference_geo": "us"}),
        ("azure", "gpt-5.4", {"region": "eastus"}),
        ("xai", "grok-4.7", {"region": "us"}),
    ):
        before_the_batch_rates = datetime(2026, 10, 13, 12, tzinfo=UTC)
        usage = Usage(buckets={"input": 1, "cache_read": 1})
        quote = CATALOG.quote(provider=provider, model=model, usage=usage, context=context, at=before_the_batch_rates)
        assert quote.status is QuoteStatus.PARTIAL, (provider, model, context)


def test_an_address_nobody_knows_has_no_published_price() -> None:
    quote = CATALOG.quote(
        provider="openai",
        model="ft:gpt-4.1",
        usage=Usage(buckets={"input": 1}),
        context={"base_url": "http://127.0.0.1:8000/v1"},
    )
    assert quote.status is QuoteStatus.UNPRICED


def test_a_quote_names_the_page_the_day_it_was_read_and_what_it_changed() -> None:
    changed = quote_of(says("openai", "gpt-5.4", "", region="eu")[0], {"output": 1})
    assert changed.basis is not None
    assert changed.basis.source == "genai-prices"
    assert changed.basis.adjustments == (
        "data residency: x 1.1 (https://developers.openai.com/api/docs/guides/data-residency, checked 2026-11-22)",
    )
    assert changed.basis.rates["output"] == "output_mtok, overlay data residency x 1.1"
    assert changed.basis.context_used == {"region": "eu"}
    stated = quote_of(says("openai", "ft:gpt-4.1:org::id", "")[0], {"output": 1})
    assert stated.basis is not None
    assert (stated.basis.source, stated.basis.rule, stated.basis.version) == ("overlay", "overlay", "2026-11-22")
    assert stated.basis.url == "https://developers.openai.com/api/docs/pricing"
    assert (stated.basis.effective_from, stated.basis.checked_on) == (date(2025, 4, 14), date(2026, 11, 22))


def test_every_row_names_its_page_and_is_tried_by_a_figure() -> None:
    """A row that no figure of this file reaches would be a number nobody checked."""
    content = files("costtrace.pricing").joinpath("overlay.toml").read_text()
    rows = [row for kind in ("rate", "adjust") for row in tomllib.loads(content)[kind]]
    assert all(row["source"].startswith("https://") for row in rows)
    overlay, listed = RateFile.overlay(), GenaiPrices()
    lines = {scope.line for scope in overlay._scopes}
    tried: set[int] = set()
    for figures in ALL:
        tier = figures.context.get("service_tier")
        context = {**figures.options, **({"service_tier": tier} if tier else {})}
        route = resolve(figures.provider, figures.model, context)
        call = overlay._called(route, listed.sheet(route, figures.moment, lambda _: None))
        rate = best(known(overlay._rows.rates, call), figures.moment)
        tried.update({rate[0].scope.line} if rate else set())
        tried.update(row.scope.line for row, _ in known(overlay._rows.adjusts, call) if row.scope.holds(figures.moment))
    assert sorted(lines - tried) == []
