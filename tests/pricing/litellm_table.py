"""LiteLLM's public price table, read as data: a second pair of eyes that our own price list has never seen.

The package is not imported (it takes seconds and reads the network); only its JSON file is, with its numbers as exact
decimals. One line is one rate: what a million tokens of one class cost in one situation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

FILE: Final = "model_prices_and_context_window_backup.json"

PROVIDERS: Final[Mapping[str, str]] = {
    "anthropic": "anthropic",
    "azure": "azure",
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "deepseek": "deepseek",
    "gemini": "google",
    "mistral": "mistral",
    "openai": "openai",
    "vertex_ai-anthropic_models": "google_vertexai",
    "vertex_ai-language-models": "google_vertexai",
    "xai": "x-ai",
}
"""The table's names of providers, and ours."""

CLASSES: Final[Mapping[str, str]] = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_token": "output",
}
SITUATIONS: Final[Mapping[str, str]] = {"": "", "_batches": "batch", "_flex": "flex", "_priority": "priority"}
UPLIFTS: Final[Mapping[str, str]] = {
    "regional_processing_uplift_multiplier_eu": "region=eu",
    "regional_processing_uplift_multiplier_us": "region=us",
    "regional_endpoint_uplift_multiplier": "region=europe-west1",
}
"""Multipliers of every standard rate, and what a call must say of itself for them to hold."""
ANTHROPIC_UPLIFTS: Final[Mapping[str, str]] = {"us": "inference_geo=us", "fast": "speed=fast"}
CHAT: Final = frozenset({"chat", "responses"})

_KEY: Final = re.compile(
    rf"(?P<name>{'|'.join(sorted(CLASSES, key=len, reverse=True))})"
    r"(_above_(?P<above>\d+)k_tokens)?"
    rf"(?P<situation>{'|'.join(SITUATIONS)})"
)
_PREFIX: Final = re.compile(
    r"(?:azure/(?:global|global-standard)|azure|bedrock/invoke|bedrock|deepseek|gemini|mistral|xai)/"
)
_ZONE: Final = re.compile(r"(?P<region>us|eu|us-gov|(?:[a-z]{2}|us-gov)-[a-z]+-\d)/(?P<model>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One rate of the table."""

    provider: str
    """Our name of it."""
    model: str
    """As a call would name it."""
    tokens: str
    """The class of tokens: one of `CLASSES`."""
    situation: str
    """``batch``, ``flex``, ``priority``, an option such as ``region=eu``, or empty for the standard rate."""
    above: int | None
    """Input tokens a request must exceed for this rate; None where none is named."""
    region: str | None
    """The data zone or cloud region the rate is for."""
    per_mtok: Decimal
    """USD per million tokens."""

    @property
    def label(self) -> str:
        """What is priced, in words: ``batch cache_read above 200000``."""
        above = f"above {self.above}" if self.above else ""
        return " ".join(part for part in (self.situation, self.tokens, above) if part)


def table_path() -> Path | None:
    """Where the installed distribution keeps its table; None where it is not installed."""
    try:
        installed = files("litellm") or []
    except PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in installed if file.name == FILE), None)


def lines(path: Path) -> list[Line]:
    """Every rate of a chat model of the known providers that is more than zero."""
    table: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"), parse_float=Decimal)
    return [line for name, row in table.items() for line in _lines_of(name, MappingProxyType(row))]


def _lines_of(name: str, row: Mapping[str, Any]) -> Iterator[Line]:
    provider = PROVIDERS.get(row.get("litellm_provider", ""))
    if provider is None or row.get("mode") not in CHAT:
        return
    model = _PREFIX.sub("", name, count=1)
    region = None
    if provider in {"aws", "azure"} and (zone := _ZONE.fullmatch(model)):
        region, model = zone["region"], zone["model"]
    if "/" in model:  # commitments and other offers that no call names
        return
    for key, rate in row.items():
        if (match := _KEY.fullmatch(key)) and rate:
            line = Line(
                provider=provider,
                model=model.removesuffix("@default"),
                tokens=CLASSES[match["name"]],
                situation=SITUATIONS[match["situation"]],
                above=int(match["above"]) * 1_000 if match["above"] else None,
                region=region,
                per_mtok=Decimal(rate) * 1_000_000,
            )
            yield line
            if not line.situation:
                yield from _uplifted(line, row)


def _uplifted(line: Line, row: Mapping[str, Any]) -> Iterator[Line]:
    factors = {option: row[key] for key, option in UPLIFTS.items() if key in row}
    if line.provider == "anthropic":
        entry = row.get("provider_specific_entry", {})
        factors |= {option: entry[key] for key, option in ANTHROPIC_UPLIFTS.items() if key in entry}
    for option, factor in factors.items():
        yield replace(line, situation=option, per_mtok=line.per_mtok * factor)
