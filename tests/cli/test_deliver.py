"""``costtrace deliver`` and ``costtrace outbox``: what is pending goes where it should, and what does not is shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.cli.page import Grid, Note
from costtrace.cli.pages.outbox import age, standing_page
from costtrace.exporters import Fate, Refusal
from costtrace.exporters.jsonl import read_jsonl
from costtrace.ledger import SqliteLedger
from costtrace.outbox import ExporterStatus, Outbox
from costtrace.sandbox.posthog import PostHogServer
from costtrace.sandbox.posthog_capture import Fault
from tests.cli.conftest import OnTerminal, Process, Run
from tests.factories import make_entry
from tests.outbox.parts import Scripted


@pytest.fixture
def lines(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of five entries in the environment, to be delivered to this file."""
    monkeypatch.setenv("COSTTRACE_LEDGER", ledger_url)
    monkeypatch.setenv("COSTTRACE_EXPORTERS", f"jsonl://{tmp_path}/entries.jsonl")
    return tmp_path / "entries.jsonl"


@pytest.fixture
def posthog(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[PostHogServer]:
    """A ledger of five entries in the environment, to be delivered to a stand-in for PostHog."""
    with PostHogServer() as server:
        monkeypatch.setenv("COSTTRACE_LEDGER", ledger_url)
        monkeypatch.setenv("COSTTRACE_EXPORTERS", "posthog")
        monkeypatch.setenv("POSTHOG_API_KEY", server.project_token)
        monkeypatch.setenv("POSTHOG_HOST", server.host)
        yield server


@pytest.fixture
def refused(lines: Path, ledger_url: str) -> str:
    """The name of an exporter that took two of the five entries, parked one and turned two down."""
    ledger = open_ledger(ledger_url)
    assert isinstance(ledger, SqliteLedger)
    fates = {2: Fate.PARKED, 3: Fate.DEAD, 4: Fate.DEAD}
    answer = {
        str(number): Refusal(entry_id=f"llm/run-{number}/{number}", fate=fate, reason=f"no_{fate}")
        for number, fate in fates.items()
    }
    exporter = Scripted(answer, name=f"jsonl {lines}")
    Outbox(ledger, [exporter]).deliver_once()
    ledger.close()
    return exporter.name


def test_deliver_gives_everything_to_the_exporter_and_says_so(run: Run, lines: Path) -> None:
    done = run("deliver")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "Delivered\n"
        f"  exporter{' ' * (len(str(lines)) - 2)}  sent  put off  parked  dead  remark\n"
        f"  jsonl {lines}     5        -       -     -  -\n"
    )
    assert [entry.source_id for entry in read_jsonl([lines])] == ["run-1", "run-2", "run-3", "run-4", "run-5"]
    assert "     0        -" in run("deliver").stdout


def test_deliver_as_json(run: Run, lines: Path) -> None:
    assert json.loads(run("deliver", "--json").stdout) == [
        {
            "exporter": f"jsonl {lines}",
            "sent": 5,
            "put_off": 0,
            "parked": 0,
            "dead": 0,
            "problem": None,
            "stopped": False,
            "elsewhere": False,
        }
    ]


def test_a_new_exporter_can_begin_now(run: Run, lines: Path, ledger_url: str) -> None:
    assert json.loads(run("deliver", "--from", "now", "--json").stdout)[0]["sent"] == 0
    ledger = open_ledger(ledger_url)
    ledger.append([make_entry(9)])
    ledger.close()

    assert json.loads(run("deliver", "--from", "beginning", "--json").stdout)[0]["sent"] == 1

    assert [entry.source_id for entry in read_jsonl([lines])] == ["run-9"]


def test_what_was_not_delivered_ends_with_one_and_says_why(run: Run, posthog: PostHogServer) -> None:
    posthog.outage = Fault(status=503, retry_after_s=60)

    done = run("deliver")

    assert done.exit_code == 1
    assert "tried again later: PostHog answers 503" in done.stdout
    again = run("deliver")
    assert (again.exit_code, len(posthog.calls)) == (1, 1)  # it is left alone for as long as it asked
    posthog.outage = None
    assert run("outbox", "resume", "posthog").stdout == "posthog is tried again with the next delivery\n"
    assert run("deliver").exit_code == 0
    assert len(posthog.distinct) >= 5


