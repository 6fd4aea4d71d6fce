"""``costtrace sms``: settlement and reconciliation as commands, against the stand-in."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from costtrace import Recorder, open_ledger
from costtrace.cli.page import Facts, Grid, Note
from costtrace.cli.pages.sms import reconciled_page, settled_line, settled_page
from costtrace.messages import Amounts
from costtrace.money import Money
from costtrace.sandbox.twilio import Fate, Fault, Tariff, TwilioServer
from costtrace.twilio.bill import Bill, FeesIncluded
from costtrace.twilio.entries import callback_entries
from costtrace.twilio.outcomes import SentMessage
from costtrace.twilio.reconciled import Reconciled
from costtrace.twilio.sender import SmsSender
from costtrace.twilio.settlement import Settled
from costtrace.twilio.webhooks import StatusCallback
from tests.cli.conftest import OnTerminal, Process, Run
from tests.sandbox.twilio_app import OURS, PHONE, sdk

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TwilioServer]:
    """An account whose credentials stand in the environment, and an empty ledger."""
    tariff = Tariff(sms_inbound="0.0075", carrier_fee="0.003")
    with TwilioServer(manual=True, tariff=tariff) as running:
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", running.account_sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", f"{running.auth_token},the-next-one")
        monkeypatch.setenv("COSTTRACE_TWILIO_BASE_URL", running.base_url)
        monkeypatch.setenv("COSTTRACE_LEDGER", f"sqlite:///{tmp_path}/costs.db")
        ledger = open_ledger(f"sqlite:///{tmp_path}/costs.db")
        ledger.health()
        ledger.close()
        yield running


def delivered(server: TwilioServer, tmp_path: Path, fate: Fate | None = None) -> SentMessage:
    """A message that went out and arrived, and the ledger was told so."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/costs.db")
    server.script(fate or Fate())
    with sdk(server) as client:
        sent = SmsSender(client, Recorder(ledger)).send(to=PHONE, from_=OURS, body="On its way.")
    server.advance(sent.sid, "sent", "delivered")
    told = StatusCallback(
        message_sid=sent.sid,
        account_sid=server.account_sid,
        status="delivered",
        message_uuid=sent.message_uuid,
        send_id=sent.send_id,
    )
    ledger.append(callback_entries(told, now=datetime.now(UTC)))
    ledger.close()
    return sent


def test_settle_prices_what_is_due_and_says_so(server: TwilioServer, run: Run, tmp_path: Path) -> None:
    sent = delivered(server, tmp_path)

    done = run("sms", "settle")

    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (
        "Prices of messages\n"
        "  waiting for a price  1\n"
        "  asked for now        1\n"
        "  priced               1, together 0.0083 USD\n"
    )
    assert run("sms", "settle").stdout == "Prices of messages\nNothing waits for a price.\n"
    total = open_ledger(f"sqlite:///{tmp_path}/costs.db").message(sent.message_uuid).total
    assert (total.actual.usd, total.complete) == (Decimal("0.0083"), True)


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run("sms")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "sms [OPTIONS] COMMAND" in done.stdout.splitlines()[0]
    assert all(command in done.stdout for command in ("settle", "reconcile"))


def test_settle_as_json(server: TwilioServer, process: Process, tmp_path: Path) -> None:
    delivered(server, tmp_path)
    done = process("sms", "settle", "--json", "--limit", "5")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["priced"], shown["amount"]) == (0, 1, {"USD": "0.0083"})


def test_settle_without_an_answer_says_so_and_ends_with_1(server: TwilioServer, run: Run, tmp_path: Path) -> None:
    sent = delivered(server, tmp_path)
    server.fail(Fault(on="fetch", status=503))
    done = run("sms", "settle")
    assert done.exit_code == 1
    assert f"{sent.sid}: Twilio failed (503, code 20503)\n" in done.stdout


