"""The log is copied into the file beside the commits, and what is written, closed or forked meanwhile stays whole."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from costtrace.ledger import SqliteLedger
from costtrace.ledger.checkpoints import BY_COMMIT_PAGES
from tests.factories import make_entry

PAGE = 4096
BATCH = 50


def rows_in_the_file_alone(path: Path) -> int:
    """How many entries are in the file itself, as somebody who cannot see the log finds it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        count: int = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
        return count


def checkpoints_done(ledger: SqliteLedger) -> None:
    """Wait for the one that may be running."""
    checkpoints = ledger._database._checkpoints
    checkpoints.pause()
    checkpoints.resume()


def test_the_log_reaches_the_file_long_before_a_commit_would_have_to_copy_it(sqlite: SqliteLedger) -> None:
    for first in range(0, 1_500, BATCH):
        sqlite.append(make_entry(number) for number in range(first, first + BATCH))
    checkpoints_done(sqlite)

    log = sqlite.path.with_name(sqlite.path.name + "-wal")
    assert log.stat().st_size < BY_COMMIT_PAGES * PAGE
    assert rows_in_the_file_alone(sqlite.path) >= 1_000


def test_the_log_begins_anew_while_writing_goes_on(sqlite: SqliteLedger) -> None:
    for first in range(0, 20_000, BATCH):
        sqlite.append(make_entry(number) for number in range(first, first + BATCH))

    log = sqlite.path.with_name(sqlite.path.name + "-wal")
    assert log.stat().st_size < BY_COMMIT_PAGES * PAGE
    assert sum(1 for _ in sqlite.entries()) == 20_000


def test_a_ledger_may_be_closed_and_written_again_at_any_moment(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    for first in range(0, 6_000, 1_000):
        ledger.append(make_entry(number) for number in range(first, first + 1_000))
        ledger.close()
        assert not ledger.path.with_name("costs.db-wal").exists()

    assert sum(1 for _ in ledger.entries()) == 6_000
    ledger.close()


def test_without_a_thread_to_be_had_the_commits_go_on(sqlite: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    for first in range(0, 3_000, 1_000):
        sqlite.append(make_entry(number) for number in range(first, first + 1_000))

    assert sum(1 for _ in sqlite.entries()) == 3_000


def test_a_checkpoint_that_fails_leaves_the_ledger_as_it_was(
    sqlite: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def refusing(*args: Any, **options: Any) -> Any:
        if threading.current_thread().name == "costtrace-checkpoint":
            raise sqlite3.OperationalError("unable to open database file")
        return real(*args, **options)

    monkeypatch.setattr(sqlite3, "connect", refusing)
    for first in range(0, 3_000, 1_000):
        sqlite.append(make_entry(number) for number in range(first, first + 1_000))
    checkpoints_done(sqlite)

    assert sum(1 for _ in sqlite.entries()) == 3_000
