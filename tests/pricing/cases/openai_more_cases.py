"""OpenAI beyond text and tiers: audio, embeddings, built-in tools, data residency."""

from __future__ import annotations

from functools import partial
from typing import Final

from tests.pricing.cases.case import ESTIMATED, EXACT, PARTIAL, Case, mtok, thousand, tokens, utc
from tests.pricing.cases.openai_cases import MODELS, PRICING

RESIDENCY: Final = "https://developers.openai.com/api/docs/guides/data-residency"

openai = partial(Case, provider="openai")

AUDIO: Final = [
    openai(
        "gpt-audio, heard and spoken",
        "gpt-audio",
        tokens(1000, 500, of_input={"audio": 800}, of_output={"audio": 400}),
        mtok("2.5", 200) + mtok("32", 800) + mtok("10", 100) + mtok("64", 400),
        source=MODELS + "gpt-audio",
    ),
    openai(
        "gpt-audio-mini, heard and spoken",
        "gpt-audio-mini",
        tokens(1000, 500, of_input={"audio": 800}, of_output={"audio": 400}),
        mtok("0.6", 200) + mtok("10", 800) + mtok("2.4", 100) + mtok("20", 400),
        source=MODELS + "gpt-audio-mini",
    ),
    openai(
        "gpt-4o-audio-preview, heard and spoken",
        "gpt-4o-audio-preview",
        tokens(1000, 500, of_input={"audio": 800}, of_output={"audio": 400}),
        mtok("2.5", 200) + mtok("40", 800) + mtok("10", 100) + mtok("80", 400),
        source=MODELS + "gpt-4o-audio-preview",
        at=utc("2026-01-20"),
    ),
    openai(
        "gpt-4o-transcribe, heard",
        "gpt-4o-transcribe",
        tokens(1000, 200, of_input={"audio": 1000}),
        mtok("2.5", 1000) + mtok("10", 200),
        source=MODELS + "gpt-4o-transcribe",
    ),
    openai(
        "audio for a model without an audio rate",
        "gpt-5.4",
        tokens(1000, 500, of_input={"audio": 800}),
        None,
        source=MODELS + "gpt-5.4",
        status=PARTIAL,
    ),
    openai(
        "audio and cached input: how much of the audio was cached is lost",
        "gpt-realtime",
        tokens(1000, 500, of_input={"audio": 600, "cache_read": 300}),
        None,
        source=MODELS + "gpt-realtime",
        status=(ESTIMATED, PARTIAL),
    ),
]

EMBEDDINGS: Final = [
    openai(
        "text-embedding-3-small",
        "text-embedding-3-small",
        tokens(8000, 0),
        mtok("0.02", 8000),
        source=MODELS + "text-embedding-3-small",
    ),
    openai(
        "text-embedding-3-large",
        "text-embedding-3-large",
        tokens(8000, 0),
        mtok("0.13", 8000),
        source=MODELS + "text-embedding-3-large",
    ),
    openai(
        "text-embedding-ada-002",
        "text-embedding-ada-002",
        tokens(8000, 0),
        mtok("0.1", 8000),
        source=MODELS + "text-embedding-ada-002",
    ),
    openai(
        "text-embedding-3-small, batch",
        "text-embedding-3-small",
        tokens(8000, 0),
        mtok("0.01", 8000),
        source=PRICING,
        status=(EXACT, PARTIAL),
        context={"processing": "batch"},
    ),
]

TOOLS: Final = [
    openai(
        "three web searches",
        "gpt-5.4",
        tokens(9000, 500),
        mtok("2.5", 9000) + mtok("15", 500) + thousand("10", 3),
        source=PRICING,
        context={"tool_calls": {"web_search": 3}},
    ),
    openai(
        "two file searches",
        "gpt-4.1",
        tokens(9000, 500),
        mtok("2", 9000) + mtok("8", 500) + thousand("2.5", 2),
        source=PRICING,
        context={"tool_calls": {"file_search": 2}},
    ),
    openai(
        "web and file search in one call",
        "gpt-6.1-sol",
        tokens(1000, 100),
        mtok("2", 1000) + mtok("10", 100) + thousand("10", 1) + thousand("2.5", 4),
        source=PRICING,
        context={"tool_calls": {"web_search": 1, "file_search": 4}},
    ),
    openai(
        "a tool is called at the flex tier",
        "gpt-5.4",
        tokens(1000, 500),
        mtok("1.25", 1000) + mtok("7.5", 500) + thousand("10", 1),
        source=PRICING,
        service_tier="flex",
        context={"tool_calls": {"web_search": 1}},
    ),
    openai(
        "no tool was called",
        "gpt-5.4",
        tokens(1000, 500),
        mtok("2.5", 1000) + mtok("15", 500),
        source=PRICING,
        context={"tool_calls": {"web_search": 0}},
    ),
    openai(
        "code runs in a container that is billed by the session, which the call does not report",
        "gpt-5.4",
        tokens(1000, 500),
        None,
        source=PRICING,
        status=PARTIAL,
        context={"tool_calls": {"code_execution": 1}},
    ),
]

RESIDENCIES: Final = [
    openai(
        "gpt-5.4, released on the day from which the uplift holds, in Europe",
        "gpt-5.4",
        tokens(1000, 500, of_input={"cache_read": 400}),
        mtok("2.75", 600) + mtok("0.275", 400) + mtok("16.5", 500),
        source=RESIDENCY,
        context={"region": "eu"},
    ),
    openai(
        "gpt-5.4-mini in the United States",
        "gpt-5.4-mini",
        tokens(1000, 500),
        mtok("0.825", 1000) + mtok("4.95", 500),
        source=RESIDENCY,
        context={"region": "us"},
    ),
    openai(
        "gpt-6.1-sol in Europe, told by its endpoint",
        "gpt-6.1-sol",
        tokens(1000, 500),
        mtok("2.2", 1000) + mtok("11", 500),
        source=RESIDENCY,
        context={"base_url": "https://eu.api.openai.com/v1"},
    ),
    openai(
        "gpt-6.1-sol in Europe above 272,000 tokens",
        "gpt-6.1-sol",
        tokens(272_001, 500),
        mtok("4.4", 272_001) + mtok("16.5", 500),
        source=RESIDENCY,
        context={"region": "eu"},
    ),
    openai(
        "gpt-6.1-sol at the global endpoint",
        "gpt-6.1-sol",
        tokens(1000, 500),
        mtok("2", 1000) + mtok("10", 500),
        source=RESIDENCY,
        context={"base_url": "https://api.openai.com/v1"},
    ),
    openai(
        "gpt-4o is older than the uplift",
        "gpt-4o",
        tokens(1000, 500),
        mtok("2.5", 1000) + mtok("10", 500),
        source=RESIDENCY,
        context={"region": "eu"},
    ),
    openai(
        "gpt-5.2 is older than the uplift",
        "gpt-5.2",
        tokens(1000, 500),
        mtok("1.75", 1000) + mtok("14", 500),
        source=RESIDENCY,
        context={"base_url": "https://us.api.openai.com/v1"},
    ),
    openai(
        "gpt-5.4 in Europe at the flex tier",
        "gpt-5.4",
        tokens(1000, 500),
        mtok("1.375", 1000) + mtok("8.25", 500),
        source=RESIDENCY,
        status=(EXACT, ESTIMATED, PARTIAL),
        service_tier="flex",
        context={"region": "eu"},
    ),
]

CASES: Final = [*AUDIO, *EMBEDDINGS, *TOOLS, *RESIDENCIES]
