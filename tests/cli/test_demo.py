"""``costtrace demo``: the main job, from a bare directory."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace import open_ledger
from costtrace.cli.pages.demo import posthog_blocks
from costtrace.cli.plain import plain_text
from costtrace.outbox import deliveries_of
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.sandbox.posthog_project import Events, Held
from tests.cli.conftest import OnTerminal, Process

LONGEST_S = 60.0  # a few seconds, where nothing else wants the processor
SECRETS = ("4155550", "Where is my parcel", "to my neighbour", "Here is what I found", "waits at the counter")
COMMANDS = ("message", "view", "report", "doctor", "serve")
LOOPBACK_ONLY = """
import sys

def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in ("127.0.0.1", "::1"):
        raise RuntimeError(f"the demo wants to reach {args[1]}")
    if event == "socket.getaddrinfo" and args[0] not in (None, "127.0.0.1", "::1", "localhost"):
        raise RuntimeError(f"the demo looks up {args[0]}")

sys.addaudithook(watch)
"""


@pytest.fixture
def nobody() -> Iterator[socket.socket]:
    """A port that nobody is meant to come to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def test_the_demo_needs_no_key_and_no_network_and_ends_with_a_command_that_works(
    process: Process, tmp_path: Path, nobody: socket.socket
) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOOPBACK_ONLY)
    elsewhere = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    environment = {
        "PYTHONPATH": str(tmp_path),
        "OPENAI_API_KEY": "",
        "HTTP_PROXY": elsewhere,
        "http_proxy": elsewhere,
        "LANGSMITH_TRACING": "true",
        "LANGSMITH_API_KEY": "ls-1",
        "LANGSMITH_ENDPOINT": elsewhere,
    }

    begun = time.monotonic()
    done = process("demo", **environment)
    took = time.monotonic() - begun

    assert (done.returncode, done.stderr) == (0, "")
    assert took < LONGEST_S
    with pytest.raises(BlockingIOError):
        nobody.accept()
    assert done.stdout.startswith("12 model calls and 5 SMS were recorded at sqlite:///costtrace-demo.db.\n")
    for line in (
        "What happened",
        "What PostHog holds",
        "Cost by direction and message type, all time",
        "Cost by user and channel, all time",
        "Cost by model, all time",
        "Try next",
    ):
        assert f"\n{line}\n" in done.stdout
    assert "  harbor-tone-1                  unpriced            -  1 unpriced " in done.stdout
    following = [shlex.split(line) for line in done.stdout.splitlines()[-5:]]
    commands = [words[next(n for n, word in enumerate(words) if word in COMMANDS) :] for words in following]
    assert [words[0] for words in commands] == ["message", "view", "report", "doctor", "serve"]
    shown = [process(*words) for words in commands[:-1]]  # the last would go on until it is stopped
    assert [one.returncode for one in shown] == [0, 0, 0, 0]
    assert "\nTotal of the turn\n" in shown[0].stdout


def test_the_conversation_ends_with_what_it_cost_together_to_the_last_digit(process: Process) -> None:
    printed = process("demo").stdout

    for line in (
        "  SMS out    recorded, then sent; no price yet, 0.0083 USD is expected",
        "  callbacks  delivered, sent, delivered, in that order: it is delivered",
        "  prices     asked for 4; 4 are not there yet, and stay pending",
        "  prices     asked again; 4 are there, 0.03 USD together, and final",  # 4 x 0.0075, which Twilio charges
    ):
        assert f"{line}\n" in printed
    assert "  -0.00750 USD  +0.0075 USD  pending 0.0083 USD\n" in printed
    # the reply: 0.0020175 + 0.0021225 for two model calls, 0.0075 for the SMS
    assert "\nTotal\n  actual    0.01164 USD\n  coverage  1 settled, 2 calculated\n" in printed
    # what it answers: 0.0000243 for sorting, 0.0075 for the SMS that came in
    assert "\nTotal with what it answers\n  actual    0.0191643 USD\n  coverage  2 settled, 3 calculated\n" in printed
    assert "  outbound   notification  0.00031200       0.0083  1 calculated, 1 pending " in printed
    assert "`costtrace sms settle`" in printed


