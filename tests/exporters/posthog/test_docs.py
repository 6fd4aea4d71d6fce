"""The page on PostHog names every event and every property that leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from costtrace.exporters.posthog import Event
from costtrace.exporters.posthog.contract import COSTED, MESSAGE_COST
from tests.exporters.posthog.test_package import one_of_each

PAGE = (Path(__file__).parents[3] / "docs" / "posthog.md").read_text()


@pytest.mark.parametrize("name", sorted({*COSTED, MESSAGE_COST}))
def test_events(name: str) -> None:
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("event", one_of_each(), ids=lambda event: event.name)
def test_properties(event: Event) -> None:
    """PostHog's own names are documented by PostHog; parts of a message's total share one line."""
    own = {name for name in event.properties if not name.startswith(("$ai_", "ai_total", "sms_total", "other_total"))}

    assert {name for name in own if f"`{name}" not in PAGE} == set()
