"""Checkpoints beside the commits: SQLite's own are part of a commit, which then takes twenty times as long as others.

A checkpoint copies the write-ahead log into the file. Writers may go on meanwhile, but the log only begins anew once
all of it is copied; so most is done beside the writers, on a connection of its own, and the rest between two commits.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Final

from costtrace.errors import LedgerError

BY_COMMIT_PAGES: Final = 8_000
"""A log of that many pages (32 MiB) is copied by a commit after all: where no thread is to be had, or none keeps up."""

_ROWS: Final = 1_000
"""Rows change a few pages each, in places all over the indices."""
_CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """Starts a thread for each. `writer` lends the writers' connection, between two of their transactions."""

    def __init__(self, path: Path, writer: Callable[[], AbstractContextManager[sqlite3.Connection]]) -> None:
        self._path = path
        self._writer = writer
        self._running = threading.Lock()
        self._changes = 0

    def notice(self, changes: int) -> None:
        """So many rows the writers' connection has changed since it was opened."""
        if 0 <= changes - self._changes < _ROWS or not self._running.acquire(blocking=False):
            return
        self._changes = changes
        try:
            threading.Thread(target=self._run, name="costtrace-checkpoint", daemon=True).start()
        except RuntimeError:  # no thread to be had, as at the end of the process: closing the file copies the log
            self._running.release()

    def pause(self) -> None:
        """Wait for the one that is running, and let none start. Not for who holds the writers' connection."""
        self._running.acquire()

    def resume(self) -> None:
        """After `pause`."""
        self._running.release()

    def after_fork(self) -> None:
        """In a forked child."""
        self._running = threading.Lock()

    def _run(self) -> None:
        try:
            with suppress(sqlite3.Error, LedgerError):  # whatever it is, the next commit meets it and says so
                with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                    connection.execute(_CHECKPOINT).fetchall()
                with self._writer() as connection:
                    connection.execute(_CHECKPOINT).fetchall()
        finally:
            self._running.release()
