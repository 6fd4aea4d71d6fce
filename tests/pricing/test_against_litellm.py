"""Our rates against LiteLLM's public table: the two agree line by line, but for the disagreements that are listed.

`known_disagreements.toml` names each one with both numbers, who is right and why. A disagreement that is not listed
fails, and so does a listed one that has vanished: somebody changed a price, and one of the two is now wrong.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest

from costtrace.money import amount_text
from costtrace.pricing import Catalog, Quote
from costtrace.quote import QuoteStatus
from tests.pricing.litellm_table import Line, lines, table_path

AT: Final = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
"""A Friday at a peak hour of those who have any: the table names the peak rate as the rate. The day is that of the
table's release, and the last but one of a promotion that both lists hold."""

KNOWN: Final = Path(__file__).with_name("known_disagreements.toml")
VERDICTS: Final = frozenset({"costtrace", "litellm", "neither", "undecided"})

TABLE: Final = table_path()
pytestmark = pytest.mark.skipif(TABLE is None, reason="litellm's price table is not installed: make cross-check")

ENOUGH: Final[Mapping[str, int]] = {
    "anthropic": 200,
    "aws": 900,
    "azure": 700,
    "deepseek": 10,
    "google": 80,
    "google_vertexai": 60,
    "mistral": 50,
    "openai": 1_000,
    "x-ai": 100,
}
"""How many lines of each provider must be priced exactly here, and by the table too."""

MILLION: Final = 1_000_000
SMALL: Final = 1_000

Rates = tuple[str, str]
"""Ours and theirs, as texts, USD per million tokens."""


@cache
def table() -> list[Line]:
    assert TABLE is not None
    return lines(TABLE)


@cache
def catalog() -> Catalog:
    return Catalog.default()


def key_of(line: Line) -> str:
    region = f"@{line.region}" if line.region else ""
    return f"{line.provider}:{line.model}{region} {line.label}"


def usage_of(line: Line) -> dict[str, Any]:
    """A call of that one class of tokens alone, and long enough for the rate; an answer follows a question that is."""
    length = line.above + SMALL if line.above else SMALL
    if line.tokens == "output":
        question = line.above + SMALL if line.above else 0
        return {"input_tokens": question, "output_tokens": SMALL, "total_tokens": question + SMALL}
    detail = {
        "input": {},
        "cache_read": {"cache_read": length},
        "cache_write": {"cache_creation": length}
        if line.provider not in {"anthropic", "aws"}
        else {"ephemeral_5m_input_tokens": length},
        "cache_write_1h": {"ephemeral_1h_input_tokens": length},
    }[line.tokens]
    return {"input_tokens": length, "output_tokens": 0, "total_tokens": length, "input_token_details": detail}


def quote_of(line: Line) -> Quote:
    context = {"region": line.region} if line.region else {}
    if line.situation == "batch":
        context["processing"] = "batch"
    elif "=" in line.situation:
        key, _, value = line.situation.partition("=")
        context[key] = value
    return catalog().quote(
        provider=line.provider,
        model=line.model,
        usage=usage_of(line),
        service_tier=line.situation if line.situation in {"flex", "priority"} else None,
        at=AT,
        context=context,
    )


def our_rate(line: Line) -> Decimal | None:
    """What a million of those tokens cost here; None where we do not claim to know exactly."""
    quote = quote_of(line)
    if quote.status is not QuoteStatus.EXACT:
        return None
    priced = next(part for part in quote.lines if (part.bucket.startswith("output")) == (line.tokens == "output"))
    return priced.rate * MILLION / priced.per


@cache
def compared() -> Mapping[str, Rates]:
    return {
        key_of(line): (amount_text(rate), amount_text(line.per_mtok))
        for line in table()
        if (rate := our_rate(line)) is not None
    }


@cache
def disagreements() -> Mapping[str, Rates]:
    return {key: (ours, theirs) for key, (ours, theirs) in compared().items() if ours != theirs}


def known() -> dict[str, Rates]:
    """Every listed line with both numbers; raises KeyError for a row that lacks what a reader needs."""
    listed: dict[str, Rates] = {}
    for row in tomllib.loads(KNOWN.read_text("utf-8"))["disagreement"]:
        assert row["right"] in VERDICTS
        assert row["why"]
        for model in row["models"]:
            for label, (ours, theirs) in row["rates"].items():
                listed[f"{model} {label}"] = (ours, theirs)
    return listed


def as_rows(differing: Mapping[str, Rates]) -> str:
    return "\n".join(f"{key}: ours {ours}, theirs {theirs}" for key, (ours, theirs) in sorted(differing.items()))


def test_no_line_disagrees_that_is_not_listed() -> None:
    listed = known()
    new = {key: rates for key, rates in disagreements().items() if listed.get(key) != rates}
    assert not new, as_rows(new)


def test_no_listed_disagreement_has_vanished() -> None:
    now = disagreements()
    vanished = {key: rates for key, rates in known().items() if now.get(key) != rates}
    assert not vanished, as_rows(vanished)


def test_the_comparison_is_not_empty() -> None:
    """Two tables that share no line agree on everything."""
    counts = Counter(key.partition(":")[0] for key in compared())
    assert {provider: counts[provider] for provider in ENOUGH if counts[provider] < ENOUGH[provider]} == {}
