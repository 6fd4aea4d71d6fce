"""Ledger: an append-only, readable store of entries. `open_ledger` finds one by its address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from costtrace.errors import ConfigurationError
from costtrace.ledger.protocol import GROUPS, Ledger, LedgerHealth, Recent, Selection
from costtrace.ledger.sqlite import SqliteLedger

if TYPE_CHECKING:
    from costtrace.ledger.dynamodb import DynamoDBLedger

__all__ = ["GROUPS", "Ledger", "LedgerHealth", "Recent", "Selection", "SqliteLedger", "open_ledger"]

_SQLITE = "sqlite:///"
_DYNAMODB = "dynamodb:"


def open_ledger(url: str, *, durability: str = "normal") -> SqliteLedger | DynamoDBLedger:
    """The ledger at that address.

    ``sqlite:///costs.db`` is a file in the working directory, ``sqlite:////var/lib/costs.db`` an absolute path; the
    file is made at its first use. `durability` ``normal`` survives a killed process, ``full`` survives a power loss as
    well (one fsync per entry).

    ``dynamodb://?region=eu-central-1&ledger=costtrace-ledger`` is a table of DynamoDB, which is durable by itself. Each
    parameter may be left out; ``endpoint`` names an emulator, ``messages`` the table that costs are projected into.

    Raises ConfigurationError for an address or a durability it does not know, and where no region is named;
    MissingExtra where boto3 is needed and not installed.
    """
    if durability not in ("normal", "full"):
        raise ConfigurationError(f"durability {durability!r} is not known; use 'normal' or 'full'")
    if url.startswith(_DYNAMODB):
        return _dynamodb(url)
    path = url.removeprefix(_SQLITE)
    if path == url or path in ("", ":memory:"):  # a ledger in memory would take the spool with it when it ends
        expected = "use 'sqlite:///costtrace.db' or 'dynamodb://?ledger=costtrace-ledger'"
        shown = re.sub(r"//[^/]*@", "//...@", url)  # somebody may have written a password into it
        raise ConfigurationError(f"ledger address {shown!r} is not known; {expected}")
    return SqliteLedger(Path(path), fsync=durability == "full")


def _dynamodb(url: str) -> DynamoDBLedger:
    from costtrace.ledger.dynamodb import DynamoDBLedger  # noqa: PLC0415 - boto3 takes half a second
    from costtrace.ledger.dynamodb.address import DynamoDBAddress  # noqa: PLC0415 - as above
    from costtrace.ledger.dynamodb.client import dynamodb_client  # noqa: PLC0415 - as above

    address = DynamoDBAddress.of(url)
    return DynamoDBLedger(dynamodb_client(address.region, address.endpoint), table=address.ledger)
