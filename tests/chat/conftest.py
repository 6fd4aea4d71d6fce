"""A chat table as a hand-written system made it, in an account of its own, and the ways in and out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from costtrace.chat import ChatMessages
from tests.factories import NOW
from tests.peers.emulator import Account
from tests.peers.fault_proxy import FaultProxy
from tests.peers.fixtures import *  # noqa: F403 - fixtures

TABLE = "chat-messages"
Chat = Callable[..., ChatMessages]


def ticking(start: datetime = NOW) -> Callable[[], datetime]:
    """A clock that is a millisecond later each time it is asked."""
    moments = (start + timedelta(milliseconds=step) for step in range(1_000_000))
    return lambda: next(moments)


def make_table(client: Any, name: str = TABLE) -> None:
    """Keys and index as they have always been."""
    texts = [{"AttributeName": name, "AttributeType": "S"} for name in ("threadId", "timestamp", "messageId")]
    client.create_table(
        TableName=name,
        AttributeDefinitions=texts,
        KeySchema=[
            {"AttributeName": "threadId", "KeyType": "HASH"},
            {"AttributeName": "timestamp", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "MessageUuidIndex",
                "KeySchema": [{"AttributeName": "messageId", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture
def client(aws: Account) -> Iterator[Any]:
    """An account with an empty chat table."""
    client = aws.client()
    make_table(client)
    yield client
    client.close()


@pytest.fixture
def chat(client: Any) -> ChatMessages:
    return ChatMessages(client, clock=ticking())


@pytest.fixture
def faulty(aws: Account, client: Any, fault_proxy: FaultProxy) -> Iterator[ChatMessages]:  # noqa: ARG001 - has the table
    """The same table, reached over a relay that can be told to fail, with the library's own four attempts."""
    through = aws.client(
        endpoint=fault_proxy.endpoint, retries={"mode": "standard", "total_max_attempts": 4}, read_timeout=2
    )
    yield ChatMessages(through, clock=ticking())
    through.close()


@pytest.fixture
def old_reader(aws: Account, client: Any) -> Iterator[Any]:  # noqa: ARG001 - has the table
    """The table as the hand-written system reads and writes it: boto3's resource."""
    session: Any = boto3.session.Session(
        aws_access_key_id=aws.access_key_id, aws_secret_access_key=aws.secret, region_name=aws.region
    )
    resource = session.resource("dynamodb", endpoint_url=aws.endpoint)
    yield resource.Table(TABLE)
    resource.meta.client.close()
