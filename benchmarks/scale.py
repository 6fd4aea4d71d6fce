"""What reports, look-ups and storing cost at a million entries and at ten, beside DuckDB and a naive SQLite schema.

    python benchmarks/scale.py [--rows 1000000 10000000] [--dir DIR] [--check]

The entries are those of `_traffic`. Each store gets the same rows, 5,000 in a transaction, in the order they came, and
answers the same questions; its time to make a row out of an entry counts, the time to make the entry does not. The
naive schema has random keys, an index on each of message, user and time, a float for money, and no roll-ups. DuckDB
keeps its columns with the amounts as DECIMAL(38, 12), and no index. A question is asked seven times in one process
after the first; the median counts. Needs the extra frames; ten million rows take 10 GB of disk and an hour.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, Final, Protocol

import duckdb
import pyarrow as pa
from _traffic import Traffic

ROOT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from costtrace.entry import Entry  # noqa: E402 - the path is set above
from costtrace.ledger import Selection, SqliteLedger  # noqa: E402
from costtrace.ledger.rollups import BULK  # noqa: E402
from costtrace.ledger.rows import COLUMNS, to_line, to_row  # noqa: E402
from costtrace.ledger.spool import Spool  # noqa: E402
from costtrace.reports import report  # noqa: E402

BATCH: Final = 5_000
SPOOLED: Final = 50_000
LOOKUPS: Final = 200
TIMES: Final = 7
INGEST_BAR: Final = 100_000
SLOWDOWN_BAR: Final = 0.30
BARS: Final = {  # milliseconds at a million entries, and at ten
    "one message": (1.0, 2.0),
    "by day": (20.0, 30.0),
    "top users": (100.0, 500.0),
}
_KEPT: Final = [*COLUMNS, "body"]
_PLACE: Final = {name: number for number, name in enumerate([*COLUMNS, "basis", "body"])}


class Store(Protocol):
    """A place for entries that answers the questions."""

    name: str

    def add(self, entries: Sequence[Entry]) -> None:
        """Store them in one transaction."""

    def finish(self) -> None:
        """Do what is left to do once in a while."""

    def questions(self) -> dict[str, Callable[[str], object]]:
        """Each takes a message_uuid, which some need."""

    def close(self) -> None:
        """Let go of files."""


class Costtrace:
    """The ledger, asked as applications ask it."""

    name = "costtrace"

    def __init__(self, directory: Path) -> None:
        self.ledger = SqliteLedger(directory / "costtrace.db")

    def add(self, entries: Sequence[Entry]) -> None:
        self.ledger.append(entries)

    def finish(self) -> None:
        while self.ledger.rollups.advance(BULK, patiently=True):
            continue

    def questions(self) -> dict[str, Callable[[str], object]]:
        last = datetime(2026, 3, 24, 7, 20, tzinfo=UTC)
        return {
            "one message": self.ledger.message,
            "by day": lambda _: report(self.ledger, ["day"]),
            "top users": lambda _: report(self.ledger, ["user"]),
            "by day and model": lambda _: report(self.ledger, ["day", "model"]),
            "top users, last 7 days": lambda _: report(self.ledger, ["user"], Selection(since=last)),
            "by status": lambda _: report(self.ledger, ["status"]),
            "newest 50 messages": lambda _: self.ledger.recent(50),
        }

    def ingested_per_second(self) -> float:
        """How fast what handlers have written to the spool comes into the table."""
        path = Path(self.ledger.name)
        spool = Spool(path.with_name(f"{path.name}-spool"))
        for entry in islice(Traffic(2 * SPOOLED, seed=2), SPOOLED):
            spool.write(to_line(to_row(entry)))
        spool.close()
        begun = time.perf_counter()
        self.ledger.flush()
        return SPOOLED / (time.perf_counter() - begun)

    def close(self) -> None:
        self.ledger.close()


class NaiveSqlite:
    """What one writes first: random keys, floats, an index on everything that is looked for."""

    name = "naive SQLite"

    def __init__(self, directory: Path) -> None:
        self.connection = sqlite3.connect(directory / "naive.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        columns = ", ".join(
            "entry_id TEXT PRIMARY KEY" if name == "entry_id" else "cost REAL" if name == "cost" else name
            for name in _KEPT
        )
        self.connection.execute(f"CREATE TABLE costs ({columns})")
        for name in ("message_uuid", "user_id", "occurred_us"):
            self.connection.execute(f"CREATE INDEX by_{name} ON costs ({name})")

    def add(self, entries: Sequence[Entry]) -> None:
        marks = ", ".join("?" * len(_KEPT))
        self.connection.execute("BEGIN")
        self.connection.executemany(f"INSERT INTO costs VALUES ({marks})", map(_with_random_keys, entries))  # noqa: S608 - marks only
        self.connection.execute("COMMIT")

    def finish(self) -> None:
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def questions(self) -> dict[str, Callable[[str], object]]:
        by = "SELECT {0}, sum(cost), count(*), sum(input_tokens), sum(output_tokens) FROM costs {1} GROUP BY {0}"
        day = "occurred_us / 86400000000"
        return {
            "one message": lambda uuid: self._all("SELECT * FROM costs WHERE message_uuid = ?", _random(uuid)),
            "by day": lambda _: self._all(by.format(day, "")),
            "top users": lambda _: self._all(by.format("user_id", "") + " ORDER BY 2 DESC"),
            "by day and model": lambda _: self._all(by.format(f"{day}, model", "")),
            "top users, last 7 days": lambda _: self._all(
                by.format("user_id", f"WHERE occurred_us >= {_SEVEN_DAYS}") + " ORDER BY 2 DESC"
            ),
            "by status": lambda _: self._all(by.format("cost_status", "")),
            "newest 50 messages": lambda _: self._all(
                "SELECT message_uuid FROM costs ORDER BY occurred_us DESC LIMIT 400"
            ),
        }

    def _all(self, sql: str, *values: str) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self.connection.close()


class DuckDB:
    """The same rows in columns."""

    name = "DuckDB"

    def __init__(self, directory: Path) -> None:
        self.connection = duckdb.connect(str(directory / "duck.db"))
        self.connection.execute("SET threads = 1")
        types = {"cost": "DECIMAL(38, 12)", "estimate": "DECIMAL(38, 12)"}
        integers = {name for name in _KEPT if name.endswith(("_us", "_pico", "_tokens"))}
        columns = [f"{name} {types.get(name, 'BIGINT' if name in integers else 'VARCHAR')}" for name in _KEPT]
        self.connection.execute(f"CREATE TABLE costs ({', '.join(columns)})")

    def add(self, entries: Sequence[Entry]) -> None:
        rows = [_kept(entry) for entry in entries]
        columns = {name: pa.array(values) for name, values in zip(_KEPT, zip(*rows, strict=True), strict=True)}
        batch = pa.table(columns)
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO costs SELECT * FROM batch")
        self.connection.unregister("batch")

    def finish(self) -> None:
        self.connection.execute("CHECKPOINT")

    def questions(self) -> dict[str, Callable[[str], object]]:
        by = "SELECT {0}, sum(cost), count(*), sum(input_tokens), sum(output_tokens) FROM costs {1} GROUP BY {0}"
        day = "occurred_us // 86400000000"
        return {
            "one message": lambda uuid: self._all("SELECT * FROM costs WHERE message_uuid = ?", uuid),
            "by day": lambda _: self._all(by.format(day, "")),
            "top users": lambda _: self._all(by.format("user_id", "") + " ORDER BY 2 DESC"),
            "by day and model": lambda _: self._all(by.format(f"{day}, model", "")),
            "top users, last 7 days": lambda _: self._all(
                by.format("user_id", f"WHERE occurred_us >= {_SEVEN_DAYS}") + " ORDER BY 2 DESC"
            ),
            "by status": lambda _: self._all(by.format("cost_status", "")),
            "newest 50 messages": lambda _: self._all(
                "SELECT message_uuid FROM costs ORDER BY occurred_us DESC LIMIT 400"
            ),
        }

    def _all(self, sql: str, *values: str) -> list[Any]:
        return self.connection.execute(sql, values).fetchall()

    def close(self) -> None:
        self.connection.close()


_SEVEN_DAYS: Final = int(datetime(2026, 3, 24, 7, 20, tzinfo=UTC).timestamp()) * 1_000_000


def _kept(entry: Entry) -> list[Any]:
    row = to_row(entry)
    return [row[_PLACE[name]] for name in _KEPT]


def _with_random_keys(entry: Entry) -> list[Any]:
    row = _kept(entry)
    row[0], row[1] = _random(entry.entry_id), _random(entry.message_uuid)
    return row


def _random(text: str) -> str:
    """As good as a random key, and the same for the same text."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(slots=True, kw_only=True)
