"""Runs of tools carry no money: copies of a ledger hold them, and what tells of money leaves them out."""

from pathlib import Path
from typing import Any

from costtrace.entry import Entry
from costtrace.exporters.focus.charges import charges
from costtrace.exporters.jsonl import JsonlExporter, jsonl_files, read_jsonl
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.exporters.posthog.events import EventMapper
from costtrace.ledger import Ledger, SqliteLedger
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from tests.factories import MESSAGE, make_entry
from tests.peers.emulator import Account

NOTHING_BOUGHT: Any = {"usage": None, "quote": None, "cost": None, "provider": None, "model": None}


def tool_run() -> Entry:
    return make_entry(
        kind="tool-run",
        entry_id="tool-run/run-1/1",
        requested_model=None,
        details={"tool": "search", "tool_call_id": "call_1"},
        **NOTHING_BOUGHT,
    )


def check_copy(ledger: Ledger) -> None:
    exporter = LedgerExporter(ledger)
    assert list(exporter.export([make_entry(2), tool_run()])) == []
    assert {entry.entry_id for entry in ledger.message(MESSAGE).entries} == {"llm/run-2/2", "tool-run/run-1/1"}
    assert tool_run() in ledger.message(MESSAGE).entries
    assert str(ledger.message(MESSAGE).total.actual) == "0.003125 USD"
    assert ledger.message(MESSAGE).total.complete
    exporter.close()


def test_a_copy_in_sqlite_holds_it(tmp_path: Path) -> None:
    check_copy(SqliteLedger(tmp_path / "copy.db"))


def test_a_copy_in_dynamodb_holds_it(aws: Account) -> None:
    create_tables(aws.client(), messages=None)
    check_copy(DynamoDBLedger(aws.client()))


def test_a_file_of_json_lines_holds_it(tmp_path: Path) -> None:
    exporter = JsonlExporter(tmp_path / "entries.jsonl")
    assert list(exporter.export([tool_run()])) == []
    exporter.close()
    assert list(read_jsonl(jsonl_files(tmp_path / "entries.jsonl"))) == [tool_run()]


def test_posthog_hears_nothing_of_it() -> None:
    assert EventMapper().events([tool_run()]) == []


def test_it_is_no_charge() -> None:
    assert list(charges(tool_run(), {})) == []