@pytest.mark.skipif(importlib.util.find_spec("posthog") is None, reason="the package posthog is not installed")
def test_posthog_holds_what_the_report_says_to_the_last_digit_and_nothing_of_it_stays_in_the_ledger(
    process: Process,
) -> None:
    printed = process("demo").stdout
    again = json.loads(process("demo", "--json").stdout)

    for line in (
        "  $ai_generation       12  0.0100041",  # 0.0400041 of all, less 4 x 0.0075 for the SMS
        "  message_cost          7          -",  # two questions, their answers, two chats, a fallback
        "  sms_cost_update       4  0.0300000",
        "  sms_inbound           2          -",
        "  sms_outbound          3          -",
        "  total                28  0.0400041",
        "Delivered in 1 request; the total is what this run added to the ledger, to the last digit.",
    ):
        assert f"{line}\n" in printed
    assert again["reports"][0]["total"]["actual"] == {"USD": "0.0800082"}
    assert (again["posthog"]["usd"], again["posthog"]["count"]) == ("0.0400041", 28)
    assert deliveries_of(open_ledger("sqlite:///costtrace-demo.db")).all() == []


def test_without_the_package_posthog_the_demo_says_so_and_goes_on(process: Process, tmp_path: Path) -> None:
    (tmp_path / "posthog.py").write_text("raise ImportError('not installed')\n")
    done = process("demo", PYTHONPATH=str(tmp_path))

    assert (done.returncode, done.stderr) == (0, "")
    assert "What PostHog holds\nNothing: the export needs pip install 'langchain-costtrace[posthog]'.\n" in done.stdout


@pytest.mark.parametrize(
    ("held", "ledger", "shown"),
    [
        ("0.5", "0.25", ("$ai_generation  2  0.5", "total  3  0.5", "this run added 0.25 USD to the ledger.")),
        ("0.5", None, ("$ai_generation  2  0.5", "total  3  0.5", "this run added no cost to the ledger.")),
        (None, None, ("$ai_generation  2  -", "total  3  -", "what this run added to the ledger, to the last digit.")),
    ],
)
def test_what_posthog_does_not_hold_is_not_passed_over_and_what_nobody_knows_is_no_zero(
    held: str | None, ledger: str | None, shown: tuple[str, ...]
) -> None:
    usd = None if held is None else Decimal(held)
    events = (Events(name="$ai_generation", count=2, usd=usd), Events(name="sms_outbound", count=1, usd=None))
    page = plain_text(posthog_blocks(Held(events=events, requests=2), None if ledger is None else Decimal(ledger)))

    for text in shown:
        assert text in re.sub(" {2,}", "  ", page)
    assert "Delivered in 2 requests; " in page


def test_no_page_and_no_export_of_the_demo_holds_a_number_or_a_text(process: Process, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/demo.db"
    printed = process("demo", "--ledger", url).stdout
    uuid = json.loads(process("demo", "--json", "--ledger", url).stdout)["message"]["message_uuid"]
    page = tmp_path / "page.html"
    commands = (
        ("message", uuid, "--turn"),
        ("message", uuid, "--turn", "--json"),
        ("message", uuid, "--turn", "--html", str(page)),
        ("tail", "--once", "-n", "100"),
        ("tail", "--once", "-n", "100", "--json"),
        ("report", "--by", "user,thread,message"),
    )
    texts = [printed, *(process(*words, "--ledger", url).stdout for words in commands), page.read_text()]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.glob("demo.db*") if path.is_file()]

    for text in texts:
        assert text
        for secret in SECRETS:
            assert secret not in text


def test_a_live_demo_asks_the_service_that_the_environment_names(process: Process) -> None:
    with OpenAIServer() as server:
        done = process("demo", "--live", "--json", OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=server.base_url)
        asked = [call.model for call in server.calls]

    shown = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    assert asked == ["gpt-4o-mini-2024-07-18"] * 6
    assert shown["reports"][0]["total"]["coverage"] == {"settled": 4, "calculated": 6, "pending": 0, "unpriced": 0}


