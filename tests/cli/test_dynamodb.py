"""Every command that reads a ledger reads one in DynamoDB as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from costtrace import open_ledger
from costtrace.ledger.dynamodb.tables import create_tables
from costtrace.sandbox.twilio import TwilioServer
from tests.cli.conftest import MESSAGE, Run
from tests.factories import make_entry
from tests.peers.emulator import Account
from tests.peers.fixtures import *  # noqa: F403 - fixtures
from tests.twilio.account import account

URL = "dynamodb://?ledger=mine"


@pytest.fixture
def table(aws_environment: Account) -> Iterator[str]:
    """The address of a table with one message of two calls."""
    create_tables(aws_environment.client(), ledger="mine", messages=None)
    ledger = open_ledger(URL)
    ledger.append([make_entry(1), make_entry(2)])
    yield URL
    ledger.close()


def test_message_report_and_tail(run: Run, table: str) -> None:
    message = json.loads(run("message", MESSAGE, "--json", "--ledger", table).stdout)
    assert (message["message_uuid"], message["total"]["actual"]) == (MESSAGE, {"USD": "0.00625"})
    report = run("report", "--by", "model", "--json", "--strict", "--ledger", table)
    assert report.exit_code == 0
    assert json.loads(report.stdout)["total"]["actual"] == {"USD": "0.00625"}
    lines = run("tail", "--once", "--json", "-n", "1", "--ledger", table).stdout.splitlines()
    assert [json.loads(line)["entry_id"] for line in lines] == [make_entry(2).entry_id]


def test_reprice_looks_and_writes(run: Run, table: str) -> None:
    open_ledger(table).append([replace(make_entry(3), cost=None, quote=None)])
    done = run("reprice", "--since", "2026-01-01", "--json", "--ledger", table)
    assert done.exit_code == 0, done.output


def test_sms_settle_asks_for_what_waits(run: Run, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with account(ledger := open_ledger(table)) as twilio:
        sent = twilio.send()
        twilio.deliver(sent)
        server: TwilioServer = twilio.server
        monkeypatch.setenv("TWILIO_ACCOUNT_SID", server.account_sid)
        monkeypatch.setenv("TWILIO_AUTH_TOKEN", server.auth_token)
        monkeypatch.setenv("COSTTRACE_TWILIO_BASE_URL", server.base_url)
        done = run("sms", "settle", "--json", "--ledger", table)
        assert json.loads(done.stdout)["looked_at"] == 1
        assert done.exit_code == 0
        assert ledger.message(sent.message_uuid).uuid == sent.message_uuid


def test_doctor_checks_it_without_counting(run: Run, table: str) -> None:
    checks = json.loads(run("doctor", "--json", "--ledger", table).stdout)["checks"]
    [ledger] = [check for check in checks if check["name"] == "ledger"]
    assert ledger["state"] == "ok"
    assert ledger["found"].startswith("uncounted entries at 'dynamodb://eu-central-1/mine', none waiting")
    assert [check["state"] for check in checks if check["name"] == "clock"] == ["ok"]
    assert not [check for check in checks if check["name"] == "disk"]


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize("words", [["message", MESSAGE], ["report"], ["tail", "--once"]])
def test_a_table_that_is_missing_is_one_sentence(run: Run, words: list[str]) -> None:
    done = run(*words, "--ledger", "dynamodb://?ledger=misspelt")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("costtrace: DynamoDB table 'misspelt' in eu-central-1: there is no such table")
    assert done.stderr.count("\n") == 1
