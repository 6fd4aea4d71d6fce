"""Totals out of roll-ups: which stretches of time answer a question, and which entries have to be read beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from costtrace.jsontext import encode
from costtrace.ledger.conditions import conditions, said_conditions
from costtrace.ledger.localtime import LABELS, LocalTime
from costtrace.ledger.protocol import Selection, field_of
from costtrace.ledger.rollups import ALL_TIME, DAY_US, LEVELS, SHAPE, Level, cursor_of, has_rollups
from costtrace.ledger.sums import CURRENCIES, IN_RANGES, MEASURES, Source, Sums, entry_sums, finer_sums
from costtrace.messages import Totals
from costtrace.times import to_micros

_USER: Final = "user_id"
_SPANS: Final = {"day": DAY_US, "hour": DAY_US // 24}
_ROLLED: Final = frozenset({*SHAPE, _USER, *LABELS})
"""The fields that roll-ups can be grouped by."""
_PAIRS: Final = f"SELECT DISTINCT {', '.join(CURRENCIES)} FROM rollup_shapes"  # noqa: S608 - our own names
_SHAPE_CURRENCIES: Final = ("rollup_shapes.currency", "rollup_shapes.estimate_currency")

Stretch = tuple[int, tuple[str, ...]]
"""The number of a stretch of time, and its day, its hour or both, where these were asked for."""
Range = tuple[int, int]
"""Two moments in microseconds since 1970, the second behind the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a report asks for: groups by these fields, in which days and hours are those of `local`."""

    fields: tuple[str, ...]
    selection: Selection
    local: LocalTime

    def levels(self) -> list[Level]:
        """The levels that can be part of the answer, the longest stretches first; none where entries must be read."""
        said = {field_of(word, "where") for word in self.selection.where}
        if not (_ROLLED.issuperset(self.fields) and said.issubset(SHAPE)):
            return []
        longest = min([LEVELS[0].span_us, *(_SPANS[field] for field in self.fields if field in _SPANS)])
        by_user = _USER in self.fields
        by_shape = not by_user or bool(said or {*self.fields} - {_USER, *LABELS})
        return [
            level
            for level in LEVELS
            if (level.by_user, level.by_shape) == (by_user, by_shape) and level.span_us <= longest
        ]

    def inside(self, start: int, end: int) -> Range:
        """The part of a stretch of time that is selected; it ends where it begins if there is none."""
        since, until = self.selection.since, self.selection.until
        first = start if since is None else max(start, to_micros(since))
        return first, max(first, end if until is None else min(end, to_micros(until)))

    def labels(self, start: int, end: int) -> tuple[str, ...] | None:
        """The day, the hour or both that all moments of a stretch have; None where they have several."""
        found = [self.local.common(field, start, end) for field in self.fields if field in LABELS]
        known = tuple(label for label in found if label is not None)
        return known if len(known) == len(found) else None


def totals(connection: sqlite3.Connection, question: Question) -> dict[tuple[str | None, ...], Totals]:
    """The totals that were asked for, read within one snapshot."""
    sums, fields = Sums(len(question.fields)), question.fields
    where, values = conditions(question.selection)
    levels = question.levels() if has_rollups(connection) else []
    if not levels:
        entry_sums(connection, fields, Source(where, values), sums)
        if sums.finer:
            finer_sums(connection, fields, Source(where, values), sums)
        return sums.totals()
    cursor = cursor_of(connection)
    edges = _rolled_sums(connection, question, levels, sums)
    if edges:
        said, texts = said_conditions(question.selection)
        behind = Source(f"AND +entries.seq <= ? {said}", (cursor, *texts), IN_RANGES, (encode(edges),))
        entry_sums(connection, fields, behind, sums)
    if sums.finer:
        known = "AND entries.seq IN (SELECT seq FROM rollup_finer)"
        finer_sums(connection, fields, Source(f"{known} {where}", values, "entries NOT INDEXED"), sums)
    rolled = sums.finer
    tail = Source(f"AND entries.seq > ? {where}", (cursor, *values), "entries NOT INDEXED")
    entry_sums(connection, fields, tail, sums)
    if sums.finer > rolled:
        finer_sums(connection, fields, tail, sums)
    return sums.totals()


def _rolled_sums(
    connection: sqlite3.Connection, question: Question, levels: Sequence[Level], sums: Sums
) -> list[Range]:
    """Add the stretches of the levels that lie within the question; the ranges that none of them covers."""
    numbers: Iterable[int] = _existing(connection, levels[0])
    left: list[Range] = []
    for level in levels:
        if left:
            span = level.span_us
            numbers = [number for start, end in left for number in range(start // span, -(-end // span))]
        whole, left = _covered(question, level, numbers)
        _add_stretches(connection, question, level, whole, sums)
        if not left:
            break
    return left


def _covered(question: Question, level: Level, numbers: Iterable[int]) -> tuple[list[Stretch], list[Range]]:
    """The stretches that lie within the question, and are of one group of it; and what is selected of the others."""
    whole: list[Stretch] = []
    left: list[Range] = []
    for number in numbers:
        stretch = number * level.span_us, (number + 1) * level.span_us
        start, end = question.inside(*stretch)
        if start == end:
            continue
        labels = question.labels(start, end) if (start, end) == stretch else None
        if labels is not None:
            whole.append((number, labels))
        elif left and left[-1][1] == start:
            left[-1] = left[-1][0], end
        else:
            left.append((start, end))
    return whole, left


def _existing(connection: sqlite3.Connection, level: Level) -> list[int]:
    """The stretches of a level that have entries, found by one look into the index for each."""
    rows = connection.execute(
        "WITH RECURSIVE found (start) AS (SELECT min(start) FROM rollups WHERE level = :level UNION ALL"
        " SELECT (SELECT min(start) FROM rollups WHERE level = :level AND start > found.start) FROM found"
        " WHERE found.start IS NOT NULL) SELECT start FROM found WHERE start IS NOT NULL",
        {"level": level.number},
    )
    return [start for (start,) in rows]


def _add_stretches(
    connection: sqlite3.Connection, question: Question, level: Level, stretches: Sequence[Stretch], sums: Sums
) -> None:
    runs = _runs(stretches)
    if not runs:
        return
    said, texts = said_conditions(question.selection, "rollup_shapes", nothing="")
    currencies = _currencies(connection)
    columns, group, places = [], ["run.key"], count(2)
    for field in question.fields:
        if field in LABELS:
            columns.append(f"json_extract(run.value, '$[{next(places)}]')")
        else:
            columns.append(f"nullif({'rollup_users.user_id' if field == _USER else f'rollup_shapes.{field}'}, '')")
            group.append("rollups.user" if field == _USER else f"rollup_shapes.{field}")
    columns += [f"nullif({currency}, '')" for currency in currencies]
    group += [currency for currency in currencies if currency in _SHAPE_CURRENCIES]
    users = "CROSS JOIN rollup_users ON rollup_users.id = rollups.user" if level.by_user else ""
    summed = "GROUP BY " + ", ".join(group)
    measures: Iterable[str] = (f"sum({name})" for name in MEASURES)
    if level is ALL_TIME:  # which has one row of most users: to sort them by user takes as long as to read them
        summed, measures = "", MEASURES
    rows = connection.execute(
        f"SELECT {', '.join(columns)}, {', '.join(measures)}"  # noqa: S608 - all of it is ours
        " FROM json_each(?) AS run CROSS JOIN rollups ON level = ?"
        " AND start >= json_extract(run.value, '$[0]') AND start <= json_extract(run.value, '$[1]')"
        f" CROSS JOIN rollup_shapes ON rollup_shapes.id = rollups.shape {users} WHERE true {said} {summed}",
        (encode([(first, last, *labels) for first, last, labels in runs]), level.number, *texts),
    )
    sums.add(rows)


def _currencies(connection: sqlite3.Connection) -> tuple[str, str]:
    """The currencies of a group in SQL. Where there is one alone, groups need not be told apart by it."""
    known = {currency for pair in connection.execute(_PAIRS) for currency in pair if currency}
    if len(known) != 1:
        return _SHAPE_CURRENCIES
    quoted = known.pop().replace("'", "''")
    return f"'{quoted}'", f"'{quoted}'"


def _runs(stretches: Sequence[Stretch]) -> list[tuple[int, int, tuple[str, ...]]]:
    """Neighbours of one group as first and last number."""
    runs: list[tuple[int, int, tuple[str, ...]]] = []
    for number, labels in stretches:
        if runs and runs[-1][1:] == (number - 1, labels):
            runs[-1] = runs[-1][0], number, labels
        else:
            runs.append((number, number, labels))
    return runs
