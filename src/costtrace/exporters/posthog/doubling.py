"""What else may tell PostHog of the same model calls, so that each would be there twice.

Those events have ids of their own, random ones for the most part, so nothing merges them with ours. Their cost is
PostHog's estimate.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

_log: Final = logging.getLogger("costtrace")

AI_OTLP_PATH: Final = "/i/v0/ai/otel"
"""Where PostHog takes ``gen_ai`` spans and makes an ``$ai_generation`` of each."""

_SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "posthog.ai.langchain": "PostHog's LangChain handler or middleware",
        "posthog.ai.openai": "PostHog's OpenAI client",
        "posthog.ai.anthropic": "PostHog's Anthropic client",
        "posthog.ai.gemini": "PostHog's Gemini client",
        "posthog.ai.otel": "PostHog's OpenTelemetry exporter of gen_ai spans",
    }
)
"""Modules of PostHog's package that send events of model calls, and that nobody imports who does not use them."""

_lock: Final = threading.Lock()
_warned: Final[set[str]] = set()


def doubled_by(*, modules: Collection[str], otlp_endpoints: Iterable[str] = ()) -> Iterator[str]:
    """What would tell PostHog of model calls a second time: of the imported `modules`, and of the addresses that
    OpenTelemetry exports to.
    """
    yield from (f"{what} is in use ({module})" for module, what in _SOURCES.items() if module in modules)
    if any(is_ai_otlp(endpoint) for endpoint in otlp_endpoints):
        yield f"OpenTelemetry exports gen_ai spans to PostHog ({AI_OTLP_PATH})"


def is_ai_otlp(endpoint: str) -> bool:
    """Whether PostHog would make events of the spans that are sent to that address."""
    return AI_OTLP_PATH in urlsplit(endpoint).path


def warn_of_doubles(otlp_endpoints: Iterable[str] = ()) -> None:
    """Log, once in a process for each of them, what would make the cost in PostHog twice what it is."""
    for found in doubled_by(modules=sys.modules.keys(), otlp_endpoints=otlp_endpoints):
        with _lock:
            first = found not in _warned
            _warned.add(found)
        if first:
            _log.warning("%s beside costtrace: each model call would be in PostHog twice; remove one of the two", found)
