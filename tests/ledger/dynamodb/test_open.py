"""Opening a ledger in DynamoDB: addresses, one client for each process, forked children, and what is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from costtrace import Recorder, open_ledger
from costtrace.errors import ConfigurationError
from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.address import DynamoDBAddress
from costtrace.ledger.dynamodb.client import dynamodb_client
from costtrace.ledger.dynamodb.tables import create_tables
from tests.factories import MESSAGE, make_entry
from tests.ledger.dynamodb.conftest import Store
from tests.ledger.processes import ROOT, TIMEOUT_S
from tests.peers.emulator import Account
from tests.peers.fault_proxy import Fault, FaultProxy


class TestAddress:
    def test_says_what_is_where_and_leaves_out_what_boto3_knows(self) -> None:
        assert DynamoDBAddress.of("dynamodb://") == DynamoDBAddress(
            region=None, ledger="costtrace-ledger", messages="chat-messages", endpoint=None
        )
        url = "dynamodb://?region=eu-central-1&ledger=l1&messages=m1&endpoint=http://127.0.0.1:4566"
        assert DynamoDBAddress.of(url) == DynamoDBAddress(
            region="eu-central-1", ledger="l1", messages="m1", endpoint="http://127.0.0.1:4566"
        )

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("dynamodb://?tabel=x", "'tabel' is none of region, ledger, messages, endpoint"),
            ("dynamodb://?ledger=", "'ledger' has no value"),
            ("dynamodb://?ledger=a&ledger=b", "'ledger' is there twice"),
            ("dynamodb://?endpoint=127.0.0.1:4566", "'endpoint' is not an address such as 'http://127.0.0.1:4566'"),
            ("dynamodb://eu-central-1/ledger", "is not known; use 'dynamodb://"),
            ("dynamodb:ledger", "is not known; use 'dynamodb://"),
        ],
    )
    def test_that_cannot_be_read_is_refused(self, url: str, reason: str) -> None:
        with pytest.raises(ConfigurationError, match=reason):
            open_ledger(url)

    @pytest.mark.parametrize(
        "url",
        [
            "dynamodb://AKIAIOSFODNN7EXAMPLE:hidden@eu-central-1/ledger",
            "dynamodb://?secret_key=hidden",
            "dynamodb://?endpoint=http://user:hidden@127.0.0.1:4566",
            "postgresql://user:hidden@db/costs",
        ],
    )
    def test_that_cannot_be_read_is_refused_without_the_secrets_in_it(self, url: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            open_ledger(url)
        assert "hidden" not in str(refusal.value)


def test_an_address_opens_a_ledger_that_works(aws_environment: Account) -> None:
    ledger = open_ledger("dynamodb://?region=eu-central-1&ledger=mine")
    assert isinstance(ledger, DynamoDBLedger)
    assert ledger.name == "dynamodb://eu-central-1/mine"
    create_tables(aws_environment.client(), ledger="mine", messages=None)
    create_tables(aws_environment.client(), ledger="mine", messages=None)  # again, which changes nothing
    ledger.append([make_entry()])
    assert open_ledger(f"dynamodb://?endpoint={aws_environment.endpoint}&ledger=mine").message(MESSAGE).entries == (
        make_entry(),
    )


@pytest.mark.usefixtures("aws_environment")
def test_there_is_one_client_for_each_region_and_endpoint_and_its_patience_is_ours() -> None:
    client = dynamodb_client("eu-west-3")
    assert dynamodb_client("eu-west-3") is client
    assert dynamodb_client("eu-west-2") is not client
    config: Any = client.meta.config
    assert (config.retries, config.connect_timeout, config.read_timeout) == (
        {"mode": "standard", "total_max_attempts": 1},
        1,
        2,
    )


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=False,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_nobody_else_loads_boto3() -> None:
    code = """
        import sys
        from costtrace import open_ledger
        from costtrace.exporters.ledgers import LedgerExporter
        open_ledger("sqlite:///costs.db")
        print(sorted({name.partition(".")[0] for name in sys.modules} & {"boto3", "botocore"}))
    """
    assert run(code) == "[]"


def test_without_boto3_the_extra_is_named() -> None:
    code = """
        import sys
        sys.modules["boto3"] = sys.modules["botocore"] = None
        from costtrace import open_ledger
        from costtrace.errors import MissingExtra
        try:
            open_ledger("dynamodb://?region=eu-central-1")
        except MissingExtra as error:
            print(error)
    """
    said = "a ledger in DynamoDB needs the package 'boto3': pip install 'langchain-costtrace[dynamodb]'"
    assert run(code) == said


class TestFork:
    def test_gives_the_child_connections_and_numbers_of_its_own(self, aws_environment: Account) -> None:
        """Parent and child write at once, and each reads what both wrote."""
        create_tables(aws_environment.client(), messages=None)
        code = """
            import os
            from costtrace import open_ledger
            from tests.factories import MESSAGE, make_entry
            ledger = open_ledger("dynamodb://")
            ledger.append([make_entry(0)])
            child = os.fork()
            start = 1 if child else 100
            for number in range(start, start + 20):
                ledger.spool(make_entry(number))
            ledger.append(make_entry(number, message_uuid=f"m{number}") for number in range(start, start + 9))
            if child == 0:
                ledger.close()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
            sequence = [seq for seq, _ in ledger.entries()]
            assert len(sequence) == len(set(sequence)) == 59, len(sequence)
            print(len(ledger.message(MESSAGE).entries))
        """
        assert run(code, **aws_environment.environment) == "41"

    def test_leaves_what_waits_in_memory_to_the_parent(self, store: Store, fault_proxy: FaultProxy) -> None:
        ledger = store.ledger(fault_proxy.endpoint)
        fault_proxy.script(*[Fault.ERROR] * 4)
        with ledger.scope():
            ledger.spool(make_entry(1))
        with ledger.scope():
            ledger.spool(make_entry(2))
            ledger.after_fork()
        assert ledger.health().problem is None
        ledger.flush()
        assert store.rows(f"m#{MESSAGE}") == []

    def test_of_a_client_that_the_caller_made_opens_connections_anew(self, store: Store) -> None:
        ledger = store.ledger()
        ledger.spool(make_entry(1))
        ledger.after_fork()
        ledger.spool(make_entry(2))
        assert len(store.rows(f"m#{MESSAGE}")) == 2


def test_what_waits_at_the_end_of_the_process_is_written_then(aws_environment: Account) -> None:
    create_tables(aws_environment.client(), messages=None)
    code = """
        from costtrace import open_ledger
        from tests.factories import make_entry
        ledger = open_ledger("dynamodb://")
        with ledger.scope(lambda: 0.0):
            for number in range(3):
                ledger.spool(make_entry(number, message_uuid=f"m{number}"))
        print(ledger.health().problem)
    """
    assert "3 entries wait in memory" in run(code, **aws_environment.environment)
    assert len(list(open_ledger("dynamodb://?region=eu-central-1&ledger=costtrace-ledger").entries())) == 3


def test_a_recorder_needs_nothing_but_the_address(aws_environment: Account) -> None:
    create_tables(aws_environment.client(), messages=None)
    recorder = Recorder(open_ledger(f"dynamodb://?endpoint={aws_environment.endpoint}"))
    recorder.record(make_entry())
    assert recorder.flush().problem is None
    recorder.close()
