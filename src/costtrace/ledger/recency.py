"""The messages something was stored of last, found without reading a long ledger.

First the newest entries are looked at, among which a page of most selections is. Where there is none, the selection is
rare or of long ago, and it is looked for through an index, or in the days in which the roll-ups know of such entries.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from costtrace.jsontext import encode
from costtrace.ledger.conditions import conditions, said_conditions
from costtrace.ledger.protocol import Recent, Selection, field_of
from costtrace.ledger.rollups import DAY_US, DAYS, SHAPE, cursor_of, has_rollups
from costtrace.ledger.sums import IN_RANGES, Source

NEWEST: Final = 20_000
"""Entries that are looked at first."""
_FEW_DAYS: Final = 31
"""Of more days than that, some day not long ago may well give a page."""
_INDICES: Final = {"message": "entries_by_message", "user": "entries_by_user"}
_BY_NUMBER: Final = "entries NOT INDEXED"


def recent(
    connection: sqlite3.Connection, limit: int, before: int | None, selection: Selection, *, newest: int = NEWEST
) -> list[Recent]:
    """The messages whose latest selected entry has the greatest numbers in front of `before`, within a snapshot."""
    last = connection.execute("SELECT coalesce(max(seq), 0) + 1 FROM entries").fetchone()[0]
    end = last if before is None else min(before, last)
    where, values = conditions(selection)
    behind = Source(f"AND entries.seq < ? AND entries.seq >= ? {where}", (end, end - newest, *values), _BY_NUMBER)
    found = _page(connection, limit, behind, selection)
    if len(found) == limit or end <= newest:
        return found
    table, given = _place(connection, selection, end - newest)
    number = "entries.seq" if table == _BY_NUMBER else "+entries.seq"
    return _page(connection, limit, Source(f"AND {number} < ? {where}", (end, *values), table, given), selection)


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


def _place(connection: sqlite3.Connection, selection: Selection, newest: int) -> tuple[str, tuple[str, ...]]:
    """Where to look for the selected entries: what stands behind FROM, and its values."""
    for word, index in _INDICES.items():
        if selection.where.get(word) is not None:
            return f"entries INDEXED BY {index}", ()
    if selection.since is not None or selection.until is not None:
        return "entries INDEXED BY entries_by_time", ()
    fields = {field_of(word, "where") for word in selection.where}
    if fields and fields.issubset(SHAPE) and has_rollups(connection) and cursor_of(connection) >= newest:
        days = _days(connection, selection)
        if len(days) <= _FEW_DAYS:
            return IN_RANGES, (encode([(day * DAY_US, (day + 1) * DAY_US) for day in days]),)
    return _BY_NUMBER, ()


def _days(connection: sqlite3.Connection, selection: Selection) -> list[int]:
    """The days that have such entries, and were rolled up; a few at most."""
    where, values = said_conditions(selection, "rollup_shapes", nothing="")
    rows = connection.execute(
        "SELECT DISTINCT rollups.start FROM rollup_shapes CROSS JOIN rollups"  # noqa: S608 - all of it is ours
        f" ON rollups.level = ? AND rollups.shape = rollup_shapes.id WHERE true {where} LIMIT ?",
        (DAYS.number, *values, _FEW_DAYS + 1),
    )
    return [day for (day,) in rows]
