"""What the environment says of spans reaches whatever makes them; a word that is none is refused by its variable."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider

from costtrace.aws.runtime import Runtime
from costtrace.errors import ConfigurationError
from costtrace.settings import Settings
from costtrace.tracing import Tracing

WORDS = {
    "COSTTRACE_SPANS": "all",
    "COSTTRACE_SPAN_PRESETS": "posthog, mlflow",
    "COSTTRACE_CALLBACK_SPAN": "child",
}
SAID = ("all", frozenset({"posthog", "mlflow"}), "child")


def said(tracing: Tracing) -> tuple[str, frozenset[str], str]:
    return tracing.spans, tracing.presets, tracing.callback_span


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    monkeypatch.setenv("COSTTRACE_LEDGER", f"sqlite:///{tmp_path}/costs.db")
    for name, word in WORDS.items():
        monkeypatch.setenv(name, word)
    return Settings.from_environment()


def test_spans_are_made_as_the_environment_says(settings: Settings) -> None:
    recorder, provider = settings.recorder(), TracerProvider(shutdown_on_exit=False)
    for tracing in (recorder.tracing, settings.tracing(), settings.tracing(provider)):
        assert said(tracing) == SAID
    assert settings.tracing(provider).active
    recorder.close()


def test_functions_make_them_so_too(settings: Settings) -> None:
    runtime = Runtime(settings)
    assert said(runtime.tracing) == said(runtime.recorder.tracing) == SAID
    assert runtime.recorder.ledger is runtime.ledger
    runtime.recorder.close()


def test_unset_they_are_as_a_recorder_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WORDS:
        monkeypatch.setenv(name, "")
    assert said(Settings.from_environment().tracing()) == said(Tracing())


@pytest.mark.parametrize(
    ("name", "word", "sentence"),
    [
        ("COSTTRACE_SPANS", "none", "COSTTRACE_SPANS: expected one of off, leaf, all, got 'none'"),
        ("COSTTRACE_CALLBACK_SPAN", "LINK", "COSTTRACE_CALLBACK_SPAN: expected one of link, child, got 'LINK'"),
        (
            "COSTTRACE_SPAN_PRESETS",
            "posthog,phoenix",
            "COSTTRACE_SPAN_PRESETS: expected one of draft443, langfuse, mlflow, openinference, posthog, got 'phoenix'",
        ),
    ],
)
def test_a_word_that_is_none_is_refused_and_no_ledger_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, word: str, sentence: str
) -> None:
    monkeypatch.setenv("COSTTRACE_LEDGER", f"sqlite:///{tmp_path}/costs.db")
    monkeypatch.setenv(name, word)
    settings = Settings.from_environment()
    for make in (settings.recorder, settings.tracing):
        with pytest.raises(ConfigurationError) as caught:
            make()
        assert str(caught.value) == sentence
    assert list(tmp_path.iterdir()) == []
