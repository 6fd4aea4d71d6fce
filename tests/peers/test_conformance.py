"""What a peer must do as DynamoDB does before a test of ours means anything on it.

MiniStack has to pass everything. What moto fails is written down here, so that nobody trusts it with that by mistake.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.peers.emulator import Account, Emulator
from tests.peers.fault_proxy import Fault, FaultProxy

Probe = Callable[["Table"], None]


class Table:
    """A table with string keys and an index, in an account of its own."""

    def __init__(self, account: Account) -> None:
        self.client = account.client()
        self.name = f"probe-{uuid.uuid4().hex[:8]}"
        text = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "feed")]
        self.client.create_table(
            TableName=self.name,
            AttributeDefinitions=[*text, {"AttributeName": "seq", "AttributeType": "N"}],
            KeySchema=_keys("pk", "sk"),
            GlobalSecondaryIndexes=[
                {"IndexName": "FeedIndex", "KeySchema": _keys("feed", "seq"), "Projection": {"ProjectionType": "ALL"}}
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.client.get_waiter("table_exists").wait(TableName=self.name, WaiterConfig={"Delay": 1})

    def put(self, **item: Any) -> Any:
        """Put an item that must not be there yet."""
        return self.client.put_item(
            TableName=self.name,
            Item=item,
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ReturnConsumedCapacity="TOTAL",
        )

    def refused(self, **item: Any) -> str:
        """The code with which an item is refused."""
        with pytest.raises(ClientError) as refusal:
            self.put(**item)
        code: str = refusal.value.response["Error"]["Code"]
        return code


def _keys(first: str, second: str) -> list[dict[str, str]]:
    return [{"AttributeName": first, "KeyType": "HASH"}, {"AttributeName": second, "KeyType": "RANGE"}]


def key(sk: str, pk: str = "m#1") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def put_if_absent_answers_with_what_is_there(table: Table) -> None:
    table.put(**key("a"), cost={"N": "1"})
    with pytest.raises(ClientError) as refusal:
        table.put(**key("a"), cost={"N": "2"})
    answer: Any = refusal.value.response
    assert answer["Error"]["Code"] == "ConditionalCheckFailedException"
    assert answer["Item"] == {**key("a"), "cost": {"N": "1"}}


def one_of_twelve_who_race_wins(table: Table) -> None:
    def race(number: int, worker: int, barrier: threading.Barrier) -> int:
        barrier.wait(timeout=30)
        try:
            table.put(**key(f"run-{number}"), worker={"N": str(worker)})
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return 0
        return 1

    with ThreadPoolExecutor(12) as pool:
        for number in range(40):
            barrier = threading.Barrier(12)
            assert sum(pool.map(lambda w, n=number, b=barrier: race(n, w, b), range(12))) == 1


def numbers_hold_38_digits_and_not_39(table: Table) -> None:
    table.put(**key("38"), cost={"N": "0." + "1" * 38})
    assert table.refused(**key("39"), cost={"N": "0." + "1" * 39}) == "ValidationException"
    assert table.refused(**key("big"), cost={"N": "1E126"}) == "ValidationException"
    found = table.client.get_item(TableName=table.name, Key=key("38"), ConsistentRead=True)["Item"]
    assert found["cost"] == {"N": "0." + "1" * 38}


def reads_of_a_partition_are_consistent_in_order_and_in_pages(table: Table) -> None:
    for number in range(5):
        table.put(**key(f"{number}"), body={"S": "x" * 300_000})
    asked = {
        "TableName": table.name,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": "m#1"}},
        "ConsistentRead": True,
    }
    first = table.client.query(**asked)
    assert 0 < len(first["Items"]) < 5  # a page is one megabyte
    second = table.client.query(**asked, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [item["sk"]["S"] for item in first["Items"] + second["Items"]] == ["0", "1", "2", "3", "4"]


def the_index_is_read_by_number_and_not_consistently(table: Table) -> None:
    for number, seq in enumerate(["100", "20", "3"]):
        table.put(**key(f"{number}"), feed={"S": "day#0"}, seq={"N": seq})
    table.put(**key("outside"))
    asked = {
        "TableName": table.name,
        "IndexName": "FeedIndex",
        "KeyConditionExpression": "feed = :feed AND seq > :after",
        "ExpressionAttributeValues": {":feed": {"S": "day#0"}, ":after": {"N": "3"}},
    }
    assert [item["seq"]["N"] for item in table.client.query(**asked)["Items"]] == ["20", "100"]
    last = table.client.query(**asked, ScanIndexForward=False, Limit=1)["Items"]
    assert [item["seq"]["N"] for item in last] == ["100"]
    with pytest.raises(ClientError, match="ValidationException"):
        table.client.query(**asked, ConsistentRead=True)


def what_is_written_has_its_documented_price(table: Table) -> None:
    small = table.put(**key("a"), feed={"S": "day#0"}, seq={"N": "1"})
    assert small["ConsumedCapacity"]["CapacityUnits"] == 2  # the table and the index
    large = table.put(**key("b"), body={"S": "x" * 1500})
    assert large["ConsumedCapacity"]["CapacityUnits"] == 2  # two kilobytes, not in the index


def an_item_of_399_kilobytes_is_legal_and_one_of_401_is_not(table: Table) -> None:
    table.put(**key("399"), body={"S": "x" * (399 * 1024)})
    assert table.refused(**key("401"), body={"S": "x" * (401 * 1024)}) == "ValidationException"


def an_empty_key_is_refused(table: Table) -> None:
    assert table.refused(**key("")) == "ValidationException"
    assert table.refused(**key("a"), feed={"S": ""}, seq={"N": "1"}) == "ValidationException"


def deleting_again_changes_nothing(table: Table) -> None:
    table.put(**key("a"))
    for _ in range(2):
        table.client.delete_item(TableName=table.name, Key=key("a"))
    assert "Item" not in table.client.get_item(TableName=table.name, Key=key("a"), ConsistentRead=True)


PROBES: list[Probe] = [
    put_if_absent_answers_with_what_is_there,
    one_of_twelve_who_race_wins,
    numbers_hold_38_digits_and_not_39,
    reads_of_a_partition_are_consistent_in_order_and_in_pages,
    the_index_is_read_by_number_and_not_consistently,
    what_is_written_has_its_documented_price,
    an_item_of_399_kilobytes_is_legal_and_one_of_401_is_not,
    an_empty_key_is_refused,
    deleting_again_changes_nothing,
]
MOTO_FAILS = {
    numbers_hold_38_digits_and_not_39: "accepts numbers of 39 digits",
    what_is_written_has_its_documented_price: "counts neither size nor index",
    an_item_of_399_kilobytes_is_legal_and_one_of_401_is_not: "refuses a legal item of 399 KiB",
}
MOTO_UNSURE = {one_of_twelve_who_race_wins: "checks and then writes, without a lock: now and then two win"}


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_ministack(aws: Account, probe: Probe) -> None:
    probe(Table(aws))


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_moto(moto_emulator: Emulator, probe: Probe) -> None:
    """What fails here is known to; if it ever passes, moto has become better and this list is to be shortened."""
    if probe in MOTO_UNSURE:
        pytest.skip(f"moto {MOTO_UNSURE[probe]}")
    table = Table(moto_emulator.account())
    if probe in MOTO_FAILS:
        with pytest.raises((AssertionError, ClientError, pytest.fail.Exception)):
            probe(table)
    else:
        probe(table)


def test_ministack_keeps_regions_and_accounts_apart(aws: Account, aws_emulator: Emulator) -> None:
    table = Table(aws)
    others = (
        Account(endpoint=aws.endpoint, access_key_id=aws.access_key_id, region="us-west-2"),
        aws_emulator.account(),
    )
    for other in others:
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            other.client().describe_table(TableName=table.name)


class TestFaultProxy:
    """The relay is a part of the proof as well."""

    def test_relays_and_remembers(self, aws: Account, fault_proxy: FaultProxy) -> None:
        client = aws.client(endpoint=fault_proxy.endpoint)
        assert client.list_tables()["TableNames"] == []
        assert fault_proxy.seen == ["ListTables"]
        assert fault_proxy.bodies == [{}]

    @pytest.mark.parametrize(
        ("fault", "code"),
        [
            (Fault.THROTTLE, "ProvisionedThroughputExceededException"),
            (Fault.BUSY, "ThrottlingException"),
            (Fault.ERROR, "InternalServerError"),
        ],
    )
    def test_refuses_as_the_service_does(self, aws: Account, fault_proxy: FaultProxy, fault: Fault, code: str) -> None:
        client = aws.client(endpoint=fault_proxy.endpoint)
        fault_proxy.script(fault)
        with pytest.raises(ClientError, match=code):
            client.list_tables()
        assert client.list_tables()["TableNames"] == []

    @pytest.mark.parametrize(("fault", "stored"), [(Fault.DROP_BEFORE, False), (Fault.DROP_AFTER, True)])
    def test_drops_before_or_after_the_service_did_it(
        self, aws: Account, fault_proxy: FaultProxy, fault: Fault, *, stored: bool
    ) -> None:
        table = Table(aws)
        client = aws.client(endpoint=fault_proxy.endpoint)
        fault_proxy.script(fault)
        with pytest.raises(Exception, match=r"Connection was closed|Could not connect"):
            client.put_item(TableName=table.name, Item=key("a"))
        found = table.client.get_item(TableName=table.name, Key=key("a"), ConsistentRead=True)
        assert ("Item" in found) is stored

    def test_leaves_batches_undone_and_queries_empty(self, aws: Account, fault_proxy: FaultProxy) -> None:
        table = Table(aws)
        table.put(**key("a"))
        client = aws.client(endpoint=fault_proxy.endpoint)
        fault_proxy.script(Fault.UNPROCESSED, Fault.EMPTY)
        batch = {table.name: [{"PutRequest": {"Item": key("b")}}]}
        assert client.batch_write_item(RequestItems=batch)["UnprocessedItems"] == batch
        asked = {"KeyConditionExpression": "pk = :pk", "ExpressionAttributeValues": {":pk": {"S": "m#1"}}}
        assert client.query(TableName=table.name, **asked)["Items"] == []
        assert len(client.query(TableName=table.name, **asked)["Items"]) == 1
