"""``costtrace tail``."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from costtrace import Context, open_ledger
from costtrace.entry import encode_entry
from tests.cli.conftest import MESSAGE, QUESTION, OnTerminal, Run
from tests.factories import make_entry


def test_the_last_entries_are_plain_lines_when_piped(run: Run, ledger_url: str) -> None:
    done = run("tail", "--once", "-n", "3", "--ledger", ledger_url)

    assert done.exit_code == 0
    assert done.stdout == (
        f"2026-01-20T09:30:03.000000Z  {MESSAGE}  llm openai own-1  450 in, 200 out  completed  unpriced\n"
        f"2026-01-20T09:30:04.000000Z  {MESSAGE}  llm openai gpt-4o  failed: RateLimitError 429  nothing bought\n"
        "2026-01-20T09:30:05.000000Z  m-other  llm openai gpt-4o  450 in, 200 out  completed  0.003125 USD\n"
    )


def test_json_lines_carry_the_sequence_number_and_the_whole_entry(run: Run, ledger_url: str) -> None:
    lines = [json.loads(line) for line in run("tail", "--once", "--json", "--ledger", ledger_url).stdout.splitlines()]

    assert lines == [{"seq": seq, **encode_entry(entry)} for seq, entry in open_ledger(ledger_url).entries()]


def test_since_begins_with_everything_of_that_time(run: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/since.db"
    now = datetime.now(UTC)
    moments = [now - timedelta(hours=2), *[now - timedelta(minutes=1)] * 12]
    open_ledger(url).append([make_entry(number, occurred_at=moment) for number, moment in enumerate(moments)])

    assert len(run("tail", "--once", "--since", "1h", "--ledger", url).stdout.splitlines()) == 12
    assert len(run("tail", "--once", "--ledger", url).stdout.splitlines()) == 10


def test_an_empty_start_is_possible(run: Run, ledger_url: str) -> None:
    done = run("tail", "--once", "-n", "0", "--ledger", ledger_url)

    assert (done.exit_code, done.stdout) == (0, "")


def test_new_entries_follow_as_they_arrive_until_ctrl_c(ledger_url: str) -> None:
    ledger = open_ledger(ledger_url)
    command = [sys.executable, "-m", "costtrace", "tail", "-n", "1", "--json", "--ledger", ledger_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["seq"] == 5
        for number in (6, 7):
            ledger.spool(make_entry(number))
            assert json.loads(process.stdout.readline())["seq"] == number
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""


def test_on_a_terminal_entries_stand_below_their_message(on_terminal: OnTerminal, ledger_url: str) -> None:
    shown = on_terminal("tail", "--once", "--ledger", ledger_url, columns=80)

    assert shown.status == 0
    assert [line.rstrip() for line in shown.lines] == [
        f"{QUESTION}  u1 sms user",
        "  09:30:01  llm gpt-4o  450 in, 200 out                             0.003125 USD",
        f"{MESSAGE}  u1 sms assistant",
        "  09:30:02  llm gpt-4o-2024-08-06  450 in, 200 out                  0.003125 USD",
        "  09:30:03  llm own-1  450 in, 200 out                                  unpriced",
        "  09:30:04  llm gpt-4o  failed: RateLimitError 429                nothing bought",
        "m-other  u2 web",
        "  09:30:05  llm gpt-4o  450 in, 200 out                             0.003125 USD",
    ]


def test_hostile_text_does_not_reach_the_terminal(on_terminal: OnTerminal, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hostile.db"
    context = Context(user_id="\x1b[2Jgone", channel="[red]x")
    open_ledger(url).append([make_entry(model="\x1b[31mred", context=context)])

    shown = on_terminal("tail", "--once", "--ledger", url, columns=120)

    assert r"\x1b[2Jgone [red]x" in shown.text
    assert "\x1b[2J" not in shown.raw
    assert "\x1b[31mred" not in shown.raw
