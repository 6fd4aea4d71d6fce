"""A ledger in DynamoDB: one table, one row for each entry, written once. Needs boto3."""

from __future__ import annotations

from costtrace.errors import MissingExtra

try:
    from costtrace.ledger.dynamodb.ledger import DynamoDBLedger
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("boto3", "botocore"):
        raise
    raise MissingExtra(package="boto3", feature="a ledger in DynamoDB", extra="dynamodb") from None

__all__ = ["DynamoDBLedger"]
