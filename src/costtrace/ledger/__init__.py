"""Ledger: an append-only, readable store of entries. `open_ledger` finds one by its address."""

from __future__ import annotations

from pathlib import Path

from costtrace.errors import ConfigurationError
from costtrace.ledger.protocol import GROUPS, Ledger, LedgerHealth, Selection
from costtrace.ledger.sqlite import SqliteLedger

__all__ = ["GROUPS", "Ledger", "LedgerHealth", "Selection", "SqliteLedger", "open_ledger"]

_SQLITE = "sqlite:///"


def open_ledger(url: str, *, durability: str = "normal") -> SqliteLedger:
    """The ledger at that address.

    ``sqlite:///costs.db`` is a file in the working directory, ``sqlite:////var/lib/costs.db`` an absolute path; the
    file is made at its first use. `durability` ``normal`` survives a killed process, ``full`` survives a power loss as
    well (one fsync per entry). Raises ConfigurationError for an address or a durability it does not know.
    """
    if durability not in ("normal", "full"):
        raise ConfigurationError(f"durability {durability!r} is not known; use 'normal' or 'full'")
    path = url.removeprefix(_SQLITE)
    if path == url or path in ("", ":memory:"):  # a ledger in memory would take the spool with it when it ends
        raise ConfigurationError(f"ledger address {url!r} is not known; use 'sqlite:///costtrace.db'")
    return SqliteLedger(Path(path), fsync=durability == "full")