def test_refused_credentials_are_one_sentence_without_the_token(
    server: TwilioServer, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(server, tmp_path)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "not-the-token")
    for command in ("settle", "reconcile"):
        done = run("sms", command)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == (
            "costtrace: Twilio refuses these credentials (401, code 20003): check TWILIO_ACCOUNT_SID and"
            " TWILIO_AUTH_TOKEN, and that the account is active\n"
        )


@pytest.mark.parametrize("missing", ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"])
@pytest.mark.parametrize("command", ["settle", "reconcile"])
def test_missing_credentials_are_named(
    server: TwilioServer, run: Run, monkeypatch: pytest.MonkeyPatch, command: str, missing: str
) -> None:
    monkeypatch.delenv(missing)
    done = run("sms", command)
    assert (done.exit_code, server.calls) == (2, [])
    assert done.stderr.startswith(f"costtrace: {missing} is not set; ")


@pytest.mark.parametrize("address", ["nonsense", "ftp://127.0.0.1", "http://"])
def test_an_address_of_twilio_that_is_none_is_named(
    run: Run, tmp_path: Path, server: TwilioServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    delivered(server, tmp_path)
    monkeypatch.setenv("COSTTRACE_TWILIO_BASE_URL", address)
    done = run("sms", "settle")
    assert done.exit_code == 2
    assert done.stderr == (
        f"costtrace: COSTTRACE_TWILIO_BASE_URL: expected an address such as http://127.0.0.1:8080, got {address!r}\n"
    )


@pytest.mark.parametrize("command", ["settle", "reconcile"])
def test_a_ledger_that_is_not_there_is_not_made(server: TwilioServer, run: Run, tmp_path: Path, command: str) -> None:
    done = run("sms", command, "--ledger", f"sqlite:///{tmp_path}/none.db")
    assert (done.exit_code, server.calls) == (2, [])
    assert "there is no ledger at" in done.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["settle", "--limit", "0"], "'--limit'"), (["reconcile", "--days", "0"], "'--days'"), (["settl"], "settl")],
)
def test_what_cannot_be_right_is_refused(server: TwilioServer, run: Run, words: list[str], sentence: str) -> None:
    done = run("sms", *words)
    assert (done.exit_code, server.calls) == (2, [])
    assert sentence in done.stderr


