"""The emulated AWS of the demo: its process, its clients, and what brings queues and streams to functions."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from costtrace import Recorder
from costtrace.aws.queues import Queue
from costtrace.errors import ConfigurationError, UnknownMessage
from costtrace.exporters.ledgers import LedgerExporter
from costtrace.sandbox.aws import AwsStack
from costtrace.sandbox.aws_emulator import AwsEmulator, find_python
from costtrace.sandbox.aws_feeds import Failed, QueueFeed, StreamFeed
from costtrace.sandbox.aws_line import PUBLIC, aws_line
from costtrace.testing import MemoryLedger
from tests.factories import make_entry
from tests.peers.emulator import peer_python

LIVING = """
import sys, time
from pathlib import Path
from costtrace.sandbox.aws_emulator import AwsEmulator
with AwsEmulator(Path(sys.argv[1])) as emulator:
    print(emulator.endpoint, flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def emulator() -> Iterator[AwsEmulator]:
    with AwsEmulator(peer_python()) as running:
        yield running


def is_open(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    with socket.socket() as asking:
        return asking.connect_ex((str(parts.hostname), parts.port or 0)) == 0


def test_nothing_of_the_real_aws_reaches_a_client(emulator: AwsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = "http://127.0.0.1:9"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_PROFILE": "company",
        "AWS_CONFIG_FILE": "/nowhere/config",
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_ENDPOINT_URL_DYNAMODB": nowhere,
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_CA_BUNDLE": "/nowhere/bundle",
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
    }.items():
        monkeypatch.setenv(name, value)

    client = emulator.client("dynamodb")

    assert isinstance(client.list_tables()["TableNames"], list)
    assert (client.meta.endpoint_url, client.meta.region_name) == (emulator.endpoint, "eu-central-1")
    known = client._request_signer._credentials
    assert (known.access_key, known.secret_key, known.token) == ("testing", "testing-secret", None)


def test_the_emulator_ends_with_its_block() -> None:
    with AwsEmulator(peer_python()) as running:
        assert is_open(running.endpoint)
    assert not is_open(running.endpoint)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_emulator_ends_with_its_parent_however_that_ends(how: signal.Signals) -> None:
    command = [sys.executable, "-c", LIVING, str(peer_python())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        endpoint = parent.stdout.readline().strip()
        assert is_open(endpoint)
        parent.send_signal(how)
        parent.wait(30)
        deadline = time.monotonic() + 10
        while is_open(endpoint) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_open(endpoint)


def test_a_python_without_ministack_is_told_in_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match=r"did not start: MiniStack ended with 1: .*No module named ministack"):
        AwsEmulator(Path(sys.executable)).__enter__()


def test_where_no_ministack_is_the_way_to_get_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(
        ConfigurationError, match=r"make demo-aws.*pip install ministack==1\.5\.33.*COSTTRACE_MINISTACK"
    ):
        find_python(None)
    with pytest.raises(ConfigurationError, match=re.escape("COSTTRACE_MINISTACK: expected the path of a Python")):
        find_python(str(tmp_path / "missing"))


def test_ministack_is_found_by_its_command_and_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (own := tmp_path / ".venv-peers" / "bin").mkdir(parents=True)
    (own / "python").touch()
    assert find_python(None) == own / "python"

    (installed := tmp_path / "tools" / "bin").mkdir(parents=True)
    for name in ("python", "ministack"):
        (installed / name).touch(mode=0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ministack").symlink_to(installed / "ministack")  # as pipx does it
    assert find_python(None) == installed / "python"
    assert find_python(str(own / "python")) == own / "python"


def test_what_a_function_fails_to_do_stays_in_the_queue_and_the_rest_is_done(emulator: AwsEmulator) -> None:
    sqs = emulator.client("sqs")
    url = sqs.create_queue(QueueName="feed", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    for number in range(3):
        Queue(url, sqs).put({"number": number})
    seen: list[int] = []

    def take(batch: dict[str, Any]) -> Mapping[str, Any]:
        numbers = {record["messageId"]: json.loads(record["body"])["number"] for record in batch["Records"]}
        seen.extend(numbers.values())
        failing = [key for key, number in numbers.items() if number == 1 and seen.count(1) == 1]
        return {"batchItemFailures": [{"itemIdentifier": key} for key in failing]}

    feed = QueueFeed(sqs, url, take)
    assert feed.run() == 1
    assert sorted(seen) == [0, 1, 2]
    deadline = time.monotonic() + 10
    while len(seen) < 4 and time.monotonic() < deadline:
        assert feed.run() == 0
        time.sleep(0.05)
    assert sorted(seen) == [0, 1, 1, 2]


def stream_of(emulator: AwsEmulator, table: str) -> tuple[Any, Any, str]:
    dynamodb = emulator.client("dynamodb")
    made = dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )
    return dynamodb, emulator.client("dynamodbstreams"), made["TableDescription"]["LatestStreamArn"]


def test_a_stream_is_brought_in_its_order_and_again_from_what_failed(emulator: AwsEmulator) -> None:
    dynamodb, streams, arn = stream_of(emulator, "failing-once")
    brought: list[list[str]] = []

    def take(batch: dict[str, Any]) -> Mapping[str, Any]:
        json.dumps(batch)  # an event is JSON
        keys = [record["dynamodb"]["Keys"]["pk"]["S"] for record in batch["Records"]]
        brought.append(keys)
        first = next(
            (r for r, key in zip(batch["Records"], keys, strict=True) if key == "2" and len(brought) == 1), None
        )
        failed = [] if first is None else [{"itemIdentifier": first["dynamodb"]["SequenceNumber"]}]
        return {"batchItemFailures": failed}

    feed = StreamFeed(streams, arn, take)
    feed.run()
    for key in "1234":
        dynamodb.put_item(TableName="failing-once", Item={"pk": {"S": key}, "b": {"B": b"\x00"}})
    feed.run()
    assert brought == [["1", "2", "3", "4"], ["2", "3", "4"]]
    dynamodb.put_item(TableName="failing-once", Item={"pk": {"S": "5"}})
    feed.run()
    feed.run()
    assert brought[2:] == [["5"]]
    assert feed.brought == 5


def test_a_record_that_always_fails_is_an_error(emulator: AwsEmulator) -> None:
    dynamodb, streams, arn = stream_of(emulator, "failing-always")
    dynamodb.put_item(TableName="failing-always", Item={"pk": {"S": "1"}})
    failing = StreamFeed(
        streams,
        arn,
        lambda batch: {"batchItemFailures": [{"itemIdentifier": batch["Records"][0]["dynamodb"]["SequenceNumber"]}]},
    )

    with pytest.raises(Failed, match="a record of the ledger's stream"):
        failing.run()


def test_every_entry_comes_out_of_the_stream_once_and_whole() -> None:
    copy = MemoryLedger()
    with AwsEmulator(peer_python()) as emulator:
        stack = AwsStack(emulator, exporters=lambda _: [LedgerExporter(copy)])
        entries = [make_entry(number) for number in range(1, 4)]
        stack.ledger.append(entries)
        stack.catch_up()

    assert [entry for _, entry in copy.entries()] == entries


def test_a_status_of_an_sms_that_nobody_knows_is_parked_and_holds_up_nothing() -> None:
    with AwsEmulator(peer_python()) as emulator:
        stack = AwsStack(emulator)
        with aws_line(stack, Recorder(stack.ledger), lambda _: "It arrives tomorrow.") as line:
            twilio = line._server
            form = {"MessageSid": "SM" + "0" * 32, "AccountSid": twilio.account_sid, "MessageStatus": "sent"}
            delivered = twilio.post(twilio.sign(f"{PUBLIC}/sms/callback", form))
            assert line.deliver(line.receive("Hello?")) == ["delivered", "sent", "delivered"]
            line.wait_for_prices()

        assert delivered.status == 204
        assert stack.ledger.find("sms/SM" + "0" * 32) is None
        # The question cost 0.0075 and the answer did; no model was asked.
        assert (stack.spent.messages, stack.ledger.totals()[()].actual.usd) == (2, Decimal("0.015"))
        queue = emulator.client("sqs")
        asked = {"AttributeNames": ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]}
        counts = queue.get_queue_attributes(QueueUrl=stack._urls["parked"], **asked)["Attributes"]
        assert sum(map(int, counts.values())) == 1


def test_what_the_agent_raises_ends_the_story() -> None:
    def refuse(_: object) -> str:
        raise PermissionError("no key")

    with AwsEmulator(peer_python()) as emulator:
        stack = AwsStack(emulator)
        with (
            pytest.raises(Failed, match="was not answered") as caught,
            aws_line(stack, Recorder(stack.ledger), refuse) as line,
        ):
            line.receive("Hello?")
        assert isinstance(caught.value.__cause__, PermissionError)
        with pytest.raises(UnknownMessage):
            stack.item("unknown")
