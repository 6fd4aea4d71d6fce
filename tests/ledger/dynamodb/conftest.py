"""A table of its own for each test, and ledgers in it as an application has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from costtrace.ledger.dynamodb import DynamoDBLedger
from costtrace.ledger.dynamodb.client import client_from
from costtrace.ledger.dynamodb.tables import create_tables
from tests.peers.emulator import Account

TABLE = "costtrace-ledger"


class Store:
    """The table, and who writes to it."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.client = account.client()
        self._made: list[DynamoDBLedger] = []
        create_tables(self.client, messages=None)

    def ledger(self, endpoint: str | None = None, **options: Any) -> DynamoDBLedger:
        """A ledger with a client of its own, configured as in production; through a proxy where one is named."""
        self._made.append(DynamoDBLedger(client_of(self.account, endpoint), **options))
        return self._made[-1]

    def rows(self, pk: str) -> list[dict[str, Any]]:
        """What stands under that key, as it is now."""
        query = self.client.get_paginator("query").paginate(
            TableName=TABLE,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": pk}},
            ConsistentRead=True,
        )
        return [item for page in query for item in page["Items"]]

    def close(self) -> None:
        for ledger in self._made:
            ledger.close()


def client_of(account: Account, endpoint: str | None = None) -> Any:
    """A client of that account as `dynamodb_client` makes them."""
    session: Any = boto3.session.Session(
        aws_access_key_id=account.access_key_id, aws_secret_access_key=account.secret, region_name=account.region
    )
    return client_from(session, endpoint_url=endpoint or account.endpoint)


@pytest.fixture
def store(aws: Account) -> Iterator[Store]:
    """An empty table."""
    made = Store(aws)
    yield made
    made.close()
