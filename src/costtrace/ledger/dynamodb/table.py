"""The ledger's table as few requests: put, put if absent, get, delete and query. They alone talk to DynamoDB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from costtrace.ledger.dynamodb.client import renewed
from costtrace.ledger.dynamodb.faults import CONDITION_FAILED, as_ledger_errors, error_code
from costtrace.money import ZERO

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
"""An item as DynamoDB has it on the wire: ``{"pk": {"S": "m#1"}, "cost": {"N": "0.01"}}``."""

INDEX: Final = "FeedIndex"


class Table:
    """One table with the string keys ``pk`` and ``sk``. Each method raises LedgerUnavailable or LedgerUnusable."""

    def __init__(self, client: DynamoDBClient, name: str) -> None:
        self.name = name
        self._client = client
        self._forked = False
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self.write_units = ZERO
        """What DynamoDB said the writes so far cost. It does not say so of those that found the item there already."""
        self.read_units = ZERO
        """What it said the reads so far cost."""

    @property
    def region(self) -> str:
        """The region of the table."""
        return self._client.meta.region_name

    def put(self, item: Item) -> None:
        """Put the item, whatever is there."""
        with self._asking() as client:
            self._wrote(client.put_item(TableName=self.name, Item=item, ReturnConsumedCapacity="TOTAL"))

    def put_new(self, item: Item, *, unless: str = "attribute_not_exists(pk)", **values: Any) -> Item | None:
        """Put the item where the condition holds, which is that there is none; what is there, where it does not."""
        condition: dict[str, Any] = {"ConditionExpression": unless}
        if values:
            condition["ExpressionAttributeValues"] = {f":{name}": value for name, value in values.items()}
        with self._asking() as client:
            try:
                answer = client.put_item(
                    TableName=self.name,
                    Item=item,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ReturnConsumedCapacity="TOTAL",
                    **condition,
                )
            except ClientError as error:
                if error_code(error) != CONDITION_FAILED:
                    raise
                refusal: Any = error.response  # whose stubs do not know the item
                known: Item = refusal["Item"]
                return known
        self._wrote(answer)
        return None

    def get(self, pk: str, sk: str) -> Item | None:
        """The item as it is now."""
        with self._asking() as client:
            answer = client.get_item(
                TableName=self.name, Key=_key(pk, sk), ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
            )
        self._read(answer)
        item: Item | None = answer.get("Item")
        return item

    def delete(self, pk: str, sk: str, **equal: Any) -> None:
        """Take the item away, if its attributes are those; it may be gone already."""
        condition: dict[str, Any] = {}
        if equal:
            condition = {
                "ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in equal),
                "ExpressionAttributeNames": {f"#{name}": name for name in equal},
                "ExpressionAttributeValues": {f":{name}": value for name, value in equal.items()},
            }
        with self._asking() as client:
            try:
                answer = client.delete_item(
                    TableName=self.name, Key=_key(pk, sk), ReturnConsumedCapacity="TOTAL", **condition
                )
            except ClientError as error:
                if error_code(error) != CONDITION_FAILED:
                    raise
                return
        self._wrote(answer)

    def partition(self, pk: str, *, since: str | None = None, newest_first: bool = False) -> Iterator[Item]:
        """The items of a partition as they are now, in the order of ``sk``; from that one on."""
        expression, values = "pk = :pk", {":pk": {"S": pk}}
        if since is not None:
            expression, values = f"{expression} AND sk >= :since", {**values, ":since": {"S": since}}
        return self._pages(
            KeyConditionExpression=expression,
            ExpressionAttributeValues=values,
            ScanIndexForward=not newest_first,
            ConsistentRead=True,
        )

    def feed(
        self,
        feed: str,
        *,
        after: int = 0,
        before: int | None = None,
        page: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Item]:
        """The items of one part of the index behind a number, or in front of one, in the order of their numbers.

        An index is a moment behind its table; `after` and `before` exclude each other. `page` is how many are read at a
        time; a megabyte of them unless given.
        """
        few = {} if page is None else {"Limit": page}
        bound = ("seq > :seq", after) if before is None else ("seq < :seq", before)
        return self._pages(
            IndexName=INDEX,
            KeyConditionExpression=f"feed = :feed AND {bound[0]}",
            ExpressionAttributeValues={":feed": {"S": feed}, ":seq": {"N": str(bound[1])}},
            ScanIndexForward=not newest_first,
            **few,
        )

    def after_fork(self) -> None:
        """In a forked child: the connections are the parent's."""
        self._lock = threading.RLock()
        self._forked = True

    def _pages(self, **query: Any) -> Iterator[Item]:
        following: dict[str, Any] = {}
        while True:
            with self._asking() as client:
                page = client.query(TableName=self.name, ReturnConsumedCapacity="TOTAL", **query, **following)
            self._read(page)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _asking(self) -> AbstractContextManager[DynamoDBClient]:
        if self._forked:
            self._client, self._forked = renewed(self._client), False
        return as_ledger_errors(self._client, self.name)

    def _wrote(self, answer: Any) -> None:
        with self._lock:
            self.write_units += _units(answer)

    def _read(self, answer: Any) -> None:
        with self._lock:
            self.read_units += _units(answer)


def _key(pk: str, sk: str) -> Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _units(answer: Any) -> Decimal:
    """What a request cost; half units are exact as floats."""
    return Decimal(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0))
