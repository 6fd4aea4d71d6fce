"""AWS clients for the little that is not DynamoDB: queues, and secrets that are kept by reference."""

from __future__ import annotations

import functools
import threading
from typing import Any, Final

from costtrace.errors import ConfigurationError, MissingExtra

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    raise MissingExtra(package="boto3", feature="running on AWS Lambda", extra="dynamodb") from None

# Not botocore's own: those have changed from version to version, and a function has seconds, not minutes.
_CONFIG: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=1, read_timeout=2, tcp_keepalive=True
)
_making: Final = threading.Lock()  # boto3's default session is not made for several threads
AwsError: Final = (BotoCoreError, ClientError)
"""What a client raises."""


@functools.cache
def _made(service: str, region: str | None, endpoint_url: str | None) -> Any:
    return boto3.client(service, region_name=region, endpoint_url=endpoint_url, config=_CONFIG)  # type: ignore[call-overload]  # the stubs want a literal


def aws_client(service: str, region: str | None = None, endpoint_url: str | None = None) -> Any:
    """The process's client for that service. Raises ConfigurationError where no region is known."""
    try:
        with _making:
            return _made(service, region, endpoint_url)
    except BotoCoreError as error:
        raise ConfigurationError(f"no AWS client for {service}: {error}") from None


def code_of(error: BaseException) -> str:
    """AWS's word for what went wrong, such as ``AccessDeniedException``; or else the class of the error."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code") or type(error).__name__)
    return type(error).__name__
