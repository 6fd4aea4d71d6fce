"""How far each exporter is in a ledger, and what could not be delivered to it.

One cursor over the sequence numbers is enough. SQLite has one writer at a time, and a number is drawn inside the
transaction that stores its entry, so entries become visible in the order of their numbers: nothing can appear behind a
cursor later on. Numbers that a known entry_id used up are gaps, which a cursor passes without noticing.

Several processes may deliver from one file. Who does holds a lease, and with it a fencing number that grows with every
owner. Whatever an attempt came to is stored in one transaction, and only if that number is still the newest: who was
stopped in the middle and wakes up after its lease was taken over changes nothing any more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.ledger.database import Database
from costtrace.ledger.letters import DEAD, PARKED, RETRY, Count, Delivery, Failure, Letter, Outcome, Reason
from costtrace.ledger.rows import SELECT, from_row

_COLUMNS: Final = (
    "start, cursor, sent, failures, faults, failing_since_us, next_try_us, stopped, problem, problem_us, owner,"
    " lease_until_us, fence"
)
_LETTER: Final = tuple(slot.name for slot in fields(Letter))
_OVERDUE_PAGE: Final = 10_000
_MANY: Final = 10_000
"""To count more than that, the whole of a narrow index is read sooner than that many rows."""
IMPLAUSIBLE_US: Final = 86_400_000_000
"""Nothing is ever put off for more than a day: what is later was written while the clock was wrong."""


class Deliveries:
    """The cursors, letters and leases in the file of a SQLite ledger. Raises what the ledger raises."""

    def __init__(self, database: Database, catch_up: Callable[[], None]) -> None:
        self._database = database
        self._catch_up = catch_up

    def open(self, exporter: str, *, from_now: bool) -> None:
        """Begin with an exporter: with the first entry, or with those stored from now on. Known ones go on."""
        self._catch_up()
        if self.get(exporter) is not None:
            return
        with self._database.writing() as connection:
            start = _last_seq(connection) if from_now else 0
            connection.execute(
                "INSERT OR IGNORE INTO deliveries (exporter, start, cursor) VALUES (?, ?, ?)", (exporter, start, start)
            )

    def get(self, exporter: str) -> Delivery | None:
        """How far that exporter is; None for one that nothing was ever delivered to."""
        with self._database.reading() as connection:
            return _row(connection, exporter)

    def all(self) -> list[Delivery]:
        """Every exporter that was ever opened, by name."""
        with self._database.reading() as connection:
            names = connection.execute("SELECT exporter FROM deliveries ORDER BY exporter").fetchall()
        return [delivery for (name,) in names if (delivery := self.get(name)) is not None]

    def last_due(self, exporter: str, now_us: int) -> int | None:
        """The newest sequence number, where there is something to deliver: new entries, or a letter that is due."""
        self._catch_up()
        with self._database.reading() as connection:
            last, cursor, due = connection.execute(
                "SELECT (SELECT coalesce(max(seq), 0) FROM entries),"
                " (SELECT cursor FROM deliveries WHERE exporter = :exporter),"
                " EXISTS (SELECT 1 FROM letters WHERE exporter = :exporter AND next_try_us <= :now)",
                {"exporter": exporter, "now": now_us},
            ).fetchone()
        return last if due or last > cursor else None

    def take(self, exporter: str, *, owner: str, now_us: int, until_us: int) -> Delivery | None:
        """Become the one who delivers, until that moment; None while somebody else is."""
        with self._database.writing() as connection:
            taken = connection.execute(
                "UPDATE deliveries SET owner = ?, lease_until_us = ?, fence = fence + 1"
                " WHERE exporter = ? AND (owner IS NULL OR lease_until_us <= ? OR lease_until_us > ?)",
                (owner, until_us, exporter, now_us, now_us + IMPLAUSIBLE_US),
            ).rowcount
            return _row(connection, exporter) if taken else None

    def release(self, delivery: Delivery) -> None:
        """Let others deliver at once; nothing happens where the lease was lost."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE deliveries SET owner = NULL, lease_until_us = NULL WHERE exporter = ? AND fence = ?",
                (delivery.exporter, delivery.fence),
            )

    def fresh(self, exporter: str, *, upto: int, limit: int) -> list[tuple[int, Entry]]:
        """The next entries behind the cursor, in the order they were stored."""
        return self._entries(
            "WHERE seq > (SELECT cursor FROM deliveries WHERE exporter = ?) AND seq <= ? ORDER BY seq LIMIT ?",
            (exporter, upto, limit),
        )

    def due(self, exporter: str, *, now_us: int, limit: int) -> tuple[list[tuple[int, Entry]], dict[int, Letter]]:
        """Entries whose letters are to be tried again by now, and those letters by sequence number."""
        letters = self.letters(exporter, "AND next_try_us <= ? ORDER BY next_try_us, seq LIMIT ?", (now_us, limit))
        if not letters:
            return [], {}
        numbers = encode(list(letters))
        return self._entries("WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq", (numbers,)), letters

    def letters(self, exporter: str, more: str = "ORDER BY seq", values: tuple[Any, ...] = ()) -> dict[int, Letter]:
        """The letters of an exporter by sequence number; `more` is SQL that narrows and orders them."""
        with self._database.reading() as connection:
            sql = f"SELECT {', '.join(_LETTER)} FROM letters WHERE exporter = ? {more}"  # noqa: S608 - our own SQL
            rows = connection.execute(sql, (exporter, *values)).fetchall()
        return {row[0]: Letter(**dict(zip(_LETTER, row, strict=True))) for row in rows}

    def reasons(self, exporter: str) -> list[Reason]:
        """Why letters are letters, the most frequent reason first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT state, reason, total, (SELECT entry_id FROM entries WHERE entries.seq = first) FROM"
                " (SELECT state, reason, count(*) AS total, min(seq) AS first FROM letters WHERE exporter = ?"
                " GROUP BY state, reason) ORDER BY total DESC, state, reason",
                (exporter,),
            ).fetchall()
        return [Reason(state=row[0], reason=row[1], count=row[2], entry_id=row[3]) for row in rows]

    def record(self, delivery: Delivery, outcome: Outcome, *, until_us: int) -> bool:
        """Store what an attempt came to and prolong the lease; False, and nothing changed, where the lease was lost."""
        with self._database.writing() as connection:
            held = connection.execute(
                "UPDATE deliveries SET cursor = coalesce(?, cursor), sent = sent + ?, failures = 0, stopped = 0,"
                " failing_since_us = NULL, next_try_us = NULL, lease_until_us = ? WHERE exporter = ? AND fence = ?",
                (outcome.cursor, outcome.sent, until_us, delivery.exporter, delivery.fence),
            ).rowcount
            if held:
                connection.executemany(
                    "DELETE FROM letters WHERE exporter = ? AND seq = ?",
                    [(delivery.exporter, seq) for seq in outcome.delivered],
                )
                _write_letters(connection, delivery.exporter, outcome.letters)
        return bool(held)

    def fail(self, delivery: Delivery, failure: Failure) -> bool:
        """Put everything off; False, and nothing changed, where the lease was lost."""
        with self._database.writing() as connection:
            held = connection.execute(
                "UPDATE deliveries SET failures = failures + 1, faults = faults + ?, stopped = ?, problem = ?,"
                " problem_us = ?, next_try_us = ?, failing_since_us = coalesce(failing_since_us, ?)"
                " WHERE exporter = ? AND fence = ?",
                (
                    failure.fault,
                    failure.stopped,
                    failure.reason,
                    failure.at_us,
                    failure.next_try_us,
                    failure.at_us,
                    delivery.exporter,
                    delivery.fence,
                ),
            ).rowcount
        return bool(held)

    def park_overdue(self, delivery: Delivery, *, before_us: int, now_us: int, reason: str) -> int:
        """Park what has been pending since before that moment, some thousands at a time; how many those were.

        An entry has been pending since it was recorded, or since its exporter began to fail, whichever came later.
        """
        with self._database.writing() as connection:
            now = _row(connection, delivery.exporter)
            if now is None or now.fence != delivery.fence or (now.failing_since_us or now_us) > before_us:
                return 0
            overdue: list[int] = []
            for seq, recorded_us in connection.execute(
                "SELECT seq, recorded_us FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", (now.cursor, _OVERDUE_PAGE)
            ):
                if recorded_us > before_us:
                    break
                overdue.append(seq)
            if overdue:
                parked = (Letter(seq=seq, state=PARKED, reason=reason, attempts=0, since_us=now_us) for seq in overdue)
                _write_letters(connection, delivery.exporter, parked)
                values = (overdue[-1], delivery.exporter)
                connection.execute("UPDATE deliveries SET cursor = ? WHERE exporter = ?", values)
        return len(overdue)

    def resume(self, exporter: str) -> bool:
        """Try again at once, though the exporter was stopped or put off; False for one that is not known."""
        with self._database.writing() as connection:
            found = connection.execute(
                "UPDATE deliveries SET stopped = 0, failures = 0, failing_since_us = NULL, next_try_us = NULL"
                " WHERE exporter = ?",
                (exporter,),
            ).rowcount
        return bool(found)

    def replay(self, exporter: str, states: Collection[str], *, now_us: int) -> int:
        """Let what is in those states be tried again at once; how many those were."""
        with self._database.writing() as connection:
            return sum(
                connection.execute(
                    "UPDATE letters SET state = ?, attempts = 0, since_us = ?, next_try_us = ?"
                    " WHERE exporter = ? AND state = ?",
                    (RETRY, now_us, now_us, exporter, state),
                ).rowcount
                for state in states
            )

    def requeue(self, exporter: str, entry_ids: Iterable[str], *, now_us: int, reason: str) -> int:
        """Let those entries be delivered at once, though they may have been acknowledged; how many those were.

        What is pending anyway is left alone. Raises InvalidValue for an id that the ledger does not know or an exporter
        that was never opened; nothing is changed then.
        """
        self._catch_up()
        with self._database.writing() as connection:
            delivery = _row(connection, exporter)
            if delivery is None:
                raise InvalidValue("exporter", exporter, "the name of an exporter that was delivered to before")
            seqs = {_seq(connection, entry_id) for entry_id in entry_ids}
            passed = sorted(seq for seq in seqs if seq <= delivery.cursor)
            acknowledged = sum(seq > delivery.start and not _has_letter(connection, exporter, seq) for seq in passed)
            letters = (
                Letter(seq=seq, state=RETRY, reason=reason, attempts=0, since_us=now_us, next_try_us=now_us)
                for seq in passed
            )
            _write_letters(connection, exporter, letters)
            connection.execute("UPDATE deliveries SET sent = sent - ? WHERE exporter = ?", (acknowledged, exporter))
        return len(passed)

    def count(self, exporter: str) -> Count:
        """Count what is where."""
        self._catch_up()
        with self._database.snapshot() as connection:
            cursor = getattr(_row(connection, exporter), "cursor", 0)
            walk = "INDEXED BY entries_by_time" if _last_seq(connection) - cursor > _MANY else "NOT INDEXED"
            fresh, oldest = connection.execute(
                f"SELECT (SELECT count(*) FROM entries {walk} WHERE seq > :cursor),"  # noqa: S608 - one of the two above
                " (SELECT recorded_us FROM entries WHERE seq > :cursor ORDER BY seq LIMIT 1)",
                {"cursor": cursor},
            ).fetchone()
            states: Mapping[str, int] = dict(
                connection.execute(
                    "SELECT state, count(*) FROM letters WHERE exporter = ? GROUP BY state", (exporter,)
                ).fetchall()
            )
            (refused,) = connection.execute(
                "SELECT min(recorded_us) FROM letters JOIN entries USING (seq) WHERE exporter = ? AND state = ?",
                (exporter, RETRY),
            ).fetchone()
        return Count(
            pending=fresh + states.get(RETRY, 0),
            retry=states.get(RETRY, 0),
            parked=states.get(PARKED, 0),
            dead=states.get(DEAD, 0),
            oldest_pending_us=min((moment for moment in (oldest, refused) if moment is not None), default=None),
        )

    def _entries(self, where: str, values: tuple[Any, ...]) -> list[tuple[int, Entry]]:
        with self._database.reading() as connection:
            rows = connection.execute(SELECT + where, values).fetchall()
        return [(row[0], from_row(row[1:])) for row in rows]


def _row(connection: sqlite3.Connection, exporter: str) -> Delivery | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM deliveries WHERE exporter = ?", (exporter,)).fetchone()  # noqa: S608 - our own column names
    if row is None:
        return None
    known = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Delivery(exporter=exporter, **{**known, "stopped": bool(known["stopped"])})


def _last_seq(connection: sqlite3.Connection) -> int:
    last: int = connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]
    return last


def _seq(connection: sqlite3.Connection, entry_id: str) -> int:
    row: tuple[int] | None = connection.execute("SELECT seq FROM entries WHERE entry_id = ?", (entry_id,)).fetchone()
    if row is None:
        raise InvalidValue("entry_id", entry_id, "the id of an entry of this ledger")
    return row[0]


def _has_letter(connection: sqlite3.Connection, exporter: str, seq: int) -> bool:
    return bool(connection.execute("SELECT 1 FROM letters WHERE exporter = ? AND seq = ?", (exporter, seq)).fetchall())


def _write_letters(connection: sqlite3.Connection, exporter: str, letters: Iterable[Letter]) -> None:
    connection.executemany(
        "INSERT OR REPLACE INTO letters (exporter, seq, state, reason, attempts, since_us, next_try_us)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            (exporter, letter.seq, letter.state, letter.reason, letter.attempts, letter.since_us, letter.next_try_us)
            for letter in letters
        ),
    )
