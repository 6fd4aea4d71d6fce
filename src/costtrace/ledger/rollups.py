"""Roll-ups: sums of entries by time and by what they say, so that a report need not read millions of entries.

They follow the ledger with a cursor of their own over its sequence numbers: an append pays nothing, and a report adds
up roll-ups and the entries behind the cursor, in one snapshot. An entry that is stored late for a day long ago stands
behind the cursor as any other, and is added to that day.

What entries say comes in few combinations, their *shapes*. Each level sums by stretches of one length and by shape;
some tell users apart as well, of whom there are many, so those stretches are longer. The stretches of the levels lie
within each other: what a report asks for is covered by the longest that fit, and by entries at the edges.
"""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Final

from costtrace.errors import LedgerError
from costtrace.ledger.database import Database
from costtrace.ledger.localtime import QUARTER_US
from costtrace.ledger.schema import LAYOUT_WITH_ROLLUPS, version_of
from costtrace.ledger.sums import CURRENCIES, IS_FINER, MEASURES

DAY_US: Final = 96 * QUARTER_US


@dataclass(frozen=True, slots=True)
class Level:
    """One grain of the roll-ups."""

    number: int
    """As it is stored."""
    span_us: int
    """How long its stretches are; they are counted from 1970."""
    by_user: bool = False
    by_shape: bool = True
    """Otherwise its sums stand under the first shape of their currencies."""


