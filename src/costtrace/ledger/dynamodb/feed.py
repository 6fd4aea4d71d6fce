"""The feed: what was stored when, across all messages.

Each row has a number that grows with the moment it was written, and stands in the index under its UTC day and one of a
few shards. Whoever reads the feed merges the shards of a day by that number, day after day. Two processes may finish in
another order than they numbered, and an index lags behind its table: a reader that follows the feed closely can pass
over a row, and deliveries that must not miss any follow the table's stream instead.
"""

from __future__ import annotations

import heapq
import secrets
import threading
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

from costtrace.ledger.dynamodb.items import FEED, SHARDS, shard_of
from costtrace.ledger.dynamodb.table import Item, Table
from costtrace.ledger.protocol import day_text

_BITS: Final = 10
_DAY_US: Final = 86_400_000_000
_FEW: Final = 50
"""Rows of a shard that are read at a time where a page of messages is wanted."""
_EARLY: Final = timedelta(days=2)
"""How much later than it was stored an entry may claim to have occurred and still be found by its moment."""


class Numbers:
    """Sequence numbers: microseconds since 1970 and ten bits of this process, each greater than the one before."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._last = 0
        self.after_fork()

    def next(self) -> int:
        """A number nobody else has."""
        with self._lock:
            now = (self._clock() // 1000) << _BITS | self._own
            self._last = now if now > self._last else self._last + (1 << _BITS)
            return self._last

    def after_fork(self) -> None:
        """In a forked child, which needs bits of its own."""
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._own = secrets.randbits(_BITS)
        self._last = 0


def day_of(seq: int) -> str:
    """The UTC day on which that number was given."""
    return day_text((seq >> _BITS) // _DAY_US)


class Feed:
    """The table's rows in the order they were stored, as far as anybody knows it."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._opened: set[str] = set()

    def place(self, row: Item, message_uuid: str, seq: int) -> Item:
        """The row with its place in the index; its day is known to readers when this returns."""
        day = day_of(seq)
        if day not in self._opened:
            self._table.put({"pk": {"S": FEED}, "sk": {"S": day}})
            self._opened.add(day)
        return {**row, "feed": {"S": _part(day, shard_of(message_uuid))}, "seq": {"N": str(seq)}}

    def forget_days(self) -> None:
        """Note each day again: the table may be another one by now."""
        self._opened.clear()

    def walk(self, *, after: int = 0, page: int | None = None, since: date | None = None) -> Iterator[Item]:
        """The rows behind that number that occurred on that day or later; `page` is how many are read at a time."""
        first = day_of(after) if after else None
        if since is not None and since > date.min + _EARLY:
            earliest = (since - _EARLY).isoformat()
            first = earliest if first is None else max(first, earliest)
        for day in self._table.partition(FEED, since=first):
            parts = (self._table.feed(_part(day["sk"]["S"], shard), after=after, page=page) for shard in range(SHARDS))
            yield from heapq.merge(*parts, key=number_of)

    def walk_back(self, *, before: int | None = None) -> Iterator[Item]:
        """The rows in front of that number, the greatest number first."""
        for day in self._table.partition(FEED, newest_first=True):
            if before is not None and day["sk"]["S"] > day_of(before):
                continue
            parts = [
                self._table.feed(_part(day["sk"]["S"], shard), before=before, page=_FEW, newest_first=True)
                for shard in range(SHARDS)
            ]
            yield from heapq.merge(*parts, key=number_of, reverse=True)

    def last(self) -> int:
        """The greatest number; 0 where there is none."""
        for day in self._table.partition(FEED, newest_first=True):
            parts = [self._table.feed(_part(day["sk"]["S"], s), page=1, newest_first=True) for s in range(SHARDS)]
            found = [number_of(item) for part in parts if (item := next(part, None)) is not None]
            if found:
                return max(found)
        return 0


def number_of(item: Item) -> int:
    """The sequence number of a row."""
    return int(item["seq"]["N"])


def _part(day: str, shard: int) -> str:
    return f"{day}#{shard}"
