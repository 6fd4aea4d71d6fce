"""``costtrace demo --aws``: the same day through the Lambda functions, on an emulated AWS that ends with it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from costtrace import open_ledger
from tests.cli.conftest import OnTerminal, Process

NAMED = os.environ.get("COSTTRACE_MINISTACK")  # before the tests here forget their environment
PYTHON = Path(NAMED) if NAMED else Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
SECRETS = ("4155550", "Where is my parcel", "to my neighbour", "Here is what I found", "waits at the counter")
with_ministack = pytest.mark.skipif(
    not PYTHON.exists(), reason=f"no emulator of AWS: {PYTHON} is missing; COSTTRACE_MINISTACK names another"
)
ELSEWHERE = {
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_SECRET_ACCESS_KEY": "real",
    "AWS_SESSION_TOKEN": "real",
    "AWS_PROFILE": "company",
    "AWS_REGION": "us-west-2",
    "OPENAI_API_KEY": "",
    "COSTTRACE_LEDGER": "dynamodb://?ledger=production",
    "COSTTRACE_EXPORTERS": "posthog",
}
ADDRESSES = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "HTTP_PROXY", "http_proxy")
COMMAND = [sys.executable, "-m", "costtrace", "demo", "--aws"]

with_proc = pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="processes are found in /proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One run with ``--json``, in an environment that names another AWS at every turn."""

    shown: dict[str, Any]
    text: str
    errors: str
    status: int
    visited: bool
    """Whether somebody came to the address that stands for the other AWS."""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(0)
        elsewhere = dict.fromkeys(ADDRESSES, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        ended = subprocess.run(
            [*COMMAND, "--json"],
            env={**os.environ, **ELSEWHERE, **elsewhere, "COSTTRACE_MINISTACK": str(PYTHON)},
            cwd=tmp_path_factory.mktemp("aws"),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        try:
            nobody.accept()[0].close()
            visited = True
        except BlockingIOError:
            visited = False
    shown = json.loads(ended.stdout) if ended.returncode == 0 else {}
    return Done(shown=shown, text=ended.stdout, errors=ended.stderr, status=ended.returncode, visited=visited)


def shape(report: Mapping[str, Any]) -> list[str]:
    """Of each group all but its name: a user has another one there, made of the number."""
    return sorted(json.dumps({**group, "group": None}) for group in report["groups"])


@with_ministack
def test_nothing_of_the_environments_aws_is_asked_and_nothing_of_its_ledger_is_touched(done: Done) -> None:
    assert (done.status, done.errors) == (0, "")
    assert not done.visited


@with_ministack
def test_the_day_costs_to_the_last_digit_what_it_costs_without_aws(done: Done, process: Process) -> None:
    there = done.shown
    here = json.loads(process("demo", "--json").stdout)

    for place in (0, 2):  # by user and channel, and by model
        assert shape(there["reports"][place]) == shape(here["reports"][place])
        assert there["reports"][place]["total"] == here["reports"][place]["total"]
    assert there["reports"][0]["total"]["actual"] == {"USD": "0.0400041"}
    assert there["steps"] == here["steps"]
    for name in ("message", "turn"):
        assert there[name]["total"] == here[name]["total"]
    if here["posthog"] is not None:
        assert there["posthog"]["events"] == here["posthog"]["events"]
        assert there["posthog"]["usd"] == "0.0400041"


@with_ministack
def test_the_tables_hold_the_reply_and_its_costs_and_no_text_is_shown(done: Done) -> None:
    item, rows, units = (done.shown["dynamodb"][name] for name in ("chat_messages", "ledger", "write_units"))
    uuid = done.shown["message"]["message_uuid"]
    assert (item["messageId"], item["role"], item["channel"]) == (uuid, "assistant", "sms")
    assert item["content_characters"] > 20
    assert "content" not in item
    # 0.0020175 + 0.0021225 for two model calls, 0.0075 for the SMS
    assert (item["costs"]["gpt"]["costUsd"], item["costs"]["gpt"]["model"]) == ("0.00414", "gpt-4o-2024-08-06")
    assert (item["costs"]["twilio"]["price"], item["costs"]["twilio"]["status"]) == ("-0.00750", "delivered")
    assert [row["cost"] for row in rows if row["cost"] is not None] == ["0.0020175", "0.0021225", "0.0075"]
    kinds = ["llm", "llm", "sms-check", "sms-price", "sms-send", *["sms-status"] * 4, "sms", "tool-run"]
    assert [row["kind"] for row in rows] == kinds
    assert [row["sk"] for row in rows] == sorted(row["sk"] for row in rows)
    assert units["messages"] == 5  # two questions, their answers, and a reminder
    spent = Decimal(units["ledger"]) + Decimal(units["chat_messages"])
    assert 50 < spent < 150
    assert Decimal(units["per_message"]) == spent / 5
    assert Decimal(units["usd_per_million_messages"]) == spent / 5 * Decimal("0.625")
    for secret in SECRETS:
        assert secret not in done.text


@with_ministack
def test_its_page_ends_with_commands_that_work_when_the_emulator_has_gone(process: Process) -> None:
    done = process("demo", "--aws", COSTTRACE_MINISTACK=str(PYTHON))

    assert (done.returncode, done.stderr) == (0, "")
    first = "12 model calls and 5 SMS were recorded in DynamoDB and copied to sqlite:///costtrace-demo.db.\n"
    assert done.stdout.startswith(first)
    for line in (
        "What happened",
        "What stands in DynamoDB",
        "  costs.gpt.costUsd               0.00414",
        "  costs.twilio.price              -0.00750",
        "Cost by model, all time",
        "Try next",
    ):
        assert f"\n{line}\n" in done.stdout
    assert re.search(r"\n  total +0\.0116400 *\n", done.stdout)
    assert re.search(
        r"^  a million of them +[0-9.]+ USD, at 0\.625 USD for a million write units", done.stdout, re.MULTILINE
    )
    (uuid,) = re.findall(r"^Message (\S+)$", done.stdout, re.MULTILINE)
    after = process("message", uuid, "--turn", "--ledger", "sqlite:///costtrace-demo.db")
    assert "\nTotal of the turn\n" in after.stdout


@with_ministack
def test_on_a_terminal_it_fits_its_width(on_terminal: OnTerminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_MINISTACK", str(PYTHON))
    shown = on_terminal("demo", "--aws", columns=80)

    assert shown.status == 0
    printed = shown.text[shown.text.index("12 model calls") : shown.text.index("Try next")]
    assert max(map(len, printed.splitlines())) <= 80


@with_ministack
@with_proc
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_ended_early_leaves_no_process(how: signal.Signals, tmp_path: Path) -> None:
    environment = {**os.environ, "COSTTRACE_MINISTACK": str(PYTHON), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        wait_until(lambda: emulators(tmp_path) != [])
        running.send_signal(how)
        running.communicate(timeout=30)

    assert running.returncode != 0
    wait_until(lambda: emulators(tmp_path) == [])


@with_ministack
@with_proc
def test_an_emulator_that_dies_on_the_way_is_told_in_one_sentence(tmp_path: Path) -> None:
    environment = {**os.environ, "COSTTRACE_MINISTACK": str(PYTHON), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_until(lambda: emulators(tmp_path) != [])
        time.sleep(2)
        for process_id in emulators(tmp_path):
            os.kill(process_id, signal.SIGKILL)
        said, complained = running.communicate(timeout=100)

    assert (running.returncode, said) == (2, "")
    assert re.fullmatch(r"costtrace: [^\n]+\n", complained)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--aws", "--live"], r"--live and --aws exclude each other; choose one"),
        (["--aws", "--local-llm"], r"--local-llm and --aws exclude each other; choose one"),
        (["--aws", "--ledger", "dynamodb://"], r"--ledger: with --aws it is for the copy, such as sqlite:///.*"),
        (["--aws"], r"no emulator of AWS is installed: run `make demo-aws` in a clone of costtrace, or .*"),
    ],
)
def test_what_cannot_be_is_told_in_one_sentence(process: Process, words: list[str], sentence: str) -> None:
    done = process("demo", *words, PATH="/usr/bin:/bin")

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"costtrace: {sentence}\n", done.stderr)


def test_a_named_python_that_has_no_ministack_is_told_in_one_sentence(process: Process) -> None:
    missing = process("demo", "--aws", COSTTRACE_MINISTACK="nowhere/python")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("costtrace: COSTTRACE_MINISTACK: expected the path of a Python")

    without = process("demo", "--aws", COSTTRACE_MINISTACK=sys.executable)
    assert (without.returncode, without.stdout) == (2, "")
    assert re.fullmatch(r"costtrace: the emulator of AWS did not start: .*No module named ministack\n", without.stderr)
    assert open_ledger("sqlite:///costtrace-demo.db").last_seq() == 0


def emulators(scratch: Path) -> list[int]:
    """The processes of emulators whose files are below that folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            belongs = scratch in (process / "cwd").readlink().parents
        except OSError:
            continue
        if belongs:
            found.append(int(process.name))
    return found


def wait_until(true: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
