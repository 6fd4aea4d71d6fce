"""DynamoDBLedger: entries in one table of DynamoDB, shared by everybody who may write to it."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerError, LedgerUnavailable, UnknownMessage
from costtrace.ledger.dynamodb.buffer import Buffer
from costtrace.ledger.dynamodb.feed import Feed, number_of
from costtrace.ledger.dynamodb.items import LOSSES, SID, SID_ROW, SMS, Rows, entry_of, message_key, rows_of, sid_of
from costtrace.ledger.dynamodb.parallel import Written, of_one_id, of_one_message, write_all
from costtrace.ledger.dynamodb.table import Table
from costtrace.ledger.dynamodb.waits import Waits
from costtrace.ledger.dynamodb.writing import Writer
from costtrace.ledger.framed import Framed
from costtrace.ledger.protocol import EVERYTHING, LedgerHealth, Recent, Recents, Replaced, Selection
from costtrace.ledger.selecting import is_selected, replaced_by, totals_by
from costtrace.messages import Message, Totals, fold

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_log: Final = logging.getLogger("costtrace")
_MOST: Final = 10_000
"""Entries that wait in memory at most, in a scope or after one."""
_SPARE_S: Final = 0.1
"""How long before the end of the time that remains a scope stops writing."""


class DynamoDBLedger(Framed):
    """An append-only ledger in one table, written with put-if-absent only. Safe to use from many threads.

    An entry is known by its message and its id. `append` and `spool` return when DynamoDB has what they were given,
    unless a `scope` is open; `client` is one of `dynamodb_client`, `concurrency` how many messages are written at once.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        *,
        table: str = "costtrace-ledger",
        clock: Callable[[], int] = time.time_ns,
        concurrency: int = 8,
    ) -> None:
        if type(concurrency) is not int or concurrency < 1:
            raise InvalidValue("concurrency", concurrency, "how many messages are written at once, 1 or more")
        self._table = Table(client, table)
        self._clock = clock
        self._concurrency = concurrency
        self._feed = Feed(self._table)
        self._waits = Waits(self._table, clock)
        self._writer = Writer(self._table, self._feed, self._waits, clock)
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._executor: ThreadPoolExecutor | None = None
        self._left = Buffer(_MOST)
        _live.add(self)

    @property
    def name(self) -> str:
        """``dynamodb://<region>/<table>``."""
        return f"dynamodb://{self._table.region}/{self._table.name}"

    @property
    def write_units(self) -> Decimal:
        """What DynamoDB said the writes of this object cost so far, in write units."""
        return self._table.write_units

    @property
    def read_units(self) -> Decimal:
        """What it said the reads cost so far, in read units."""
        return self._table.read_units

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        """Store the entries, those of one message in their order, and answer the ids of those that were new.

        All are checked before the first is stored. Where this raises, some may be stored; appending again completes it.
        """
        rows = [rows_of(entry) for entry in entries]
        self._catch_up()  # what was spooled came first, and the first of an id wins
        written = write_all(rows, self._writer, self._pool, in_order=of_one_message)
        if written.error is not None:
            raise written.error
        return written.new

    def spool(self, entry: Entry) -> None:
        """Store the entry; within a `scope`, at its end, unless its cost is still to come.

        Such an entry tells of something under way, such as an SMS that Twilio is about to be asked for.
        """
        rows = rows_of(entry)
        if rows.waits or not self._held(rows):
            self._writer.write(rows, self._writer.number())

    @contextmanager
    def scope(self, remaining_s: Callable[[], float] | None = None) -> Iterator[None]:
        """What is spooled within waits in memory until the end, and is then written, several entries at once.

        `remaining_s` tells how many seconds the caller still has, such as what is left to a Lambda function. What could
        not be written in that time waits for the next scope's end, or for `flush`, which says so; nothing is raised
        here. A process that dies within the scope takes what was spooled in it along. A task or thread that was begun
        within the scope and outlives it stores what it spools then at once.
        """
        buffer = Buffer(_MOST)
        token = _scopes.set((*_scopes.get(), (self, buffer)))
        try:
            yield
        finally:
            self._left.extend(buffer.close())
            with suppress(ValueError):  # left in another context than it was entered in, as an async generator's may be
                _scopes.reset(token)
            within_s = None if remaining_s is None else max(remaining_s() - _SPARE_S, 0.0)
            written = self._write_left(within_s)
            if written.left:
                _log.error("%s", _problem(self.name, written))

    def message(self, message_uuid: str) -> Message:
        """The message of that uuid, by one consistent query; raises UnknownMessage."""
        self._catch_up()
        found = [entry for row in self._table.partition(message_key(message_uuid)) if (entry := entry_of(row))]
        if not found:
            raise UnknownMessage(message_uuid, f"ledger {self.name!r}")
        return fold(found)

    def find(self, entry_id: str) -> Entry | None:
        """The entry ``sms/<MessageSid>``, consistently; raises InvalidValue for any other id.

        Others can only be found through their message, which their id does not name.
        """
        sid = sid_of(entry_id)
        if sid is None:
            raise InvalidValue("entry_id", entry_id, f"an id that names an SMS, such as '{SMS}SM...', in DynamoDB")
        self._catch_up()
        claim = self._table.get(f"{SID}{sid}", SID_ROW)
        row = None if claim is None else self._table.get(message_key(claim["messageUuid"]["S"]), entry_id)
        return None if row is None else entry_of(row)

    def entries(
        self, *, after: int = 0, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Iterator[tuple[int, Entry]]:
        """The entries behind a sequence number, from an index that may be a moment behind the table."""
        if limit is not None and limit <= 0:
            return
        self._catch_up()
        given = 0
        since = None if selection.since is None else selection.since.date()
        page = limit if selection == EVERYTHING else None
        for row in self._feed.walk(after=after, page=page, since=since):
            entry = entry_of(row)
            if entry is not None and is_selected(entry, selection):
                yield number_of(row), entry
                given += 1
                if given == limit:
                    return

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The pending entries of those kinds that nothing has replaced, consistently."""
        self._catch_up()
        yield from self._waits.waiting(kinds)

    def totals(
        self, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC
    ) -> dict[tuple[str | None, ...], Totals]:
        """The totals of each group, summed here: every selected entry is read."""
        return totals_by((entry for _, entry in self.entries(selection=selection)), by, zone)

    def replaced(self, by: Sequence[str], selection: Selection = EVERYTHING, zone: tzinfo = UTC) -> Replaced:
        """The groups of each message in which something was replaced."""
        return replaced_by((entry for _, entry in self.entries(selection=selection)), by, zone)

    def recent(self, limit: int, *, before: int | None = None, selection: Selection = EVERYTHING) -> Recents:
        """The messages whose latest selected entry was stored last, as far as the index has it."""
        self._catch_up()
        found: dict[str, Recent] = {}
        for row in self._feed.walk_back(before=before) if limit > 0 else ():
            entry, seq = entry_of(row), number_of(row)
            if entry is None or not is_selected(entry, selection) or entry.message_uuid in found:
                continue
            if before is None or not self._has_later(entry.message_uuid, before, selection):
                found[entry.message_uuid] = Recent(message_uuid=entry.message_uuid, seq=seq)
            if len(found) == limit:
                break
        page = list(found.values())
        return Recents(page, page[-1].seq if 0 < limit == len(page) else None)

    def last_seq(self) -> int:
        """The sequence number of the entry that was stored last, as far as the index has it; 0 where there is none."""
        self._catch_up()
        return self._feed.last()

    def report_loss(self, count: int, reason: str) -> None:
        """Remember that entries were lost."""
        self._table.put(
            {
                "pk": {"S": LOSSES},
                "sk": {"S": f"{self._clock() // 1000}#{secrets.token_hex(4)}"},
                "entries": {"N": str(count)},
                "reason": {"S": reason},
            }
        )

    def flush(self) -> None:
        """Write what waits, in a scope that is open here or since one ended.

        Raises LedgerUnavailable or LedgerUnusable, saying how many entries still wait.
        """
        for buffer in self._open_scopes():
            self._left.extend(buffer.take())
        written = self._write_left()
        if written.left:
            kind = LedgerUnavailable if written.error is None else type(written.error)
            raise kind(_problem(self.name, written)) from written.error

    def health(self) -> LedgerHealth:
        """How the table is doing, by one query; entries are not counted. Never raises."""
        lost, problem = 0, None
        try:
            lost = sum(int(row["entries"]["N"]) for row in self._table.partition(LOSSES))
        except LedgerError as error:
            problem = str(error)
        if len(self._left):
            problem = problem or f"ledger {self.name!r}: {len(self._left)} entries wait in memory"
        return LedgerHealth(name=self.name, entries=None, waiting=0, rejected=0, lost=lost, problem=problem)

    def close(self) -> None:
        """Write what waits; what cannot be written now still waits for the next use."""
        try:
            self.flush()
        except LedgerError as error:
            _log.error("%s", error)
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's to write, and so are the connections."""
        self._lock = threading.RLock()
        self._executor = None
        self._left.after_fork()
        for buffer in self._open_scopes():
            buffer.after_fork()
        self._table.after_fork()
        self._writer.after_fork()

    def _has_later(self, message_uuid: str, seq: int, selection: Selection) -> bool:
        """Whether the message was on an earlier page: it has a selected entry of that number or a greater one."""
        rows = self._table.partition(message_key(message_uuid))
        return any(
            (entry := entry_of(row)) is not None and number_of(row) >= seq and is_selected(entry, selection)
            for row in rows
        )

    def _open_scopes(self) -> list[Buffer]:
        """The scopes of this ledger that were opened around here, the outermost first; some may have ended by now."""
        return [buffer for ledger, buffer in _scopes.get() if ledger is self]

    def _held(self, rows: Rows) -> bool:
        """Whether a scope that is open here keeps the entry. Raises LedgerUnavailable where too many wait already."""
        scopes = self._open_scopes()
        if scopes and len(self._left) >= _MOST:
            raise LedgerUnavailable(f"ledger {self.name!r}: {len(self._left)} entries wait in memory already")
        return any(buffer.add(rows) for buffer in reversed(scopes))

    def _catch_up(self) -> None:
        """Write what the scopes around here hold, so that a reader sees what was spooled. Raises as `append` does."""
        for buffer in self._open_scopes():
            if not len(buffer):
                continue
            written = write_all(buffer.take(), self._writer, self._pool, in_order=of_one_id)
            if not buffer.put_back(written.left):
                self._left.extend(written.left)
            if written.error is not None:
                raise written.error

    def _write_left(self, within_s: float | None = None) -> Written:
        written = write_all(self._left.take(), self._writer, self._pool, in_order=of_one_id, within_s=within_s)
        self._left.put_back(written.left)
        return written

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._concurrency, thread_name_prefix="costtrace-dynamodb")
            return self._executor


def _problem(name: str, written: Written) -> str:
    reason = "the time was over" if written.error is None else str(written.error)
    return f"ledger {name!r}: {len(written.left)} entries wait in memory; {reason}"


_scopes: Final[ContextVar[tuple[tuple[DynamoDBLedger, Buffer], ...]]] = ContextVar("costtrace_scopes", default=())
"""The open scopes of all ledgers, the innermost last."""

_live: Final[weakref.WeakSet[DynamoDBLedger]] = weakref.WeakSet()


def _at_exit() -> None:
    for ledger in list(_live):
        ledger.close()


def _after_fork() -> None:
    for ledger in list(_live):
        ledger.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
