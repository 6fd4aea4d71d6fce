"""Are the roll-ups what the entries add up to? Counted again in Python, day by day, apart from how they were made."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import Any, Final

from costtrace.errors import LedgerUnusable
from costtrace.ledger.localtime import QUARTER_US
from costtrace.ledger.rollups import DAY_US, LEVELS, SHAPE, Level, cursor_of, has_rollups, stretch
from costtrace.ledger.sums import CURRENCIES, MEASURES

_COLUMNS: Final = (*SHAPE, *CURRENCIES)
_KEYS: Final = 2 + len(_COLUMNS)
_SAID: Final = ", ".join(f"coalesce(entries.{column}, '')" for column in _COLUMNS)
_COUNTED: Final = (
    f"SELECT {stretch('occurred_us', QUARTER_US)}, coalesce(user_id, ''), {_SAID}, {', '.join(MEASURES.values())}"  # noqa: S608 - all of it is ours, here and below
    " FROM entries INDEXED BY entries_by_time WHERE occurred_us >= ? AND occurred_us < ? AND +seq <= ?"
    f" GROUP BY {', '.join(str(number + 1) for number in range(_KEYS))}"
)
_SHAPES: Final = ", ".join(f"rollup_shapes.{column}" for column in _COLUMNS)
_ROLLED: Final = (
    f"SELECT coalesce(user_id, ''), {_SHAPES}, {', '.join(MEASURES)}"  # noqa: S608
    " FROM rollups LEFT JOIN rollup_users ON rollup_users.id = rollups.user"
    " LEFT JOIN rollup_shapes ON rollup_shapes.id = rollups.shape WHERE level = ? AND start = ?"
)

_Sums = dict[tuple[str, ...], list[int]]
"""By user and shape; what a level does not tell apart is ''."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recount:
    """What a recount found."""

    entries: int
    """The sequence number up to which entries are in the roll-ups."""
    sums: int
    """How many sums the roll-ups have."""
    wrong: int
    """How many of them are missing, different, or have no entries behind them."""


def recount(path: Path, tell: Callable[[int], None] = lambda _: None) -> Recount | None:
    """Count the entries of a ledger's file again that are in its roll-ups; None where it has none yet.

    It reads as of one moment, on a connection of its own, and holds nobody up. `tell` is called for each day with the
    number of its groups. Raises LedgerUnusable for a file that cannot be read.
    """
    name = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(name, uri=True, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            return _recount(connection, tell) if has_rollups(connection) else None
    except sqlite3.Error as error:
        raise LedgerUnusable(f"ledger {str(path)!r}: {error}") from error


def _recount(connection: sqlite3.Connection, tell: Callable[[int], None]) -> Recount:
    cursor, comparison = cursor_of(connection), _Comparison(connection)
    for day in _days(connection):
        groups = connection.execute(_COUNTED, (day * DAY_US, (day + 1) * DAY_US, cursor)).fetchall()
        for quarter, *row in groups:
            comparison.count(quarter, tuple(row[: _KEYS - 1]), row[_KEYS - 1 :])
        comparison.compare(before_us=(day + 1) * DAY_US)
        tell(len(groups))
    comparison.compare()
    sums: int = connection.execute("SELECT count(*) FROM rollups").fetchone()[0]
    without_entries = sums - comparison.met
    return Recount(entries=cursor, sums=sums, wrong=comparison.wrong + without_entries)


def _days(connection: sqlite3.Connection) -> Iterator[int]:
    """The days that have entries, each found by one look into the index."""
    first = "SELECT min(occurred_us) FROM entries"
    found = connection.execute(first).fetchone()[0]
    while found is not None:
        yield (day := found // DAY_US)
        found = connection.execute(f"{first} WHERE occurred_us >= ?", ((day + 1) * DAY_US,)).fetchone()[0]


class _Comparison:
    """Counts stretch by stretch, and compares each as soon as it is whole."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._counted: dict[tuple[Level, int], _Sums] = {}
        self.met = 0
        self.wrong = 0

    def count(self, quarter: int, said: tuple[str, ...], sums: Sequence[int]) -> None:
        for level in LEVELS:
            counted = self._counted.setdefault((level, quarter * QUARTER_US // level.span_us), {})
            key = _as_in(level, said)
            counted[key] = [*map(add, counted[key], sums)] if key in counted else [*sums]

    def compare(self, before_us: int | None = None) -> None:
        for level, start in list(self._counted):
            if before_us is None or (start + 1) * level.span_us <= before_us:
                self._compare(level, start, self._counted.pop((level, start)))

    def _compare(self, level: Level, start: int, counted: _Sums) -> None:
        for row in self._connection.execute(_ROLLED, (level.number, start)):
            said: tuple[Any, ...] = row[: _KEYS - 1]
            self.met += 1
            self.wrong += counted.pop(_as_in(level, said), None) != [*row[_KEYS - 1 :]]
        self.wrong += len(counted)


def _as_in(level: Level, said: tuple[str, ...]) -> tuple[str, ...]:
    """User, shape and currencies as far as the level tells them apart."""
    user, *shape = said
    kept = shape if level.by_shape else [*[""] * len(SHAPE), *shape[len(SHAPE) :]]
    return (user if level.by_user else "", *kept)