def test_a_wrong_key_says_what_to_do(run: Run, posthog: PostHogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTHOG_API_KEY", "phc_wrong")
    stopped = run("deliver")
    assert stopped.exit_code == 1
    assert "change that, then `costtrace outbox resume posthog`" in stopped.stdout
    assert "phc_wrong" not in stopped.stdout + stopped.stderr
    assert "stopped: " in run("outbox").stdout

    monkeypatch.setenv("POSTHOG_API_KEY", posthog.project_token)

    assert run("deliver").exit_code == 0


@pytest.mark.parametrize(
    ("exporters", "sentence"),
    [
        ("", "COSTTRACE_EXPORTERS is not set, so there is nothing to deliver to"),
        ("kafka://x", "exporter 'kafka://x' is not known; use one of posthog, jsonl://"),
        ("posthog", "POSTHOG_API_KEY is not set"),
        ("jsonl://a.jsonl,jsonl://a.jsonl", "two exporters are named"),
    ],
)
def test_settings_that_cannot_work_say_so(
    run: Run, lines: Path, monkeypatch: pytest.MonkeyPatch, exporters: str, sentence: str
) -> None:
    monkeypatch.setenv("COSTTRACE_EXPORTERS", exporters)
    monkeypatch.delenv("POSTHOG_API_KEY", raising=False)

    refused = run("deliver")

    assert (refused.exit_code, refused.stdout) == (2, "")
    assert sentence in refused.stderr
    assert not lines.exists()


def test_a_ledger_that_is_not_there_is_not_made(run: Run, lines: Path, tmp_path: Path) -> None:
    refused = run("deliver", "--ledger", f"sqlite:///{tmp_path}/none.db")

    assert refused.exit_code == 2
    assert "there is no ledger at" in refused.stderr
    assert not (tmp_path / "none.db").exists()
    assert not lines.exists()


def test_forever_delivers_what_comes_and_ends_in_good_order(lines: Path, ledger_url: str) -> None:
    command = [sys.executable, "-m", "costtrace", "deliver", "--forever"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as process:
        wait_for(lines, 5)
        ledger = open_ledger(ledger_url)
        ledger.append([make_entry(9)])
        ledger.close()
        wait_for(lines, 6)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)

    assert (process.returncode, output, errors) == (0, b"", b"")


def wait_for(path: Path, count: int) -> None:
    ends = time.monotonic() + 30
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_long_delivery_shows_a_bar_on_a_terminal_and_nothing_in_a_pipe(
    lines: Path, ledger_url: str, on_terminal: OnTerminal, process: Process
) -> None:
    ledger = open_ledger(ledger_url)
    ledger.append([make_entry(number) for number in range(10, 2_510)])
    ledger.close()
    shown = on_terminal("deliver", columns=160)
    assert "━" in shown.raw
    assert "2505" in shown.text
    lines.unlink()

    piped = process("deliver", COSTTRACE_EXPORTERS=f"jsonl://{lines}.other")

    assert (piped.returncode, piped.stderr) == (0, "")
    assert "━" not in piped.stdout


def test_outbox_shows_how_each_exporter_stands_and_what_it_did_not_take(run: Run, refused: str) -> None:
    shown = run("outbox")

    assert shown.exit_code == 0
    head, row = shown.stdout.splitlines()[1:3]
    assert head.split() == ["exporter", "pending", "oldest", "sent", "parked", "dead", "standing"]
    assert row.split() == [*refused.split(), "0", "-", "2", "1", "2", "everything", "delivered"]
    assert shown.stdout.splitlines()[3:] == [
        "",
        f"Not taken by {refused}",
        "  entries  state   reason     for example",
        "        2  dead    no_dead    llm/run-3/3",
        "        1  parked  no_parked  llm/run-2/2",
        f"`costtrace outbox replay {refused} --parked --dead` lets them be delivered again.",
    ]


def test_outbox_as_json(run: Run, refused: str) -> None:
    [status] = json.loads(run("outbox", "--json").stdout)

    assert status["exporter"] == refused
    assert {name: status[name] for name in ("pending", "sent", "parked", "dead", "stopped", "next_try")} == {
        "pending": 0,
        "sent": 2,
        "parked": 1,
        "dead": 2,
        "stopped": False,
        "next_try": None,
    }
    assert status["not_taken"][0] == {"state": "dead", "reason": "no_dead", "count": 2, "entry_id": "llm/run-3/3"}


def test_an_outbox_that_was_never_used_says_how_to_begin(run: Run, lines: Path) -> None:
    assert run("outbox").stdout == (
        "Outbox\nNothing was delivered yet; `costtrace deliver` does, to where COSTTRACE_EXPORTERS says.\n"
    )
    assert not lines.exists()


def test_replay_lets_them_be_delivered(run: Run, refused: str, lines: Path) -> None:
    assert run("outbox", "replay", refused, "--dead").stdout == f"2 entries go to {refused} again\n"
    assert run("outbox", "replay", refused, "--entry", "llm/run-1/1").stdout == f"1 entry goes to {refused} again\n"
    assert json.loads(run("outbox", "replay", refused, "--parked", "--json").stdout) == {
        "exporter": refused,
        "replayed": 1,
    }

    assert run("deliver").exit_code == 0

    assert [entry.source_id for entry in read_jsonl([lines])] == ["run-1", "run-2", "run-3", "run-4"]
    assert json.loads(run("outbox", "--json").stdout)[0]["sent"] == 5


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["replay", "{name}"], "outbox replay: expected --parked, --dead or --entry ID"),
        (["replay", "nobody", "--dead"], "exporter: expected one of jsonl"),
        (["replay", "{name}", "--entry", "llm/none"], "entry_id: expected the id of an entry of this ledger"),
        (["resume", "nobody"], "exporter: expected one of jsonl"),
        (["forget", "nobody"], "exporter: expected one of jsonl"),
        (["forget", "{name}"], "exporter: expected one that COSTTRACE_EXPORTERS does not name"),
    ],
)
def test_what_cannot_be_replayed_is_refused_and_nothing_changes(
    run: Run, refused: str, words: list[str], sentence: str
) -> None:
    before = run("outbox", "--json").stdout

    answer = run("outbox", *[word.format(name=refused) for word in words])

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert sentence in answer.stderr
    assert run("outbox", "--json").stdout == before


