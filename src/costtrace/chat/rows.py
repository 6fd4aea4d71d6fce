"""The requests that are made of the chat table, over boto3's low-level DynamoDB client, which is given to it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from costtrace.chat.attributes import Item
from costtrace.chat.message import MESSAGE_ID, THREAD, TIMESTAMP
from costtrace.errors import LedgerUnusable
from costtrace.ledger.dynamodb.faults import as_ledger_errors
from costtrace.money import ZERO

_KEYS: Final = {"#thread": THREAD, "#timestamp": TIMESTAMP}
_REFUSED: Final = "Refused"


class Rows:
    """One table of keys ``threadId`` and ``timestamp``, with an index on ``messageId``."""

    def __init__(self, client: Any, table: str, index: str) -> None:
        self._client = client
        self.table = table
        self._index = index
        self._lock = threading.Lock()
        self.write_units = ZERO
        """What DynamoDB said the writes so far cost, the index included. Of refused ones it does not say so."""

    def get(self, thread_id: str, timestamp: str) -> Item | None:
        """The row of that key as it is now, if there is one."""
        answer = self._ask("get_item", Key=_key(thread_id, timestamp), ConsistentRead=True)
        item: Item | None = answer.get("Item")
        return item

    def put(self, item: Item) -> Item | None:
        """Store a row whose key nobody has; None when that was done, else the row that has it."""
        return self._guarded(
            "put_item",
            Item=item,
            ConditionExpression="attribute_not_exists(#thread)",
            ExpressionAttributeNames={"#thread": THREAD},
        )

    def update(self, thread_id: str, timestamp: str, request: dict[str, Any]) -> Item | None:
        """Change a row; None when that was done, else the row that stood against it, empty where there is none."""
        return self._guarded("update_item", Key=_key(thread_id, timestamp), **request)

    def thread(
        self,
        thread_id: str,
        *,
        page: int,
        first: str | None = None,
        last: str | None = None,
        before: str | None = None,
    ) -> Iterator[Item]:
        """The rows of that conversation as they are now, newest first, `first` and `last` included, `before` not.

        `page` is how many are read at a time.
        """
        condition, values = "#thread = :thread", {":thread": {"S": thread_id}}
        if first is not None and last is not None:
            condition += " AND #timestamp BETWEEN :first AND :last"
            values |= {":first": {"S": first}, ":last": {"S": last}}
        elif before is not None:
            condition += " AND #timestamp < :before"
            values |= {":before": {"S": before}}
        names = {name: value for name, value in _KEYS.items() if name in condition}
        return self._pages(
            "query",
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=page,
        )

    def named(self, message_uuid: str) -> list[tuple[str, str]]:
        """The keys of the rows that the index has for that message: all, none yet, or some that are gone."""
        found = self._pages(
            "query",
            IndexName=self._index,
            KeyConditionExpression="#id = :id",
            ExpressionAttributeNames={"#id": MESSAGE_ID},
            ExpressionAttributeValues={":id": {"S": message_uuid}},
        )
        return [(item[THREAD]["S"], item[TIMESTAMP]["S"]) for item in found]

    def scan(self, start: Item | None, *, attributes: tuple[str, ...]) -> tuple[list[Item], Item | None]:
        """One page of the whole table, from `start` on, and where the next one starts; of each row those attributes."""
        names = {f"#a{place}": name for place, name in enumerate(attributes)}
        asked = {} if start is None else {"ExclusiveStartKey": start}
        answer = self._ask("scan", ProjectionExpression=", ".join(names), ExpressionAttributeNames=names, **asked)
        return answer.get("Items", []), answer.get("LastEvaluatedKey")

    def _pages(self, operation: str, **parameters: Any) -> Iterator[Item]:
        while True:
            answer = self._ask(operation, **parameters)
            yield from answer.get("Items", [])
            start = answer.get("LastEvaluatedKey")
            if not start:
                return
            parameters["ExclusiveStartKey"] = start

    def _guarded(self, operation: str, **parameters: Any) -> Item | None:
        answer = self._ask(operation, **parameters, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        if _REFUSED in answer:
            standing: Item = answer[_REFUSED]
            return standing
        with self._lock:
            self.write_units += Decimal(answer.get("ConsumedCapacity", {}).get("CapacityUnits", 0))
        return None

    def _ask(self, operation: str, **parameters: Any) -> Any:
        """The answer; where a condition was refused, the row that stood against it."""
        with as_ledger_errors(self._client, self.table) as client:
            try:
                return getattr(client, operation)(TableName=self.table, ReturnConsumedCapacity="TOTAL", **parameters)
            except client.exceptions.ConditionalCheckFailedException as refusal:
                return {_REFUSED: dict(refusal.response).get("Item", {})}
            except client.exceptions.ResourceNotFoundException as error:
                where = f"DynamoDB table {self.table!r} in {client.meta.region_name}"
                raise LedgerUnusable(f"{where}: there is no such table; check its name and the region") from error


def _key(thread_id: str, timestamp: str) -> dict[str, Any]:
    return {THREAD: {"S": thread_id}, TIMESTAMP: {"S": timestamp}}
