"""The address of a ledger in DynamoDB: ``dynamodb://?region=eu-central-1&ledger=costtrace-ledger``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from costtrace.errors import ConfigurationError

SCHEME: Final = "dynamodb"


@dataclass(frozen=True, slots=True, kw_only=True)
class DynamoDBAddress:
    """Where the tables are. What the address leaves out, boto3 finds as it always does: AWS_REGION and the like."""

    region: str | None = None
    ledger: str = "costtrace-ledger"
    """Name of the table of entries."""
    messages: str = "chat-messages"
    """Name of the table of chat messages, for those who project costs into it."""
    endpoint: str | None = None
    """Address of an emulator; AWS itself unless given."""

    @classmethod
    def of(cls, url: str) -> DynamoDBAddress:
        """Read the address; raises ConfigurationError naming what cannot be read."""
        parts = urlsplit(url)
        if parts.scheme != SCHEME or parts.netloc or parts.path.strip("/"):
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            raise ConfigurationError(
                f"ledger address {shown!r} is not known; use 'dynamodb://?ledger=costtrace-ledger'"
            )
        known = [field.name for field in fields(cls)]
        given: dict[str, str] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True):
            if name not in known:
                raise _refused(f"{name!r} is none of {', '.join(known)}")
            if not value or name in given:
                raise _refused(f"{name!r} is there twice" if value else f"{name!r} has no value")
            given[name] = value
        _check_endpoint(given.get("endpoint"))
        return cls(**given)


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is None:
        return
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise _refused("'endpoint' is not an address such as 'http://127.0.0.1:4566', without user and password")


def _refused(problem: str) -> ConfigurationError:
    """The address is not quoted: somebody may have written keys into it."""
    return ConfigurationError(f"ledger address {SCHEME}://?...: {problem}")
