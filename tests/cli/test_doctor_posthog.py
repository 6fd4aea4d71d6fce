"""``costtrace doctor`` and the start of deliveries: PostHog, and what would tell it of model calls twice."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from costtrace.exporters.posthog import doubling
from costtrace.settings import Settings
from costtrace.testing import MemoryLedger
from tests.cli.conftest import Run

AI = "https://eu.i.posthog.com/i/v0/ai/otel"


@pytest.fixture(autouse=True)
def _nothing_said_yet() -> None:
    doubling._warned.clear()


@pytest.fixture
def delivering(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that delivers to PostHog."""
    monkeypatch.setenv("COSTTRACE_EXPORTERS", "posthog")
    monkeypatch.setenv("POSTHOG_API_KEY", "phc_of_a_test")
    monkeypatch.setenv("POSTHOG_HOST", "https://eu.i.posthog.com")
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def checked(run: Run) -> list[dict[str, Any]]:
    shown = json.loads(run("doctor", "--json").stdout)
    return [check for check in shown["checks"] if check["name"] == "posthog"]


def test_nothing_is_said_where_nothing_is_delivered_there(run: Run) -> None:
    assert checked(run) == []


def test_where_events_go(run: Run, delivering: pytest.MonkeyPatch) -> None:
    delivering.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")

    (check,) = checked(run)

    assert check["state"] == "ok"
    assert "https://eu.i.posthog.com" in check["found"]
    assert "phc_of_a_test" not in check["found"]


def test_without_a_token_nothing_can_be_delivered(run: Run, delivering: pytest.MonkeyPatch) -> None:
    delivering.delenv("POSTHOG_API_KEY")

    (check,) = checked(run)

    assert check["state"] == "fail"
    assert "POSTHOG_API_KEY" in check["advice"]


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_spans_that_posthog_makes_events_of_are_pointed_out(
    run: Run, delivering: pytest.MonkeyPatch, variable: str
) -> None:
    delivering.setenv(variable, AI)

    (check,) = checked(run)

    assert check["state"] == "warn"
    assert "/i/v0/ai/otel" in check["found"]


def test_whoever_delivers_is_warned_of_them_once(
    delivering: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delivering.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", AI)

    with caplog.at_level(logging.WARNING, "costtrace"):
        for _ in range(2):
            for exporter in Settings.from_environment().make_exporters(MemoryLedger()):
                exporter.close()

    assert len(caplog.records) == 1
