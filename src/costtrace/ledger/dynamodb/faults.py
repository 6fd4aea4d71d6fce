"""What boto3 raises, as the two errors a ledger may raise: what may pass, and what needs a person.

What needs a person is said in one sentence that names what is missing: table, region, permission, credentials.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    SSOError,
    UnauthorizedSSOTokenError,
)

from costtrace.errors import LedgerError, LedgerUnavailable, LedgerUnusable

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CONDITION_FAILED: Final = "ConditionalCheckFailedException"
_NO_TABLE: Final = "ResourceNotFoundException"
_DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied"})
_CREDENTIALS: Final = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "NotAuthorized",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
PASSING: Final = frozenset(
    {
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "ResourceInUseException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
"""What AWS says of a request that may succeed when it is made again."""
_NO_CREDENTIALS: Final = (
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    UnauthorizedSSOTokenError,
)
SERVER_ERROR: Final = 500
"""From this HTTP status on the fault is AWS's own."""
_here: Final = threading.local()


@contextmanager
def as_ledger_errors(client: DynamoDBClient, table: str) -> Iterator[DynamoDBClient]:
    """The client; what boto3 raises within is raised as LedgerUnavailable or LedgerUnusable, about that table.

    A garbage collection can strike within a request and end somebody's half-read stream, on this very thread. What that
    wants to store has to wait: it would wait for the locks of boto3's connections, which this thread holds.
    """
    if getattr(_here, "asking", False):
        raise LedgerUnavailable(f"{_where(client, table)}: this thread is in the middle of a request")
    _here.asking = True
    try:
        yield client
    except (ClientError, BotoCoreError) as error:
        raise ledger_error(error, client, table) from error
    finally:
        _here.asking = False


def error_code(error: ClientError) -> str:
    """The word with which AWS names an error, such as ``ThrottlingException``."""
    return error.response.get("Error", {}).get("Code", "")


def ledger_error(error: ClientError | BotoCoreError, client: DynamoDBClient, table: str) -> LedgerError:
    """The error a ledger raises in place of one of boto3's, about that table."""
    where = _where(client, table)
    if isinstance(error, ClientError):
        return _refused(error, where)
    if isinstance(error, _NO_CREDENTIALS):
        return LedgerUnusable(
            f"{where}: no AWS credentials that can be used; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or"
            " AWS_PROFILE, or give the machine a role"
        )
    if isinstance(error, ParamValidationError):
        return LedgerUnusable(f"{where}: boto3 refuses the request: {error}")
    if isinstance(error, EndpointConnectionError):
        address = urlsplit(client.meta.endpoint_url)
        place = f"{address.scheme}://{address.netloc.rpartition('@')[2]}"  # a proxy's password is nobody's business
        return LedgerUnavailable(f"{where}: no connection to {place}; is the network up and the region right?")
    return LedgerUnavailable(f"{where}: no answer ({type(error).__name__})")


def _where(client: DynamoDBClient, table: str) -> str:
    return f"DynamoDB table {table!r} in {client.meta.region_name}"


def _refused(error: ClientError, where: str) -> LedgerError:
    code, operation = error_code(error), error.operation_name
    if code in PASSING or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= SERVER_ERROR:
        return LedgerUnavailable(f"{where}: {operation} was put off ({code})")
    if code == _NO_TABLE:
        return LedgerUnusable(
            f"{where}: there is no such table, or it has no index FeedIndex; make it with the Terraform module, or name"
            " table and region in the ledger's address: dynamodb://?region=...&ledger=..."
        )
    if code in _DENIED:
        return LedgerUnusable(f"{where}: permission dynamodb:{operation} is missing; allow it in the role's policy")
    if code in _CREDENTIALS:
        return LedgerUnusable(
            f"{where}: AWS does not accept the credentials ({code}); check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and"
            " AWS_SESSION_TOKEN, and this machine's clock"
        )
    return LedgerUnusable(
        f"{where}: {operation} was refused ({code}: {error.response.get('Error', {}).get('Message')})"
    )
