"""A ledger as a place to deliver to: what it takes, what it can never take, and what its troubles mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from costtrace.errors import ExporterStopped, ExporterUnavailable
from costtrace.exporters import Fate, Refusal
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.ledger import SqliteLedger
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.tables import create_tables
from tests.factories import MESSAGE, make_costs, make_entry
from tests.peers.emulator import Account
from tests.peers.fault_proxy import Fault, FaultProxy


def test_it_is_known_by_the_name_of_its_ledger(tmp_path: Path, aws: Account) -> None:
    assert LedgerExporter(SqliteLedger(tmp_path / "copy.db")).name == f"{tmp_path}/copy.db"
    assert LedgerExporter(DynamoDBLedger(aws.client())).name == "dynamodb://eu-central-1/costtrace-ledger"


def test_what_is_there_already_is_acknowledged_and_changes_nothing(aws: Account) -> None:
    create_tables(aws.client(), messages=None)
    exporter = LedgerExporter(ledger := DynamoDBLedger(aws.client()))
    assert list(exporter.export([make_costs("1", number=1)])) == []
    assert list(exporter.export([make_costs("2", number=1), make_costs("3", number=2)])) == []
    assert str(ledger.message(MESSAGE).total.actual) == "4 USD"
    exporter.close()


def test_what_it_can_never_hold_is_dead_and_the_others_are_stored(aws: Account) -> None:
    create_tables(aws.client(), messages=None)
    exporter = LedgerExporter(ledger := DynamoDBLedger(aws.client()))
    too_fine = make_costs("1." + "1" * 38, number=2)
    refusals = exporter.export([make_entry(1), too_fine, make_entry(3)])
    assert list(refusals) == [
        Refusal(
            entry_id=too_fine.entry_id,
            fate=Fate.DEAD,
            reason="entry.cost: expected at most 38 digits, which is what DynamoDB holds exactly",
        )
    ]
    assert ledger.message(MESSAGE).entries == (make_entry(1), make_entry(3))
    exporter.close()


def test_an_outage_acknowledges_nothing_and_delivering_again_completes_it(
    aws: Account, fault_proxy: FaultProxy
) -> None:
    create_tables(aws.client(), messages=None)
    exporter = LedgerExporter(ledger := DynamoDBLedger(aws.client(endpoint=fault_proxy.endpoint)))
    batch = [make_entry(number) for number in range(1, 6)]
    fault_proxy.script(Fault.PASS, Fault.PASS, Fault.DROP_AFTER)
    with pytest.raises(ExporterUnavailable, match="no answer"):
        exporter.export(batch)
    assert list(exporter.export(batch)) == []
    assert ledger.message(MESSAGE).entries == tuple(batch)
    exporter.close()


def test_a_table_that_is_missing_stops_it_until_somebody_made_it(aws: Account) -> None:
    exporter = LedgerExporter(DynamoDBLedger(aws.client()))
    with pytest.raises(ExporterStopped, match="there is no such table"):
        exporter.export([make_entry()])
    create_tables(aws.client(), messages=None)
    assert list(exporter.export([make_entry()])) == []
    exporter.close()
