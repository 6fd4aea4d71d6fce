"""Ingest: from spool segments into the table, each record once.

How far a segment was read is stored in the transaction that stores its rows, so any process may ingest any segment at
any time: one that dies in between leaves both or neither.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from costtrace.errors import LedgerUnusable
from costtrace.ledger.database import Database
from costtrace.ledger.rows import Parts, from_line, insertion
from costtrace.ledger.spool import MAGIC, Spool, frames, is_of_another_version, next_frame

_log: Final = logging.getLogger("costtrace")
_BATCH_BYTES: Final = 4 * 1024 * 1024
"""A few thousand records: enough to make a commit cheap, little enough to stay in SQLite's cache."""
_REFUSED: Final = (
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.IntegrityError,
    LookupError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What is raised for a record that is no row, or a value SQLite cannot store, as against a store that does not work."""


class Ingest:
    """Moves what the segments hold into the table."""

    def __init__(self, database: Database, spool: Spool) -> None:
        self._database = database
        self._spool = spool
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def run(self) -> None:
        """Ingest every segment as far as it goes. Raises LedgerUnavailable or LedgerUnusable; nothing is lost then."""
        unreadable: OSError | None = None
        with self._lock:
            paths = self._spool.segments()
            if len(self._seen) > len(paths):  # other processes took some away
                self._seen = {path.name: self._seen[path.name] for path in paths if path.name in self._seen}
            for path in paths:
                try:
                    if self._spool.has_more(path, self._seen.get(path.name, 0)):
                        self._segment(path)
                except OSError as error:  # another user's segment, for instance; the others need not wait for it
                    unreadable = error
        if unreadable is not None:
            raise LedgerUnusable(f"cannot read the spool: {unreadable}") from unreadable

    def after_fork(self) -> None:
        """In a forked child."""
        self._lock = threading.Lock()

    def _segment(self, path: Path) -> None:
        while self._batch(path):
            continue

    def _batch(self, path: Path) -> bool:
        """Ingest the next part of a segment in one transaction; whether there is more behind it."""
        with self._database.writing() as connection:
            offset = _ingested(connection, path.name)
            data, writer_gone = self._spool.read(path, offset, _BATCH_BYTES)
            if not data and not writer_gone:  # nothing new, or another process took it away
                return False
            more = len(data) == _BATCH_BYTES
            records, read = _records(data, writer_gone=writer_gone, more=more)
            _store(connection, path.name, records)
            connection.execute(
                "INSERT INTO spool_segments (name, ingested) VALUES (?, ?)"
                " ON CONFLICT (name) DO UPDATE SET ingested = excluded.ingested",
                (path.name, offset + read),
            )
        self._seen[path.name] = offset + read
        if writer_gone and not more:
            self._remove(path)
        return more and read > 0

    def _remove(self, path: Path) -> None:
        """The file goes before the note of how far it was read: the other order could read it again."""
        self._spool.remove(path)
        with self._database.writing() as connection:
            connection.execute("DELETE FROM spool_segments WHERE name = ?", (path.name,))
        self._seen.pop(path.name, None)


def _ingested(connection: sqlite3.Connection, segment: str) -> int:
    row = connection.execute("SELECT ingested FROM spool_segments WHERE name = ?", (segment,)).fetchone()
    return row[0] if row else 0


def _records(data: bytes, *, writer_gone: bool, more: bool) -> tuple[list[bytes], int]:
    """The records of a stretch of a segment, and how many of its bytes are dealt with.

    Where the writer is gone, what cannot be read is passed over; but the last frame of a stretch with more behind it
    may only be cut, and then begins the next stretch.
    """
    records: list[bytes] = []
    position = 0
    while True:
        for record, end in frames(data, position):
            records.append(record)
            position = end
        if not writer_gone or position == len(data):
            return records, position
        if is_of_another_version(data, position):
            raise LedgerUnusable("the spool holds records of another version of costtrace; let that version read them")
        following = next_frame(data, position)
        if following is None and more:
            return records, position or max(data.rfind(MAGIC), len(data) - len(MAGIC))
        if following is None:  # a torn tail: the write never returned, so nobody was told it was stored
            return records, len(data)
        _log.error("a spool segment is damaged: %d bytes between two records are unreadable", following - position)
        position = following


def _store(connection: sqlite3.Connection, segment: str, records: Sequence[bytes]) -> None:
    try:
        _insert_lines(connection, records)
    except _REFUSED:
        for record in records:  # one of them is the culprit; the others must not wait for it
            try:
                _insert_lines(connection, [record])
            except _REFUSED as error:
                _log.error("a spooled entry cannot be stored and was put aside: %s", error)
                connection.execute(
                    "INSERT INTO rejected (segment, reason, record) VALUES (?, ?, ?)", (segment, str(error), record)
                )


def _insert_lines(connection: sqlite3.Connection, lines: Iterable[bytes]) -> None:
    insert_rows(connection, map(from_line, lines))


def insert_rows(connection: sqlite3.Connection, rows: Iterable[Parts]) -> int:
    """Insert the rows whose entry_id is new, and answer how many those were.

    Neighbours that have values in the same columns are inserted together.
    """
    ids: dict[bytes, int] = {}
    new = 0
    for (mask, has_basis), alike in groupby(rows, _shape):
        filled = []
        for _, values, basis in alike:
            if basis and basis not in ids:
                ids[basis] = _basis_id(connection, basis.decode())
            filled.append((*values, ids[basis]) if basis else values)
        new += connection.executemany(insertion(mask, basis=has_basis), filled).rowcount
    return new


def _shape(parts: Parts) -> tuple[int, bool]:
    mask, _, basis = parts
    return mask, bool(basis)


def _basis_id(connection: sqlite3.Connection, basis: str) -> int:
    """Thousands of entries share a basis, so it is stored once."""
    connection.execute("INSERT OR IGNORE INTO price_basis (body) VALUES (?)", (basis,))
    row: tuple[int] = connection.execute("SELECT id FROM price_basis WHERE body = ?", (basis,)).fetchone()
    return row[0]