def test_a_live_demo_that_is_refused_says_so_in_one_sentence(process: Process) -> None:
    with OpenAIServer() as server:
        server.script(Reply(status=401, text="Incorrect API key provided: sk-1."))
        done = process("demo", "--live", OPENAI_API_KEY="sk-1", OPENAI_BASE_URL=server.base_url)

    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(
        r"costtrace: OpenAI did not answer \(\w+\); check OPENAI_API_KEY and the network, or run `costtrace demo`\n",
        done.stderr,
    )


def test_the_demo_can_be_run_again_on_the_same_ledger(process: Process, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kept.db"
    runs = [json.loads(process("demo", "--json", "--ledger", url).stdout) for _ in range(2)]

    assert [run["reports"][0]["total"]["coverage"] for run in runs] == [
        {"settled": 4, "calculated": 10, "pending": 1, "unpriced": 1},
        {"settled": 8, "calculated": 20, "pending": 2, "unpriced": 2},
    ]
    assert runs[0]["message"]["message_uuid"] != runs[1]["message"]["message_uuid"]
    assert runs[0]["message"]["total"]["actual"] == runs[1]["message"]["total"]["actual"]
    assert runs[0]["next"][0].endswith(f"message {runs[0]['message']['message_uuid']} --turn --ledger {url}")


def test_the_demo_does_not_write_to_the_ledger_of_the_environment(process: Process, tmp_path: Path) -> None:
    mine = f"sqlite:///{tmp_path}/mine.db"

    assert process("demo", "--json", COSTTRACE_LEDGER=mine).returncode == 0

    assert not (tmp_path / "mine.db").exists()
    assert open_ledger("sqlite:///costtrace-demo.db").last_seq() > 12


def test_own_rates_price_what_the_list_does_not_know(process: Process, tmp_path: Path) -> None:
    rates = tmp_path / "rates.toml"
    rates.write_text('[[rate]]\nprovider = "openai"\nmodel = "harbor-tone-1"\ninput = 1\noutput = 2\n')

    total = json.loads(process("demo", "--json", "--rates", str(rates)).stdout)["reports"][1]["total"]

    assert total["coverage"] == {"settled": 4, "calculated": 11, "pending": 1, "unpriced": 0}


def test_the_demo_runs_as_a_module_and_says_so(tmp_path: Path) -> None:
    """Where the command is not on the PATH, what it tells to try next must still be something to copy."""
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "costtrace", "demo", "--json"]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=60, check=True
    )

    following = json.loads(done.stdout)["next"][0]
    assert (
        subprocess.run(shlex.split(following), capture_output=True, cwd=tmp_path, timeout=60, check=False).returncode
        == 0
    )


def test_on_a_terminal_the_demo_fits_its_width(on_terminal: OnTerminal) -> None:
    shown = on_terminal("demo", columns=80)

    assert shown.status == 0
    printed = shown.text[shown.text.index("12 model calls") : shown.text.index("Try next")]
    assert max(map(len, printed.splitlines())) <= 80
    assert "─────" in printed


@pytest.mark.skipif(importlib.util.find_spec("xllamacpp") is None, reason="the local model is not installed")
def test_a_real_model_counts_its_own_tokens_and_is_priced_by_own_rates(process: Process) -> None:
    first = process("demo", "--local-llm", "--ledger", "sqlite:///local.db")

    assert first.returncode == 0, first.stderr
    assert "unpriced: no price for model 'gemma-3-270m-q4_k_m' (provider 'openai')" in first.stdout
    lines = first.stdout.splitlines()
    begin, end = lines.index("[[rate]]"), lines.index("output = 0.40")
    Path("rates.toml").write_text("\n".join(lines[begin : end + 1]))
    words = shlex.split(lines[end + 1])
    second = process(*words[words.index("demo") :])

    assert second.returncode == 0, second.stderr
    assert "  2  " in second.stdout
    assert "  price list  what this machine costs us rates.toml, sha256 " in second.stdout
    assert "  coverage  2 calculated\n" in second.stdout