class Measured:
    """What one store came to; times in milliseconds."""

    name: str
    per_second: float
    ingested: float | None
    """Entries per second, of those that handlers have written to the spool."""
    late: float
    """How much slower the last tenth was stored than the first."""
    finish_s: float
    bytes: int
    questions: dict[str, float]


def measure(make: Callable[[Path], Store], rows: int, directory: Path) -> Measured:
    """Fill a store and ask it."""
    store = make(directory)
    spent: list[float] = []
    messages: list[str] = []
    traffic = iter(Traffic(rows))
    while batch := list(islice(traffic, BATCH)):
        messages.append(batch[len(batch) // 2].message_uuid)
        begun = time.perf_counter()
        store.add(batch)
        spent.append(time.perf_counter() - begun)
        _progress(f"{store.name}: {len(spent) * BATCH:,} of {rows:,}")
    begun = time.perf_counter()
    store.finish()
    finish_s = time.perf_counter() - begun
    found: dict[str, float] = {}
    for question, ask in store.questions().items():
        _progress(f"{store.name}: {question}")
        found[question] = _median_ms(ask, messages, LOOKUPS if question == "one message" else TIMES)
    ingested = store.ingested_per_second() if isinstance(store, Costtrace) else None
    store.close()
    tenth = max(len(spent) // 10, 1)
    size = sum(path.stat().st_size for path in directory.iterdir())
    return Measured(
        name=store.name,
        per_second=rows / sum(spent),
        ingested=ingested,
        late=median(spent[-tenth:]) / median(spent[:tenth]) - 1,
        finish_s=finish_s,
        bytes=size,
        questions=found,
    )


def _median_ms(ask: Callable[[str], object], messages: Sequence[str], times: int) -> float:
    chosen = random.Random(2).choices(messages, k=times + 1)  # noqa: S311 - the same in every run
    ask(chosen[0])
    spent = []
    for uuid in chosen[1:]:
        begun = time.perf_counter()
        ask(uuid)
        spent.append(time.perf_counter() - begun)
        if sum(spent) > 60:
            break
    return median(spent) * 1000


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def table(measured: Sequence[Measured]) -> Iterator[str]:
    """The figures as Markdown."""
    yield f"| | {' | '.join(one.name for one in measured)} |"
    yield "|---" * (len(measured) + 1) + "|"
    for question in measured[0].questions:
        yield f"| {question} | {' | '.join(f'{one.questions[question]:,.2f} ms' for one in measured)} |"
    yield f"| stored per second | {' | '.join(f'{one.per_second:,.0f}' for one in measured)} |"
    yield f"| ingested from the spool per second | {' | '.join(_count(one.ingested) for one in measured)} |"
    yield f"| the last tenth, slower by | {' | '.join(f'{one.late:.0%}' for one in measured)} |"
    yield f"| roll-ups, or checkpoint | {' | '.join(f'{one.finish_s:,.1f} s' for one in measured)} |"
    yield f"| on disk | {' | '.join(f'{one.bytes / 1e9:,.2f} GB' for one in measured)} |"


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"


def missed(measured: Measured, place: int) -> Iterator[str]:
    """The bars that costtrace does not hold; `place` is 0 for a million entries and 1 for ten."""
    for question, bars in BARS.items():
        if measured.questions[question] > bars[place]:
            yield f"{question}: {measured.questions[question]:.2f} ms, bar {bars[place]:g} ms"
    if place == 0 and measured.per_second < INGEST_BAR:
        yield f"stored per second: {measured.per_second:,.0f}, bar {INGEST_BAR:,}"
    if place == 0 and (measured.ingested or 0) < INGEST_BAR:
        yield f"ingested from the spool per second: {_count(measured.ingested)}, bar {INGEST_BAR:,}"
    if place == 1 and measured.late > SLOWDOWN_BAR:
        yield f"the last tenth is stored {measured.late:.0%} slower, bar {SLOWDOWN_BAR:.0%}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000], metavar="N")
    parser.add_argument("--dir", type=Path, default=None, help="where the files are made, and deleted again")
    parser.add_argument("--alone", action="store_true", help="costtrace without the others")
    parser.add_argument("--check", action="store_true", help="exit 1 when a bar is missed")
    options = parser.parse_args()
    failed = False
    for rows in options.rows:
        found = []
        for make in (Costtrace,) if options.alone else (Costtrace, NaiveSqlite, DuckDB):
            directory = Path(tempfile.mkdtemp(prefix="costtrace-scale-", dir=options.dir))
            try:
                found.append(measure(make, rows, directory))
            finally:
                shutil.rmtree(directory)
        _progress("")
        load = " ".join(f"{one:.1f}" for one in os.getloadavg())
        print(f"\n{rows:,} entries, {datetime.now(UTC):%Y-%m-%d}, load average {load}\n")
        print("\n".join(table(found)))
        for problem in missed(found[0], 0 if rows <= 1_000_000 else 1):
            failed = True
            print(f"\nmissed: {problem}")
    if failed and options.check:
        sys.exit(1)


if __name__ == "__main__":
    main()
