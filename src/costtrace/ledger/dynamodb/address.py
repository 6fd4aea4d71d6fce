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
            raise ConfigurationError(f"ledger address {url!r} is not known; use 'dynamodb://?ledger=costtrace-ledger'")
        known = [field.name for field in fields(cls)]
        given = parse_qsl(parts.query, keep_blank_values=True)
        for name, value in given:
            if name not in known or not value:
                problem = f"{name!r} is none of {', '.join(known)}" if value else f"{name!r} has no value"
                raise ConfigurationError(f"ledger address {url!r}: {problem}")
        return cls(**dict(given))
