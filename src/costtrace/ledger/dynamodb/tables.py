"""Both tables, made for emulators, tests and the demo. In an account of your own the Terraform module makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from costtrace.ledger.dynamodb.faults import as_ledger_errors
from costtrace.ledger.dynamodb.table import INDEX

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_POLL: Final[Any] = {"Delay": 1, "MaxAttempts": 60}


def create_tables(
    client: DynamoDBClient, *, ledger: str | None = "costtrace-ledger", messages: str | None = "chat-messages"
) -> None:
    """Make the tables and wait until they can be used; None leaves one out, and one that exists is left as it is.

    Raises LedgerUnavailable or LedgerUnusable.
    """
    if ledger is not None:
        _create(
            client,
            ledger,
            keys={"pk": "S", "sk": "S"},
            index=(INDEX, {"feed": "S", "seq": "N"}, "ALL"),
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
    if messages is not None:
        keys = {"threadId": "S", "timestamp": "S"}
        _create(client, messages, keys=keys, index=("MessageUuidIndex", {"messageId": "S"}, "KEYS_ONLY"))


def _create(
    client: DynamoDBClient, table: str, *, keys: dict[str, str], index: tuple[str, dict[str, str], str], **more: Any
) -> None:
    name, index_keys, projection = index
    attributes: Any = [{"AttributeName": key, "AttributeType": kind} for key, kind in {**keys, **index_keys}.items()]
    indexes: Any = [{"IndexName": name, "KeySchema": _schema(index_keys), "Projection": {"ProjectionType": projection}}]
    with as_ledger_errors(client, table):
        try:
            client.create_table(
                TableName=table,
                AttributeDefinitions=attributes,
                KeySchema=_schema(keys),
                GlobalSecondaryIndexes=indexes,
                BillingMode="PAY_PER_REQUEST",
                **more,
            )
        except client.exceptions.ResourceInUseException:
            return
        client.get_waiter("table_exists").wait(TableName=table, WaiterConfig=_POLL)


def _schema(keys: dict[str, str]) -> Any:
    return [{"AttributeName": key, "KeyType": kind} for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)]
