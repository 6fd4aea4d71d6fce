"""Who else tells PostHog of the same model calls is found, and said once."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest

from costtrace.exporters.posthog import doubling
from costtrace.exporters.posthog.doubling import doubled_by, is_ai_otlp, warn_of_doubles
from tests.exporters.posthog.conftest import NewExporter
from tests.factories import make_entry

AI = "https://eu.i.posthog.com/i/v0/ai/otel"


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    doubling._warned.clear()


@pytest.mark.parametrize(
    ("endpoint", "doubles"),
    [
        (AI, True),
        (f"{AI}/v1/traces", True),
        ("https://example.com/ingest/i/v0/ai/otel", True),
        ("https://eu.i.posthog.com/i/v1/traces", False),
        ("http://localhost:4318", False),
    ],
)
def test_where_spans_become_events(endpoint: str, *, doubles: bool) -> None:
    assert is_ai_otlp(endpoint) is doubles


@pytest.mark.parametrize("module", ["posthog.ai.langchain", "posthog.ai.openai", "posthog.ai.otel"])
def test_what_of_posthogs_package_sends_events(module: str) -> None:
    (found,) = doubled_by(modules={module, "posthog", "posthog.request"})

    assert module in found


def test_its_lower_layer_and_ours_send_none() -> None:
    assert list(doubled_by(modules={"posthog", "posthog.request", "langchain"}, otlp_endpoints=["http://x:4318"])) == []


def test_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "costtrace"):
        for _ in range(3):
            warn_of_doubles([AI])

    (record,) = caplog.records
    assert "each model call would be in PostHog twice" in record.getMessage()


def test_the_exporter_looks_when_it_begins_to_deliver(
    new_exporter: NewExporter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = new_exporter()
    monkeypatch.setitem(sys.modules, "posthog.ai.langchain", ModuleType("posthog.ai.langchain"))

    with caplog.at_level(logging.WARNING, "costtrace"):
        exporter.export([make_entry(1)])
        exporter.export([make_entry(2)])

    assert [record.getMessage().partition(" (")[0] for record in caplog.records] == [
        "PostHog's LangChain handler or middleware is in use"
    ]
