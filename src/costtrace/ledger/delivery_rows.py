"""Reads and writes the rows of deliveries and letters, inside of a transaction that is somebody else's."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.ledger.letters import Delivery, Letter
from costtrace.ledger.rows import from_row

_log: Final = logging.getLogger("costtrace")
_COLUMNS: Final = (
    "start, cursor, sent, failures, faults, failing_since_us, next_try_us, stopped, problem, problem_us, owner,"
    " lease_until_us, fence"
)
_NO_ENTRY: Final = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)
"""What reading a row raises that another program changed."""

Page = tuple[list[tuple[int, Entry]], list[int]]
"""Entries with their sequence numbers, and the numbers of rows that cannot be read as entries."""


def page_of(rows: Sequence[Sequence[Any]]) -> Page:
    """The rows of `SELECT` as entries, those aside that are none."""
    try:
        return [(row[0], from_row(row[1:])) for row in rows], []
    except _NO_ENTRY:
        return _sorted_out(rows)


def _sorted_out(rows: Iterable[Sequence[Any]]) -> Page:
    entries: list[tuple[int, Entry]] = []
    unreadable: list[int] = []
    for row in rows:
        try:
            entries.append((row[0], from_row(row[1:])))
        except _NO_ENTRY as error:
            unreadable.append(row[0])
            _log.error("row %d of the ledger cannot be read as an entry: %s", row[0], type(error).__name__)
    return entries, unreadable


def delivery_row(connection: sqlite3.Connection, exporter: str) -> Delivery | None:
    """How far that exporter is; None for one that is not known."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE exporter = ?", (exporter,)).fetchone()  # noqa: S608 - our own column names
    if row is None:
        return None
    known = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Delivery(exporter=exporter, **{**known, "stopped": bool(known["stopped"])})


def last_seq(connection: sqlite3.Connection) -> int:
    """The newest sequence number; 0 where there is no entry."""
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]
    return last


def seq_of(connection: sqlite3.Connection, entry_id: str) -> int:
    """The sequence number of that entry; raises InvalidValue for an id that the ledger does not know."""
    row: tuple[int] | None = connection.execute("SELECT seq FROM entries WHERE entry_id = ?", (entry_id,)).fetchone()
    if row is None:
        raise InvalidValue("entry_id", entry_id, "the id of an entry of this ledger")
    return row[0]


def has_letter(connection: sqlite3.Connection, exporter: str, seq: int) -> bool:
    """Whether that entry waits in a letter."""
    return bool(connection.execute("SELECT 1 FROM letters WHERE exporter = ? AND seq = ?", (exporter, seq)).fetchall())


def write_letters(connection: sqlite3.Connection, exporter: str, letters: Iterable[Letter]) -> None:
    """Store the letters, each in the place of an earlier one of its entry."""
    connection.executemany(
        "INSERT OR REPLACE INTO letters (exporter, seq, state, reason, attempts, since_us, next_try_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (exporter, letter.seq, letter.state, letter.reason, letter.attempts, letter.since_us, letter.next_try_us)
            for letter in letters
        ),
    )
