"""``costtrace import chat-messages``: an existing table's costs in the ledger, and what the command says of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from costtrace import open_ledger
from costtrace.chat.imports import LIVE, Imported
from costtrace.cli.page import Facts, Note, Section, Title
from costtrace.cli.pages.imports import imported_page
from tests.chat.conftest import TABLE, make_table
from tests.cli.conftest import OnTerminal, Process, Run
from tests.peers.emulator import Account
from tests.peers.fault_proxy import FaultProxy
from tests.peers.fixtures import *  # noqa: F403 - fixtures

GPT = {"M": {"model": {"S": "gpt-4o"}, "inputTokens": {"N": "450"}, "costUsd": {"N": "0.003125"}}}
SMS = {"M": {"messageSid": {"S": "SM" + "a" * 32}, "price": {"S": "-0.00750"}, "priceUnit": {"S": "USD"}}}
PHONE = "+14155550100"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/costs.db"


@pytest.fixture
def endpoint(fault_proxy: FaultProxy) -> str:
    """An address of this test alone: a process has one client for each address."""
    return fault_proxy.endpoint


@pytest.fixture
def import_(run: Run, endpoint: str) -> Run:
    """The command, in this process."""

    def import_(*words: str) -> Result:
        return run("import", "chat-messages", "--endpoint", endpoint, *words)

    return import_


@pytest.fixture
def table(aws: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Three answers: one with both costs, one in a conversation named by a number, one whose price is none."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    client = aws.client()
    make_table(client)
    rows: list[tuple[str, dict[str, Any]]] = [
        ("t1", {"gpt": GPT, "twilio": SMS}),
        (PHONE, {"gpt": GPT}),
        ("t3", {"twilio": {"M": {**SMS["M"], "messageSid": {"S": "SM" + "b" * 32}, "price": {"S": "free"}}}}),
    ]
    for number, (thread, costs) in enumerate(rows):
        key = {"threadId": {"S": thread}, "timestamp": {"S": f"2026-01-20T09:30:0{number}"}}
        client.put_item(TableName=TABLE, Item={**key, "messageId": {"S": f"m{number}"}, "costs": {"M": costs}})
    yield client
    client.close()


@pytest.mark.usefixtures("table")
def test_the_command_says_what_it_brought(import_: Run, url: str) -> None:
    done = import_("--ledger", url)
    assert (done.exit_code, done.stderr) == (1, "")
    assert done.stdout == (
        "Import of the table chat-messages\n"
        "  messages read  3\n"
        "  model calls    of 2 messages, together 0.00625 USD by the earlier system's own account\n"
        "  SMS            1\n"
        "  prices of SMS  1, together 0.0075 USD\n"
        "  not readable   1\n"
        "What the earlier system calculated is an estimate: nobody named it who sells it. It is pending, and never"
        " added to money that is known to be owed.\n"
        "\n"
        "What could not be read\n"
        "t3 2026-01-20T09:30:02: price: expected a decimal number as text, such as '-0.00750', got 'free'\n"
    )
    ledger = open_ledger(url)
    assert str(ledger.totals()[()].actual) == "0.0075 USD"
    assert str(ledger.totals()[()].pending) == "0.00625 USD"
    ledger.close()


@pytest.mark.usefixtures("table")
def test_again_as_json(import_: Run, url: str) -> None:
    import_("--ledger", url)
    again = json.loads(import_("--ledger", url, "--json").stdout)
    assert again == {
        "table": "chat-messages",
        "dry_run": False,
        "since": None,
        "rows": 3,
        "without_costs": 0,
        "llm": 0,
        "sms": 0,
        "prices": 0,
        "known": 3,
        "bad": 1,
        "skipped": {},
        "problems": again["problems"],
        "claimed": {},
        "charged": {},
    }


@pytest.mark.usefixtures("table")
def test_a_dry_run_makes_no_ledger(import_: Run, url: str, tmp_path: Path) -> None:
    done = import_("--dry-run", "--ledger", url, "--since", "2026-01-20T09:30:01")
    assert done.stdout.startswith(
        "What an import would bring of the table chat-messages, messages since 2026-01-20 09:30:01 UTC\n"
        "  messages read  2\n"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("table")
def test_numbers_of_conversations_become_hashes_where_there_is_a_key(
    import_: Run, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSTTRACE_HASH_KEY", "sixteen random bytes")
    done = import_("--ledger", url)
    ledger = open_ledger(url)
    assert len(str(ledger.message("m1").context.thread_id)) == 64
    assert PHONE not in done.stdout
    ledger.close()


def test_into_a_ledger_in_dynamodb(table: Any, import_: Run, endpoint: str) -> None:
    from costtrace.ledger.dynamodb.tables import create_tables  # noqa: PLC0415 - boto3, for this test alone

    create_tables(table, ledger="costtrace-ledger", messages=None)
    url = f"dynamodb://?endpoint={endpoint}"
    first = json.loads(import_("--ledger", url, "--json").stdout)
    again = json.loads(import_("--ledger", url, "--json").stdout)
    assert (first["llm"], first["sms"], first["prices"], first["known"]) == (2, 1, 1, 0)
    assert (again["llm"], again["sms"], again["prices"], again["known"]) == (0, 0, 0, 3)
    ledger = open_ledger(url)
    assert str(ledger.message("m0").total.actual) == "0.0075 USD"


@pytest.mark.usefixtures("table")
def test_a_table_that_is_missing_is_named(import_: Run, url: str) -> None:
    done = import_("--table", "no-such", "--ledger", url)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "costtrace: DynamoDB table 'no-such' in eu-central-1: there is no such table; check its name and the region\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--since", "soon"], "--since: expected a date"),
        (["--ledger", "nonsense"], "ledger address 'nonsense' is not known"),
    ],
)
@pytest.mark.usefixtures("table")
def test_what_cannot_be_right_is_refused(import_: Run, words: list[str], sentence: str) -> None:
    done = import_(*words)
    assert done.exit_code == 2
    assert sentence in done.stderr


@pytest.mark.usefixtures("table")
def test_a_pipe_gets_the_page_and_no_progress(process: Process, url: str) -> None:
    done = process("import", "chat-messages", "--ledger", url)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("Import of the table chat-messages\n")


@pytest.mark.usefixtures("table")
def test_on_a_terminal_the_page_is_set(on_terminal: OnTerminal, url: str) -> None:
    shown = on_terminal("import", "chat-messages", "--ledger", url, columns=100)
    assert shown.status == 1
    assert "of 2 messages, together 0.00625 USD" in shown.text


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    done = run("import")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "chat-messages" in done.stdout


def test_an_empty_table_says_so() -> None:
    page = imported_page(Imported(table="t", dry_run=False))
    assert page == [Title("Import of the table t"), Note("It holds no message.", "dim")]


def test_every_count_has_its_words() -> None:
    done = Imported(table="t", dry_run=False, rows=40, without_costs=3, known=2, bad=25, problems=["t1: x"])
    done.skipped[LIVE] = 4
    _, facts, section, problem = imported_page(done)
    assert isinstance(facts, Facts)
    assert [(label, cell.text) for label, cell in facts.rows] == [
        ("messages read", "40"),
        ("without costs", "3"),
        ("imported before", "2"),
        ("left out", "4: recorded live"),
        ("not readable", "25"),
    ]
    assert section == Section("What could not be read, the first 1 of 25", "bad")
    assert problem == Note("t1: x", "bad")
