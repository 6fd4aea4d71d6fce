"""SqliteLedger: one SQLite file, and beside it the spool that takes entries on the hot path."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.errors import LedgerError, UnknownMessage
from costtrace.ledger.background import BackgroundIngest
from costtrace.ledger.conditions import conditions, know_time
from costtrace.ledger.database import Database
from costtrace.ledger.deliveries import Deliveries
from costtrace.ledger.framed import Framed
from costtrace.ledger.ingest import Ingest, insert_rows
from costtrace.ledger.localtime import LocalTime
from costtrace.ledger.parts import Page, sqlite_pages
from costtrace.ledger.protocol import EVERYTHING, LedgerHealth, Recents, Replaced, Selection, check_groups
from costtrace.ledger.recency import recent
from costtrace.ledger.replacements import replaced
from costtrace.ledger.rolled import Question, totals
from costtrace.ledger.rollups import BATCH, LONG, MUCH_TOO_LONG, VERY_LONG, Rollups
from costtrace.ledger.rows import SELECT, from_row, parts_of, to_line, to_row
from costtrace.ledger.spool import Spool
from costtrace.messages import Message, Totals, fold

_log: Final = logging.getLogger("costtrace")
_WAITING: Final = (  # as the two partial indices have it; with the affinity of its column left on, the second is no use
    "WHERE standing = 'pending' AND replaces IS NULL AND kind = ? AND seq > ? AND NOT EXISTS (SELECT 1 FROM entries"
    " AS later WHERE later.replaces = 'pending'"
    " AND json_extract(later.body, '$.details.corrects') = +entries.entry_id)"
)
_PAGE: Final = 1000
_PATIENCE_S: Final = 0.2
"""How long a report works on the roll-ups at most, for itself and those to come."""
_TURN_S: Final = 0.5
"""The same for the background thread, at each of its turns."""
_REST_S: Final = 0.1
"""Between its turns; where more than a batch was stored in that time, the next turn is later."""
_LEISURE_S: Final = 0.02
"""Its pauses: about as long as it keeps others from writing."""


class SqliteLedger(Framed):
    """An append-only ledger in one SQLite file (WAL), shared by any number of threads and processes.

    `append` is one transaction. `spool` writes the entry to this process's segment in ``<file>-spool/`` and returns; a
    background thread moves segments into the table, and so does every read before it reads. With `fsync` both also
    survive a loss of power.
    """

    def __init__(self, path: Path, *, fsync: bool = False, busy_timeout_s: float = 5.0) -> None:
        self.path = path
        self._database = Database(path, synchronous="FULL" if fsync else "NORMAL", busy_timeout_s=busy_timeout_s)
        self._spool = Spool(path.with_name(path.name + "-spool"), fsync=fsync)
        self._ingest = Ingest(self._database, self._spool)
        self._background = BackgroundIngest(self._follow)
        self._behind = False
        self._appended = 0
        self._closing = False
        self.rollups = Rollups(self._database)
        """Sums that reports begin with; they follow the entries by themselves."""
        self.deliveries = Deliveries(self._database, self._catch_up)
        """How far each exporter is; for the outbox."""
        _live.add(self)

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self.path)

    @property
    def exists(self) -> bool:
        """Whether anything was ever stored here; asking does not make the file."""
        return self.path.exists() or bool(self._spool.segments())

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        """Store the entries in one transaction and answer the ids of those that were new."""
        rows = [parts_of(to_row(entry)) for entry in entries]
        if not rows:
            return frozenset()
        self._catch_up()  # what was spooled came first, and the first of an id wins
        with self._database.writing() as connection:
            last = _last_seq(connection)
            if insert_rows(connection, rows) == len(rows):
                new = frozenset(values[0] for _, values, _ in rows)
            else:
                found = connection.execute("SELECT entry_id FROM entries WHERE seq > ?", (last,))
                new = frozenset(entry_id for (entry_id,) in found)
        self._appended += len(new)
        if self._appended >= VERY_LONG:
            self._appended = 0
            self._background.notice()
        return new

    def spool(self, entry: Entry) -> None:
        """Make the entry durable now; it is in the table after the next read, or a moment later."""
        self.spool_line(to_line(to_row(entry)))

    def spool_line(self, line: bytes) -> None:
        """As `spool`, for an entry that is written as a line already (`costtrace.ledger.rows.to_line`)."""
        self._spool.write(line)
        self._background.notice()

    def message(self, message_uuid: str) -> Message:
        """The message of that uuid; raises UnknownMessage."""
        rows = self._read(SELECT + "WHERE message_uuid = ?", (message_uuid,))
        if not rows:
            raise UnknownMessage(message_uuid, f"ledger {self.name!r}")
        return fold(from_row(row[1:]) for row in rows)

    def entries(
        self, *, after: int = 0, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Iterator[tuple[int, Entry]]:
        """The entries behind a sequence number, page by page, so that a long walk holds no lock."""
        left = limit
        while left is None or left > 0:
            page = _PAGE if left is None else min(_PAGE, left)
            where, values = conditions(selection)
            rows = self._read(f"{SELECT}WHERE seq > ? {where} ORDER BY seq LIMIT ?", (after, *values, page))
            yield from ((row[0], from_row(row[1:])) for row in rows)
            if len(rows) < page:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def pages(self, parts: Sequence[str], selection: Selection = EVERYTHING) -> Iterator[Page]:
        """Parts of the selected entries as columns, for data frames; see `costtrace.ledger.parts`."""
        self._catch_up()
        return sqlite_pages(self._database, parts, selection)

    def find(self, entry_id: str) -> Entry | None:
        """The entry of that id, where there is one."""
        rows = self._read(SELECT + "WHERE entry_id = ?", (entry_id,))
        return from_row(rows[0][1:]) if rows else None

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The pending entries of those kinds that nothing has replaced, page by page."""
        for kind in kinds:
            after = 0
            while rows := self._read(f"{SELECT}{_WAITING} ORDER BY seq LIMIT ?", (kind, after, _PAGE)):
                yield from (from_row(row[1:]) for row in rows)
                after = rows[-1][0]

    def totals(
        self, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC
    ) -> dict[tuple[str | None, ...], Totals]:
        """The totals of each group, summed by SQLite in integers of 1e-12 and so exactly."""
        fields, local = check_groups(by), LocalTime(zone)
        self._catch_up()
        self.rollups.shorten(_PATIENCE_S)
        with self._database.snapshot() as connection:
            know_time(connection, local)
            return totals(connection, Question(fields=fields, selection=selection, local=local))

    def replaced(self, by: Sequence[str], selection: Selection = EVERYTHING, zone: tzinfo = UTC) -> Replaced:
        """The groups of the messages in which something was replaced, alike ones once; found through an index."""
        question = Question(fields=check_groups(by), selection=selection, local=LocalTime(zone))
        self._catch_up()
        with self._database.snapshot() as connection:
            know_time(connection, question.local)
            alike = list(replaced(connection, by, selection, zone))
            return Replaced(totals=totals(connection, question), messages=alike)

    def recent(self, limit: int, *, before: int | None = None, selection: Selection = EVERYTHING) -> Recents:
        """The messages whose latest selected entry was stored last."""
        self._catch_up()
        with self._database.snapshot() as connection:
            return recent(connection, limit, before, selection)

    def last_seq(self) -> int:
        """The sequence number of the entry that was stored last; 0 where there is none."""
        self._catch_up()
        with self._database.reading() as connection:
            return _last_seq(connection)

    def report_loss(self, count: int, reason: str) -> None:
        """Remember that entries were lost."""
        with self._database.writing() as connection:
            values = (time.time_ns() // 1000, count, reason)
            connection.execute("INSERT INTO losses (reported_us, entries, reason) VALUES (?, ?, ?)", values)

    def flush(self) -> None:
        """Bring every segment into the table; raises LedgerUnavailable or LedgerUnusable."""
        self._ingest.run()

    def health(self) -> LedgerHealth:
        """How the file is doing; never raises."""
        problem: str | None = None
        entries = rejected = lost = 0
        try:
            self._ingest.run()
        except LedgerError as error:
            problem = str(error)
        try:
            with self._database.reading() as connection:
                entries, rejected, lost = connection.execute(
                    "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM rejected),"
                    " (SELECT coalesce(sum(entries), 0) FROM losses)"
                ).fetchone()
        except LedgerError as error:
            return LedgerHealth(
                name=self.name, entries=None, waiting=self._spool.waiting(), rejected=0, lost=0, problem=str(error)
            )
        waiting = self._spool.waiting() if problem else 0
        return LedgerHealth(
            name=self.name, entries=entries, waiting=waiting, rejected=rejected, lost=lost, problem=problem
        )

    def close(self) -> None:
        """Move what was spooled into the table and let go of all files; what cannot be moved now stays in the spool."""
        self._closing = True
        self._background.stop()
        self._closing = False
        self._spool.close()
        try:
            self._ingest.run()
        except LedgerError as error:
            _log.warning("%s; what was spooled waits in %s", error, self._spool.directory)
        self._database.close()

    def before_fork(self) -> None:
        """Let go of the file: no SQLite connection may be open across a fork."""
        self._database.before_fork()

    def after_fork_in_parent(self) -> None:
        """Go on as before."""
        self._database.after_fork_in_parent()

    def after_fork(self) -> None:
        """In a forked child: start with a segment, a connection and a thread of its own."""
        self._database.after_fork()
        self._spool.after_fork()
        self._ingest.after_fork()
        self._background = BackgroundIngest(self._follow)
        self._closing = False

    def _follow(self) -> None:
        """In the background: ingest, and let the roll-ups follow once they are a long way behind, turn by turn."""
        self._ingest.run()
        tail = self.rollups.tail()
        far = tail >= VERY_LONG
        while far and not self._closing:
            time.sleep(_REST_S)
            self._ingest.run()
            before, tail = tail, self.rollups.tail()
            if before + BATCH < tail < MUCH_TOO_LONG:
                continue  # very much is stored at the moment, and need not wait for this
            self.rollups.shorten(_TURN_S, pause_s=_LEISURE_S)
            before, tail = tail, self.rollups.tail()
            far = LONG <= tail < before  # where others write all the time, it goes on with the next entries

    def _catch_up(self) -> None:
        """Ingest before a read, so that a reader sees what was spooled; a store that cannot be written can be read."""
        try:
            self._ingest.run()
        except LedgerError as error:
            if not self._behind:  # an outbox asks every second
                _log.warning("%s; entries that wait in the spool are not shown", error)
            self._behind = True
        else:
            self._behind = False

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        self._catch_up()
        with self._database.reading() as connection:
            return connection.execute(sql, values).fetchall()


def _last_seq(connection: Any) -> int:
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]
    return last


_live: Final[weakref.WeakSet[SqliteLedger]] = weakref.WeakSet()


def _at_exit() -> None:
    for ledger in list(_live):
        try:
            ledger.close()
        except Exception:  # noqa: BLE001 - the others have to be closed as well
            _log.exception("ledger %s could not be closed; what was spooled waits for the next process", ledger.name)


_fork_lock: Final = threading.Lock()
_forking: Final[list[SqliteLedger]] = []


def _before_fork() -> None:
    _fork_lock.acquire()
    for ledger in list(_live):
        ledger.before_fork()
        _forking.append(ledger)


def _after_fork_in_parent() -> None:
    try:
        while _forking:
            _forking.pop().after_fork_in_parent()
    finally:
        _fork_lock.release()


def _after_fork() -> None:
    try:
        while _forking:
            _forking.pop().after_fork()
    finally:
        _fork_lock.release()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork)
