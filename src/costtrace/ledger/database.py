"""The SQLite file of a ledger: opened late, shared by the threads of one process, its errors told apart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from costtrace.errors import LedgerError, LedgerUnavailable, LedgerUnusable
from costtrace.ledger.checkpoints import BY_COMMIT_PAGES, Checkpoints
from costtrace.ledger.conditions import know_tags
from costtrace.ledger.schema import migrate

_PASSING: Final = frozenset(
    {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}
)
_NOT_WRITABLE: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_PRIMARY_CODE: Final = 0xFF
_WAYS_OUT: Final = {
    sqlite3.SQLITE_BUSY: "another program is writing to it; try again when that has ended",
    sqlite3.SQLITE_CANTOPEN: "check that the path is a file in a directory that exists and may be written",
    sqlite3.SQLITE_CORRUPT: "restore it from a copy, or save what is left with the sqlite3 command .recover",
    sqlite3.SQLITE_FULL: "free some disk space",
    sqlite3.SQLITE_NOTADB: "check the address: something else stands there",
    sqlite3.SQLITE_READONLY: "give this user the right to write the file and its directory",
}
"""What a person can do, by SQLite's result code."""
_CACHE_KIB: Final = 32 * 1024
"""Holds the upper levels of every index at ten million entries, and a whole batch while it is written."""


class Database:
    """One connection behind one lock."""

    def __init__(self, path: Path, *, synchronous: str, busy_timeout_s: float) -> None:
        self.path = path
        self._synchronous = synchronous
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._frozen = False
        self._checkpoints = Checkpoints(path, self.reading)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone. SQLite's errors leave as LedgerUnavailable or LedgerUnusable."""
        with self._lock, self._translated():
            try:
                yield self._open()
            finally:
                if self._frozen:  # somebody who can write may do so before the next read
                    self._let_go()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, and what other processes write meanwhile is not seen."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def writing(self, *, at_once: bool = False) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; committed at the end, rolled back on any error.

        With `at_once`, LedgerUnavailable where another process holds that lock.
        """
        with self._lock, self._translated():
            connection = self._open()
            if at_once:
                connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("BEGIN IMMEDIATE")
            finally:
                if at_once:
                    connection.execute(f"PRAGMA busy_timeout = {round(self._busy_timeout_s * 1000)}")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            changes = connection.total_changes
        self._checkpoints.notice(changes)  # not under the lock: a thread that starts may collect, and ask for it

    def close(self) -> None:
        """Let go of the file; the next use opens it again. Not to be called by who reads or writes at the moment."""
        self._checkpoints.pause()
        try:
            self._let_go()
        finally:
            self._checkpoints.resume()

    def _let_go(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
                self._frozen = False

    def before_fork(self) -> None:
        """Let go of the file, and let nobody open it until the fork is over.

        SQLite remembers by process which locks it holds. A child that inherits this memory takes locks it does not
        have for its own: it waits forever for one that was held, or writes to a log that the parent has taken away.
        https://www.sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_
        """
        self._checkpoints.pause()
        self._lock.acquire()
        self._let_go()

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        self._lock.release()
        self._checkpoints.resume()

    def after_fork(self) -> None:
        """In a forked child: the locks are the parent's."""
        self._lock = threading.RLock()
        self._checkpoints.after_fork()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._make_directory()
            try:
                self._connection = self._connected(str(self.path))
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & _PRIMARY_CODE not in _NOT_WRITABLE or self._has_log():
                    raise
                # SQLite wants to write beside a WAL file even to read it. Where nothing is left in the log, the file
                # can be read as it is, for the moment.
                self._connection = self._connected(f"{self.path.absolute().as_uri()}?immutable=1")
                self._frozen = True
        return self._connection

    def _connected(self, name: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            name,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            uri=name.startswith("file:"),
        )
        try:
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {BY_COMMIT_PAGES}")
            know_tags(connection)
            migrate(connection)
            _use_wal(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_directory(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerUnusable(f"its directory cannot be made: {error.strerror}") from error

    def _has_log(self) -> bool:
        log = self.path.with_name(self.path.name + "-wal")
        return not self.path.exists() or (log.exists() and log.stat().st_size > 0)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._failure(error) from error
        except LedgerUnusable as error:
            raise LedgerUnusable(f"ledger {str(self.path)!r}: {error}") from error

    def _failure(self, error: sqlite3.Error) -> LedgerError:
        code: int = getattr(error, "sqlite_errorcode", 0)  # errors of the Python layer itself carry none
        kind = LedgerUnavailable if code & _PRIMARY_CODE in _PASSING else LedgerUnusable
        way_out = _WAYS_OUT.get(code & _PRIMARY_CODE)
        return kind(f"ledger {str(self.path)!r}: {error}" + (f"; {way_out}" if way_out else ""))


def _use_wal(connection: sqlite3.Connection) -> None:
    """Readers and the writer do not wait for each other in WAL mode; the file remembers it once it is set."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
        return
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & _PRIMARY_CODE not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY):
            raise  # busy: another process is setting it just now; read-only: then there is no writer to wait for
