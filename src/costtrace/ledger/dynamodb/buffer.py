"""Entries that wait in memory: those of an open scope, and those that could not be written when one ended."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from costtrace.errors import LedgerUnavailable
from costtrace.ledger.dynamodb.items import Rows


class Buffer:
    """Entries in the order they came, so many at most. Safe to use from many threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._entries: list[Rows] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rows: Rows) -> bool:
        """Keep one more; False where it is closed. Raises LedgerUnavailable where too many wait."""
        with self._lock:
            if self._closed:
                return False
            if len(self._entries) >= self._limit:
                raise LedgerUnavailable(f"{self._limit} entries wait in memory for DynamoDB already")
            self._entries.append(rows)
            return True

    def extend(self, more: Sequence[Rows]) -> None:
        """Keep these as well, however many there are."""
        with self._lock:
            self._entries += more

    def take(self) -> list[Rows]:
        """All of them; they are the caller's now."""
        with self._lock:
            taken, self._entries = self._entries, []
            return taken

    def put_back(self, left: Sequence[Rows]) -> bool:
        """Keep them again, before what came since; False where it is closed."""
        with self._lock:
            if not self._closed:
                self._entries[:0] = left
            return not self._closed

    def close(self) -> list[Rows]:
        """All of them, and nothing is kept from now on."""
        with self._lock:
            self._closed = True
            return self.take()

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's to write."""
        self._lock = threading.RLock()
        self._entries = []
