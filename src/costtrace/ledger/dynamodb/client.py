"""The client of DynamoDB: one for each process, region and endpoint, with timeouts and retries of our own."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoRegionError

from costtrace.errors import ConfigurationError
from costtrace.ledger.dynamodb import retries

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient

_CONFIG: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 1},  # by botocore itself
    connect_timeout=1,
    read_timeout=2,
    tcp_keepalive=True,
    max_pool_connections=32,
)
_Arguments = tuple[str | None, str | None]
_lock = threading.RLock()
_clients: Final[dict[_Arguments, DynamoDBClient]] = {}


def dynamodb_client(region: str | None = None, endpoint_url: str | None = None) -> DynamoDBClient:
    """The process's client for that region and endpoint, made at the first call.

    What is not given, boto3 looks for where it always does. Raises ConfigurationError where no region is named, or the
    configuration of boto3 cannot be used.
    """
    arguments = (region, endpoint_url)
    with _lock:  # boto3 sessions are not safe to make clients with from two threads
        if arguments not in _clients:
            _clients[arguments] = _made(region, endpoint_url)
        return _clients[arguments]


def client_from(session: Session, *, region: str | None = None, endpoint_url: str | None = None) -> DynamoDBClient:
    """A client of that session, as patient as those of `dynamodb_client` are."""
    client = session.client("dynamodb", region_name=region, endpoint_url=endpoint_url, config=_CONFIG)
    retries.install(client)
    return client


def forget_clients() -> None:
    """Make new clients from now on, as after a change of the environment; those that are in use stay as they are."""
    with _lock:
        _clients.clear()


def renewed(client: DynamoDBClient) -> DynamoDBClient:
    """In a forked child: a client that shares no connection with the parent's."""
    for (region, endpoint_url), known in list(_inherited.items()):
        if known is client:
            return dynamodb_client(region, endpoint_url)
    client.close()  # one that the caller made; it opens connections anew
    return client


def _made(region: str | None, endpoint_url: str | None) -> DynamoDBClient:
    try:
        return client_from(boto3.session.Session(), region=region, endpoint_url=endpoint_url)
    except NoRegionError:
        raise ConfigurationError(
            "DynamoDB: no region is named; set AWS_REGION, or say dynamodb://?region=eu-central-1 in the address"
        ) from None
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationError(f"DynamoDB: boto3 cannot make a client: {error}") from error


_inherited: Final[dict[_Arguments, DynamoDBClient]] = {}


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the parent may have held it in a thread that is not here
    _lock = threading.RLock()
    _inherited.update(_clients)
    _clients.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
