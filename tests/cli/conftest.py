"""A ledger to read from, and the ways to run the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from costtrace import open_ledger
from costtrace.cli.app import app
from costtrace.context import Context
from costtrace.quote import QuoteStatus, no_quote
from tests.cli.terminal import Shown, show_on_terminal
from tests.factories import MESSAGE, make_entry, make_usage

QUESTION = "0199d3a0-0000-7000-8000-0000000000aa"
Run = Callable[..., Result]
Process = Callable[..., subprocess.CompletedProcess[str]]
OnTerminal = Callable[..., Shown]


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a working directory and an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("COSTTRACE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def ledger_url(tmp_path: Path) -> str:
    """A ledger of three messages.

    A question of user u1 (0.003125 USD); the reply to it, with one priced call, one of a model nobody has a price for
    and one that the provider refused; and a message of user u2 (0.003125 USD).
    """
    url = f"sqlite:///{tmp_path}/costs.db"
    reply = Context(user_id="u1", channel="sms", thread_id="t1", role="assistant", reply_to=QUESTION)
    unpriced = no_quote(QuoteStatus.UNPRICED, "no price for model 'own-1' (provider 'openai') on 2026-01-20")
    ledger = open_ledger(url)
    ledger.append(
        [
            make_entry(1, message_uuid=QUESTION, context=Context(user_id="u1", channel="sms", role="user")),
            make_entry(2, context=reply, model="gpt-4o-2024-08-06"),
            make_entry(3, context=reply, model="own-1", requested_model="own-1", quote=unpriced, cost=None),
            make_entry(
                4,
                context=reply,
                status="failed",
                error="RateLimitError 429",
                usage=None,
                quote=None,
                cost=None,
            ),
            make_entry(5, message_uuid="m-other", context=Context(user_id="u2", channel="web"), usage=make_usage()),
        ]
    )
    ledger.close()
    return url


@pytest.fixture
def run() -> Run:
    """The command inside this process, with its output captured and so not on a terminal."""

    def run(*words: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, list(words), input=stdin, catch_exceptions=False)

    return run


@pytest.fixture
def process() -> Process:
    """The command as a process of its own, with pipes at its ends."""

    def process(*words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "costtrace", *words],
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=60,
            check=False,
        )

    return process


@pytest.fixture
def on_terminal() -> OnTerminal:
    """The command as a process of its own, on a terminal of the given width."""

    def on_terminal(*words: str, columns: int) -> Shown:
        return show_on_terminal([sys.executable, "-m", "costtrace", *words], columns=columns)

    return on_terminal


__all__ = ["MESSAGE", "QUESTION"]