def test_a_hash_key_too_short_is_refused(server: TwilioServer, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSTTRACE_HASH_KEY", "short")
    done = run("sms", "reconcile")
    assert (done.exit_code, done.stderr) == (2, "costtrace: COSTTRACE_HASH_KEY: expected at least 16 random bytes\n")
    assert server.calls == []


def test_watch_asks_until_it_is_ended(server: TwilioServer, tmp_path: Path) -> None:
    """The price comes with the second question, half a minute later by the plan; so it is ended before."""
    delivered(server, tmp_path)
    delivered(server, tmp_path, Fate(null_reads=None))
    command = [sys.executable, "-m", "costtrace", "sms", "settle", "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        line = watching.stdout.readline()
        time.sleep(0.3)
        watching.send_signal(signal.SIGTERM)
        rest, errors = watching.communicate(timeout=30)
    assert line == "asked 2: priced 1, together 0.0083 USD, no price yet 1\n"
    assert (watching.returncode, rest, errors) == (0, "", "")


def test_reconcile_shows_what_was_lost_and_the_bill(server: TwilioServer, run: Run, tmp_path: Path) -> None:
    delivered(server, tmp_path)
    first = run("sms", "reconcile")
    today = f"{datetime.now(UTC):%Y-%m-%d}"

    assert (first.exit_code, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0].startswith("Twilio's list, from ")
    assert lines[1:3] == ["  messages in Twilio's list   1", "  prices that were not known  1"]
    assert "Beside Twilio's bill" in lines
    table = [line.split() for line in lines if today in line][1:]
    assert table[0] == [today, "sms-messages-carrierfees", "-", "-", "0.003", "USD", "-"]
    assert table[1] == [today, "sms-outbound", "1", "0.0083", "USD", "0.0083", "USD", "none"]
    assert lines[-1] == (
        "The prices of messages do not hold the carriers' fees: they add up to the bill without its fees, exactly."
        " The fees come on top."
    )
    again = json.loads(run("sms", "reconcile", "--days", "1", "--json").stdout)
    assert (again["listed"], again["priced"], again["fees_included"]) == (1, 0, "no")


def test_reconcile_of_an_account_without_messages(server: TwilioServer, run: Run) -> None:
    lines = run("sms", "reconcile").stdout.splitlines()
    assert lines[1:] == ["It holds no message."]
    assert len(server.calls) > 1


def test_on_a_terminal_the_pages_are_set(server: TwilioServer, on_terminal: OnTerminal, tmp_path: Path) -> None:
    delivered(server, tmp_path)
    shown = on_terminal("sms", "settle", columns=100)
    assert shown.status == 0
    assert "together 0.0083 USD" in shown.text


def test_every_end_of_a_settlement_has_its_words() -> None:
    settled = Settled(
        looked_at=9,
        asked=6,
        priced=1,
        not_billable=1,
        waiting=1,
        unavailable=1,
        failed=2,
        unidentified=3,
        amount=Amounts({"EUR": Decimal("0.07"), "USD": Decimal("0.0083")}),
        next_due=NOON,
        problems=("SM1: Twilio failed (500)",),
    )
    _, facts, problem = settled_page(settled)
    assert isinstance(facts, Facts)
    assert [(label, cell.text) for label, cell in facts.rows] == [
        ("waiting for a price", "9"),
        ("asked for now", "6"),
        ("priced", "1, together 0.07 EUR + 0.0083 USD"),
        ("not billed", "1"),
        ("no price yet", "1"),
        ("given up", "1, which stay unpriced"),
        ("no answer", "2"),
        ("outcome unknown", "3; `costtrace sms reconcile` looks for them"),
        ("next question", "2026-11-22 12:00:00 UTC"),
    ]
    assert problem == Note("SM1: Twilio failed (500)", "bad")
    assert settled_line(settled) == (
        "asked 6: priced 1, together 0.07 EUR + 0.0083 USD, not billed 1, no price yet 1, given up 1, which stay"
        " unpriced, no answer 2, outcome unknown 3; `costtrace sms reconcile` looks for them, SM1: Twilio failed (500)"
    )


def test_drift_and_missing_prices_stand_in_the_table() -> None:
    bill = Bill()
    bill.record("sms", NOON.date(), Money("0.0083"), inbound=False)
    bill.bill("sms-outbound", NOON.date(), Money("0.0093"))
    bill.record("sms", NOON.date(), None, inbound=True)
    found = Reconciled(since=NOON, until=NOON, listed=2, lines=bill.lines)
    grid = next(block for block in reconciled_page(found) if isinstance(block, Grid))
    assert [[cell.text for cell in row] for row in grid.rows] == [
        ["2026-11-22", "sms-inbound", "1", "1 unpriced", "-", "-"],
        ["2026-11-22", "sms-outbound", "1", "0.0083 USD", "0.0093 USD", "-0.001 USD"],
    ]


@pytest.mark.parametrize(
    ("verdict", "words"), [(FeesIncluded.YES, "hold the carriers' fees"), (FeesIncluded.UNKNOWN, "cannot be told")]
)
def test_each_verdict_has_its_sentence(verdict: FeesIncluded, words: str) -> None:
    page = reconciled_page(Reconciled(since=NOON, until=NOON, listed=1, fees_included=verdict))
    assert isinstance(page[-1], Note)
    assert words in page[-1].text


def test_a_list_that_was_cut_short_is_not_compared() -> None:
    page = reconciled_page(Reconciled(since=NOON, until=NOON, listed=1, truncated=True))
    assert page[-1] == Note("The list was cut short, so it cannot be compared.", "warn")