DAYS: Final = Level(2, DAY_US)
ALL_TIME: Final = Level(8, 3200 * DAY_US, by_user=True, by_shape=False)
"""Nearly: its stretches are of nine years, so that users are few rows each."""
QUARTERS: Final = Level(4, QUARTER_US)
"""What a day is made of in zones that are half an hour or three quarters off."""
LEVELS: Final = (
    Level(1, 32 * DAY_US),
    DAYS,
    Level(3, DAY_US // 24),
    QUARTERS,
    Level(5, 32 * DAY_US, by_user=True),
    ALL_TIME,
    Level(6, 32 * DAY_US, by_user=True, by_shape=False),
    Level(7, DAY_US, by_user=True, by_shape=False),
)
"""Of one kind, from the longest stretches to the shortest.

Users have no shorter ones, and by shape none of a day: such sums would be nearly as many as the entries.
"""

SHAPE: Final = (
    "channel",
    "direction",
    "environment",
    "kind",
    "message_type",
    "model",
    "provider",
    "cost_status",
)
"""The fields of a shape, beside the currencies."""

BATCH: Final = 1_000
"""Entries that are added in one transaction: others who write, such as webhooks, wait for it."""
BULK: Final = 20_000
"""The same where nobody is kept waiting; each entry then costs half as much."""
LONG: Final = 5_000
"""Entries behind the cursor that a report rather adds than reads."""
_PAUSE_S: Final = 0.001
"""Long enough for a thread that waits to be the next."""
VERY_LONG: Final = 50_000
"""Entries behind the cursor that are worth adding before anybody asks."""
MUCH_TOO_LONG: Final = 1_000_000
"""Entries behind the cursor that are added even while more come in great numbers, which slows those down."""

_COLUMNS: Final = (*SHAPE, *CURRENCIES)
_SAID: Final = ", ".join(f"coalesce(entries.{column}, '')" for column in _COLUMNS)
_NEW: Final = "entries.seq > :after AND entries.seq <= :last"
_SUMS: Final = ", ".join(MEASURES)


def stretch(moment: str, span: int) -> str:
    """The number of the stretch in SQL, which cuts a quotient towards zero: before 1970 it needs the one below."""
    return f"({moment} - ({moment} < 0) * {span - 1}) / {span}"


_USERS: Final = (
    f"INSERT OR IGNORE INTO rollup_users (user_id) SELECT DISTINCT coalesce(user_id, '') FROM entries WHERE {_NEW}"  # noqa: S608 - all of it is ours, here and below
)
_SHAPES: Final = (
    f"INSERT OR IGNORE INTO rollup_shapes ({', '.join(_COLUMNS)}) SELECT DISTINCT {_SAID} FROM entries WHERE {_NEW}"  # noqa: S608
)
_MAKE_FRESH: Final = f"CREATE TEMP TABLE IF NOT EXISTS fresh (start, user, shape, {_SUMS})"
_FRESH: Final = f"""
INSERT INTO temp.fresh
SELECT {stretch("occurred_us", QUARTER_US)}, rollup_users.id, rollup_shapes.id, {", ".join(MEASURES.values())}
FROM entries
CROSS JOIN rollup_users ON rollup_users.user_id = coalesce(entries.user_id, '')
CROSS JOIN rollup_shapes ON {" AND ".join(f"rollup_shapes.{c} = coalesce(entries.{c}, '')" for c in _COLUMNS)}
WHERE {_NEW} GROUP BY 1, 2, 3
"""  # noqa: S608
_FIRST_OF_CURRENCIES: Final = (
    "CROSS JOIN (SELECT id, min(id) OVER (PARTITION BY currency, estimate_currency) AS first FROM rollup_shapes)"
    " AS shapes ON shapes.id = fresh.shape"
)


def _add(level: Level) -> str:
    quarters = level.span_us // QUARTER_US
    return (
        f"INSERT INTO rollups SELECT {level.number}, {stretch('start', quarters)}, {'user' if level.by_user else 0},"  # noqa: S608
        f" {'shape' if level.by_shape else 'first'}, {', '.join(f'sum({name})' for name in MEASURES)}"
        f" FROM temp.fresh {'' if level.by_shape else _FIRST_OF_CURRENCIES} WHERE true GROUP BY 2, 3, 4"
        f" ON CONFLICT DO UPDATE SET {', '.join(f'{name} = {name} + excluded.{name}' for name in MEASURES)}"
    )


_FINER: Final = f"INSERT INTO rollup_finer SELECT seq FROM entries WHERE {_NEW} AND {IS_FINER}"  # noqa: S608


def has_rollups(connection: sqlite3.Connection) -> bool:
    """Whether the file has the tables; one that may only be read can be of an earlier layout."""
    return version_of(connection) >= LAYOUT_WITH_ROLLUPS


def cursor_of(connection: sqlite3.Connection) -> int:
    """The sequence number up to which entries are in the roll-ups."""
    found: int = connection.execute("SELECT seq FROM rollup_cursor").fetchone()[0]
    return found


def tail_of(connection: sqlite3.Connection) -> int:
    """How many sequence numbers have been given since."""
    found: int = connection.execute(
        "SELECT coalesce((SELECT max(seq) FROM entries), 0) - (SELECT seq FROM rollup_cursor)"
    ).fetchone()[0]
    return max(found, 0)


def advance(connection: sqlite3.Connection, most: int = BATCH) -> int:
    """Add the next entries, within a transaction; how many sequence numbers are left."""
    after, tail = cursor_of(connection), tail_of(connection)
    if not tail:
        return 0
    new = {"after": after, "last": after + min(tail, most)}
    connection.execute(_MAKE_FRESH)
    connection.execute("DELETE FROM temp.fresh")
    for statement in (_USERS, _SHAPES, _FRESH, _FINER):
        connection.execute(statement, new)
    for level in LEVELS:
        connection.execute(_add(level))
    connection.execute("UPDATE rollup_cursor SET seq = :last", new)
    return max(tail - most, 0)


class Rollups:
    """Keeps the roll-ups of a file near its end."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tail(self) -> int:
        """How much is behind the cursor; 0 where nobody can say, or it cannot be added."""
        try:
            with self._database.reading() as connection:
                return tail_of(connection) if has_rollups(connection) else 0
        except LedgerError:
            return 0

    def shorten(
        self, within_s: float, *, longer_than: int = LONG, most: int = BATCH, pause_s: float = _PAUSE_S
    ) -> None:
        """Add what is behind the cursor where that is so much, for about so many seconds.

        Between two transactions there is a pause for others to write in. Nothing is added while another process writes,
        or where the file cannot be written: reports are right without.
        """
        until = time.monotonic() + within_s
        left = self.tail()
        try:
            while left >= longer_than and time.monotonic() < until:
                left, longer_than = self.advance(most), 1
                time.sleep(pause_s)
        except LedgerError:
            return

    def advance(self, most: int = BATCH, *, patiently: bool = False) -> int:
        """Add the next entries in one transaction; how many sequence numbers are left.

        Raises LedgerUnavailable, at once or patiently, where another process is writing; or LedgerUnusable.
        """
        with self._database.writing(at_once=not patiently) as connection:
            return advance(connection, most)

    def clear(self) -> None:
        """Begin anew."""
        with self._database.writing() as connection:
            for table in ("rollups", "rollup_finer"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the two words above
            connection.execute("UPDATE rollup_cursor SET seq = 0")