def test_an_exporter_that_is_used_no_more_can_be_forgotten(
    run: Run, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COSTTRACE_EXPORTERS")

    assert run("outbox", "forget", refused).stdout == f"{refused} is forgotten\n"

    assert json.loads(run("outbox", "--json").stdout) == []
    assert run("outbox", "forget", refused).exit_code == 2


def test_a_status_in_every_state_is_said_in_words() -> None:
    known = {
        "exporter": "posthog",
        "pending": 3,
        "oldest_pending_s": 97_200.0,
        "sent": 10,
        "retry": 0,
        "parked": 0,
        "dead": 0,
        "stopped": False,
        "failures": 0,
        "faults": 0,
        "problem": "HTTP 503",
        "problem_at": None,
        "next_try": None,
        "delivering": False,
    }

    def said(**changes: object) -> str:
        _, grid, *notes = standing_page([(ExporterStatus(**{**known, **changes}), [])])  # type: ignore[arg-type]  # one word at a time
        assert isinstance(grid, Grid)
        assert all(isinstance(note, Note) for note in notes)
        return grid.rows[0][-1].text

    assert said() == "waits for the next delivery"
    assert said(stopped=True) == "stopped: HTTP 503"
    assert said(delivering=True) == "delivering"
    assert said(next_try=datetime(2026, 1, 20, 9, 30, 5, tzinfo=UTC)) == "next try 09:30:05 UTC: HTTP 503"
    assert [age(seconds) for seconds in (0, 59.9, 60, 3_725, 97_200)] == [
        "0 s",
        "59 s",
        "1 min",
        "1 h 2 min",
        "1 d 3 h",
    ]
