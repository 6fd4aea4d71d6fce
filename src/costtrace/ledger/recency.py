"""The messages something was stored of last, found without reading a long ledger.

First the newest entries are looked at, among which a page of most selections is. Where there is none, the selection is
rare or of long ago, and it is looked for through an index, or in the stretches of time in which the roll-ups know of
such entries. What no index leads to is looked for backwards for a while; the page then says where to go on.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from costtrace.jsontext import encode
from costtrace.ledger.conditions import conditions, said_conditions
from costtrace.ledger.localtime import QUARTER_US
from costtrace.ledger.protocol import EVERYTHING, Recent, Recents, Selection, field_of
from costtrace.ledger.rollups import QUARTERS, SHAPE, cursor_of, has_rollups
from costtrace.ledger.sums import IN_RANGES, Source

NEWEST: Final = 20_000
"""Entries that are looked at first."""
STRIDE: Final = 200_000
"""Entries that are looked at next, time after time, where no index leads to them."""
PATIENCE_S: Final = 1.0
"""How long they are looked for."""
_FEW: Final = 100_000
"""Entries that an index may lead to: they are all read and sorted."""
_FEW_QUARTERS: Final = 2_000
_INDICES: Final = {"message": "entries_by_message", "user": "entries_by_user"}


def recent(
    connection: sqlite3.Connection,
    limit: int,
    before: int | None,
    selection: Selection,
    *,
    newest: int = NEWEST,
    within_s: float = PATIENCE_S,
) -> Recents:
    """The messages whose latest selected entry has the greatest numbers in front of `before`, within a snapshot."""
    until = time.monotonic() + within_s
    last = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM entries").fetchone()[0]
    end = last if before is None else min(before, last)
    start = max(end - newest, 1)
    found = _page(connection, limit, _numbered(start, end, selection), selection)
    if len(found) < limit and start > 1 and (place := _place(connection, selection, start)) is not None:
        found += _page(connection, limit - len(found), place, selection)
        start = 1
    while len(found) < limit and start > 1 and time.monotonic() < until:
        start, end = max(start - STRIDE, 1), start
        found += _page(connection, limit - len(found), _numbered(start, end, selection), selection)
    full = 0 < limit == len(found)
    return Recents(found, found[-1].seq if full else start if start > 1 and limit > 0 else None)


def _numbered(start: int, end: int, selection: Selection) -> Source:
    where, values = conditions(selection)
    return Source(f"AND entries.seq >= ? AND entries.seq < ? {where}", (start, end, *values), "entries NOT INDEXED")


def _page(connection: sqlite3.Connection, limit: int, source: Source, selection: Selection) -> list[Recent]:
    later, values = conditions(selection, "later")
    rows = connection.execute(
        f"SELECT entries.message_uuid, entries.seq FROM {source.table} WHERE true {source.where}"  # noqa: S608 - all of it is ours
        " AND NOT EXISTS (SELECT 1 FROM entries AS later INDEXED BY entries_by_message"
        f" WHERE later.message_uuid = entries.message_uuid AND later.seq > entries.seq {later})"
        " ORDER BY entries.seq DESC LIMIT ?",
        (*source.given, *source.values, *values, limit),
    )
    return [Recent(message_uuid=message_uuid, seq=seq) for message_uuid, seq in rows]


def _place(connection: sqlite3.Connection, selection: Selection, end: int) -> Source | None:
    """Few entries, among which are all of the selection with a number below `end`; None where no index has them."""
    where, values = conditions(selection)
    for table, given, narrowed in _candidates(connection, selection, end):
        condition, texts = conditions(narrowed)
        few = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE true {condition} LIMIT {_FEW})"  # noqa: S608 - all of it is ours
        if connection.execute(few, (*given, *texts)).fetchone()[0] < _FEW:
            return Source(f"AND +entries.seq < ? {where}", (end, *values), table, given)
    return None


def _candidates(
    connection: sqlite3.Connection, selection: Selection, end: int
) -> Iterator[tuple[str, tuple[str, ...], Selection]]:
    """What stands behind FROM, its values, and as much of the selection as the index has itself."""
    for word, index in _INDICES.items():
        if (said := selection.where.get(word)) is not None:
            yield f"entries INDEXED BY {index}", (), replace(selection, where={word: said})
    if selection.since is not None or selection.until is not None:
        yield "entries INDEXED BY entries_by_time", (), replace(selection, where={})
    fields = {field_of(word, "where") for word in selection.where}
    if fields and fields.issubset(SHAPE) and has_rollups(connection) and cursor_of(connection) >= end - 1:
        quarters = _quarters(connection, selection)
        if len(quarters) < _FEW_QUARTERS:
            ranges = [(quarter * QUARTER_US, (quarter + 1) * QUARTER_US) for quarter in quarters]
            yield IN_RANGES, (encode(ranges),), EVERYTHING


def _quarters(connection: sqlite3.Connection, selection: Selection) -> list[int]:
    """The quarters of an hour that have such entries, and were rolled up; a few at most."""
    where, values = said_conditions(selection, "rollup_shapes", nothing="")
    rows = connection.execute(
        "SELECT DISTINCT rollups.start FROM rollups CROSS JOIN rollup_shapes ON rollup_shapes.id = rollups.shape"  # noqa: S608 - all of it is ours
        f" WHERE rollups.level = ? {where} LIMIT ?",
        (QUARTERS.number, *values, _FEW_QUARTERS),
    )
    return [quarter for (quarter,) in rows]
