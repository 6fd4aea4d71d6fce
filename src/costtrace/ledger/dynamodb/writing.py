"""Writing one entry: what leads to it first, then its row, then what it makes needless.

Each step is idempotent and none is undone: who is interrupted anywhere and writes the entry again ends where an
undisturbed writer does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from costtrace.errors import LedgerError, LedgerUnusable
from costtrace.ledger.dynamodb.feed import Feed, Numbers
from costtrace.ledger.dynamodb.items import SID, SID_ROW, Rows, message_key
from costtrace.ledger.dynamodb.table import Table
from costtrace.ledger.dynamodb.waits import Waits

_log: Final = logging.getLogger("costtrace")
_ABANDONED_US: Final = 86_400_000_000
"""When a SID that was claimed for a message may be claimed for another, if the first never got its entry."""


class Writer:
    """Writes entries into the table, each once. Safe to use from many threads."""

    def __init__(self, table: Table, feed: Feed, waits: Waits, clock: Callable[[], int]) -> None:
        self._table = table
        self._feed = feed
        self._waits = waits
        self._clock = clock
        self._numbers = Numbers(clock)

    def number(self) -> int:
        """The next sequence number; entries that are to be read in some order are numbered in it beforehand."""
        return self._numbers.next()

    def write(self, rows: Rows, seq: int) -> bool:
        """Store the entry under that number; whether it is new. Raises LedgerUnavailable or LedgerUnusable."""
        if rows.sid is not None and not self._is_of(rows.message_uuid, rows.sid, rows.entry_id):
            return False
        if rows.waits:
            self._waits.add(rows)
        row = self._feed.place(rows.row, rows.message_uuid, seq)
        try:
            known = self._table.put_new(row)
        except LedgerUnusable:
            self._feed.forget_days()
            raise
        if known is not None:
            # Where the answer to a request was lost and boto3 asked again, what it found is its own.
            return bool(known.get("seq") == row["seq"])
        if rows.replaced is not None:
            try:
                self._waits.done(rows.message_uuid, rows.replaced)
            except LedgerError as error:  # only a hint: whoever reads it next takes it away
                _log.debug("%s; a hint stays behind", error)
        return True

    def after_fork(self) -> None:
        """In a forked child."""
        self._numbers.after_fork()

    def _is_of(self, message_uuid: str, sid: str, entry_id: str) -> bool:
        """Whether the SMS of that SID belongs to that message: to the first that says so."""
        now_us = self._clock() // 1000
        claim = {
            "pk": {"S": f"{SID}{sid}"},
            "sk": {"S": SID_ROW},
            "messageUuid": {"S": message_uuid},
            "claimedUs": {"N": str(now_us)},
        }
        known = self._table.put_new(claim)
        if known is None or known["messageUuid"] == claim["messageUuid"]:
            return True
        if now_us - int(known["claimedUs"]["N"]) < _ABANDONED_US:
            return False
        if self._table.get(message_key(known["messageUuid"]["S"]), entry_id) is not None:
            return False
        return self._table.put_new(claim, unless="claimedUs = :claimed", claimed=known["claimedUs"]) is None
