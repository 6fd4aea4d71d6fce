"""How far each exporter is in a ledger, and what could not be delivered to it.

One cursor over the sequence numbers is enough. SQLite has one writer at a time, and a number is drawn inside the
transaction that stores its entry, so entries become visible in the order of their numbers: nothing can appear behind a
cursor later on. Numbers that a known entry_id used up are gaps, which a cursor passes without noticing.

Several processes may deliver from one file. Who does holds a lease, and with it a fencing number that grows with every
owner. Whatever an attempt came to is stored in one transaction, and only if that number is still the newest: who was
stopped in the middle and wakes up after its lease was taken over changes nothing any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.ledger.database import Database
from costtrace.ledger.delivery_rows import Page, delivery_row, has_letter, last_seq, page_of, seq_of, write_letters
from costtrace.ledger.letters import DEAD, PARKED, RETRY, Count, Delivery, Failure, Letter, Outcome, Reason
from costtrace.ledger.rows import SELECT

_LETTER: Final = tuple(slot.name for slot in fields(Letter))
_OVERDUE_PAGE: Final = 10_000
_MANY: Final = 10_000
"""To count more than that, the whole of a narrow index is read sooner than that many rows."""
_FREE: Final = "(owner IS NULL OR lease_until_us <= ? OR lease_until_us > ?)"
"""Nobody delivers; with the moment, and with one that no lease reaches."""
IMPLAUSIBLE_US: Final = 86_400_000_000
"""Nothing is ever put off for more than a day: what is later was written while the clock was wrong."""


class Deliveries:
    """The cursors, letters and leases in the file of a SQLite ledger. Raises what the ledger raises."""

    def __init__(self, database: Database, catch_up: Callable[[], None]) -> None:
        self._database = database
        self._catch_up = catch_up

    def open(self, exporter: str, *, from_now: bool) -> Delivery:
        """Begin with an exporter: with the first entry, or with those stored from now on. Known ones go on."""
        self._catch_up()
        known = self.get(exporter)
        if known is not None:
            return known
        with self._database.writing() as connection:
            start = last_seq(connection) if from_now else 0
            connection.execute(
                # A fence that no earlier life of the exporter had: an owner from before `forget` may still wake up.
                "INSERT OR IGNORE INTO deliveries (exporter, start, cursor, fence)"
                " VALUES (?, ?, ?, abs(random() % 1000000000000))",
                (exporter, start, start),
            )
            opened = delivery_row(connection, exporter)
        assert opened is not None  # noqa: S101 - it was written in this transaction
        return opened

    def forget(self, exporter: str, *, now_us: int) -> bool:
        """Forget how far an exporter is and what it did not take; False while somebody delivers to it.

        Should it ever be opened again, it begins anew.
        """
        with self._database.writing() as connection:
            idle = connection.execute(
                f"DELETE FROM deliveries WHERE exporter = ? AND {_FREE}",  # noqa: S608 - our own SQL
                (exporter, now_us, now_us + IMPLAUSIBLE_US),
            ).rowcount
            if idle:
                connection.execute("DELETE FROM letters WHERE exporter = ?", (exporter,))
        return bool(idle)

    def get(self, exporter: str) -> Delivery | None:
        """How far that exporter is; None for one that nothing was ever delivered to."""
        with self._database.reading() as connection:
            return delivery_row(connection, exporter)

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
                " (SELECT coalesce(max(cursor), 0) FROM deliveries WHERE exporter = :exporter),"
                " EXISTS (SELECT 1 FROM letters WHERE exporter = :exporter AND next_try_us <= :now)"
                " OR EXISTS (SELECT 1 FROM letters WHERE exporter = :exporter AND next_try_us > :never)",
                {"exporter": exporter, "now": now_us, "never": now_us + IMPLAUSIBLE_US},
            ).fetchone()
        return last if due or last > cursor else None

    def take(self, exporter: str, *, owner: str, now_us: int, until_us: int) -> Delivery | None:
        """Become the one who delivers, until that moment; None while somebody else is.

        An owner may take anew what it could not release.
        """
        with self._database.writing() as connection:
            taken = connection.execute(
                "UPDATE deliveries SET owner = ?, lease_until_us = ?, fence = fence + 1"  # noqa: S608 - our own SQL
                f" WHERE exporter = ? AND (owner = ? OR {_FREE})",
                (owner, until_us, exporter, owner, now_us, now_us + IMPLAUSIBLE_US),
            ).rowcount
            return delivery_row(connection, exporter) if taken else None

    def release(self, delivery: Delivery) -> None:
        """Let others deliver at once; nothing happens where the lease was lost."""
        with self._database.writing() as connection:
            connection.execute(
                "UPDATE deliveries SET owner = NULL, lease_until_us = NULL WHERE exporter = ? AND fence = ?",
                (delivery.exporter, delivery.fence),
            )

    def fresh(self, exporter: str, *, upto: int, limit: int) -> Page:
        """The next entries behind the cursor, in the order they were stored."""
        return self._entries(
            "WHERE seq > (SELECT cursor FROM deliveries WHERE exporter = ?) AND seq <= ? ORDER BY seq LIMIT ?",
            (exporter, upto, limit),
        )

    def due(self, exporter: str, *, now_us: int, limit: int) -> tuple[Page, dict[int, Letter]]:
        """Entries whose letters are to be tried again by now, and those letters by sequence number."""
        letters = self.letters(
            exporter,
            "AND (next_try_us <= ? OR next_try_us > ?) ORDER BY next_try_us, seq LIMIT ?",
            (now_us, now_us + IMPLAUSIBLE_US, limit),
        )
        if not letters:
            return ([], []), {}
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
                write_letters(connection, delivery.exporter, outcome.letters)
        return bool(held)

    def fail(self, delivery: Delivery, failure: Failure) -> bool:
        """Put everything off; False, and nothing changed, where the lease was lost."""
        its_own = not failure.letters
        with self._database.writing() as connection:
            held = connection.execute(
                "UPDATE deliveries SET failures = failures + ?, faults = faults + ?, stopped = ?, problem = ?,"
                " problem_us = ?, next_try_us = ?, failing_since_us = coalesce(failing_since_us, ?)"
                " WHERE exporter = ? AND fence = ?",
                (
                    its_own,
                    failure.fault,
                    failure.stopped,
                    failure.reason,
                    failure.at_us,
                    failure.next_try_us,
                    failure.at_us if its_own else None,
                    delivery.exporter,
                    delivery.fence,
                ),
            ).rowcount
            if held:
                write_letters(connection, delivery.exporter, failure.letters)
        return bool(held)

    def park_overdue(self, delivery: Delivery, *, before_us: int, now_us: int, reason: str) -> int:
        """Park what has been pending since before that moment, some thousands at a time; how many those were.

        An entry has been pending since it was recorded, or since its exporter began to fail, whichever came later.
        """
        with self._database.writing() as connection:
            now = delivery_row(connection, delivery.exporter)
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
                write_letters(connection, delivery.exporter, parked)
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
            delivery = delivery_row(connection, exporter)
            if delivery is None:
                raise InvalidValue("exporter", exporter, "the name of an exporter that was delivered to before")
            seqs = {seq_of(connection, entry_id) for entry_id in entry_ids}
            passed = sorted(seq for seq in seqs if seq <= delivery.cursor)
            acknowledged = sum(seq > delivery.start and not has_letter(connection, exporter, seq) for seq in passed)
            letters = (
                Letter(seq=seq, state=RETRY, reason=reason, attempts=0, since_us=now_us, next_try_us=now_us)
                for seq in passed
            )
            write_letters(connection, exporter, letters)
            connection.execute("UPDATE deliveries SET sent = sent - ? WHERE exporter = ?", (acknowledged, exporter))
        return len(passed)

    def count(self, exporter: str) -> Count:
        """Count what is where."""
        self._catch_up()
        with self._database.snapshot() as connection:
            cursor = getattr(delivery_row(connection, exporter), "cursor", 0)
            walk = "INDEXED BY entries_by_time" if last_seq(connection) - cursor > _MANY else "NOT INDEXED"
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

    def _entries(self, where: str, values: tuple[Any, ...]) -> Page:
        with self._database.reading() as connection:
            rows = connection.execute(SELECT + where, values).fetchall()
        return page_of(rows)
