"""A hundred processes are killed, at random moments and at named steps: every entry they were told is safe is there.

Each child says after each `spool` that has returned, and each `append` that has answered, which entry it was told is
safe. It writes with two threads, ingests on the way, and dies. The next child meets what it left behind.
"""

from __future__ import annotations

import random
import sqlite3
import threading
from pathlib import Path

import pytest

from costtrace.ledger import SqliteLedger
from tests.ledger.processes import Child, run

KILLS = 4
"""For each step; with the random ones they make a hundred."""

STEPS = [
    ("fcntl.flock", 1),  # the new segment is not locked yet
    ("fcntl.flock", 2),
    ("os.rename", 1),  # it is locked and not yet visible
    ("open segment", 1),  # within a transaction of the ingest, or just before one
    ("open segment", 4),
    ("BEGIN", 1),
    ("INSERT", 1),
    ("INSERT", 30),
    ("COMMIT", 1),  # rows and mark are written and not committed
    ("COMMIT", 5),
    ("DELETE", 1),  # the segment is gone, and its mark is not
    ("os.remove", 1),  # the rows are committed, and the segment is still there
]
PLAN = {"spool": 400, "append": 10, "threads": 2, "flush_every": 20}


def check(path: Path, safe: list[str]) -> None:
    """Every safe entry is there, each once, and costs once; and the file is sound."""
    ledger = SqliteLedger(path, busy_timeout_s=30)
    found = [entry.entry_id for _, entry in ledger.entries()]
    assert len(safe) == len(set(safe))
    assert set(safe) - set(found) == set()
    assert len(found) == len(set(found))
    totals = ledger.totals()
    if found:
        assert totals[()].actual.usd * 10**12 == len(found)
    assert ledger.health().rejected == 0
    ledger.close()
    assert list(path.with_name(path.name + "-spool").glob("*.seg")) == []
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def killed_after(seconds: float, path: Path, worker: str) -> list[str]:
    with Child(path, worker=worker, **{**PLAN, "spool": 50_000}) as child:
        child.go()
        timer = threading.Timer(seconds, child.kill)
        timer.start()
        safe = child.acknowledged()
        timer.join()
        assert child.was_killed, "it had nothing left to do"
        return safe


@pytest.mark.parametrize("batch", range(4))
def test_killed_at_random_moments(tmp_path: Path, batch: int) -> None:
    """All into one ledger, which is read while they write."""
    chance = random.Random(batch)  # noqa: S311 - the same moments in every run
    path = tmp_path / "costs.db"
    safe: list[str] = []
    for number in range(13):
        safe += killed_after(chance.uniform(0, 0.1), path, f"{batch}.{number}")
        if number == 6:
            check(path, safe)
    check(path, safe)
    assert safe


@pytest.mark.parametrize(("step", "times"), STEPS, ids=[f"{step}-{times}" for step, times in STEPS])
def test_killed_at_a_named_step(tmp_path: Path, step: str, times: int) -> None:
    path = tmp_path / "costs.db"
    safe: list[str] = []
    for number in range(KILLS):
        safe += run(path, worker=f"{number}.before", spool=10, vanish=True)  # leaves a segment to be ingested
        with Child(path, worker=str(number), die_at=[step, times], **PLAN) as child:
            child.go()
            safe += child.acknowledged()
            assert child.was_killed, "the step was never reached"
    check(path, safe)


def test_killed_while_another_process_ingests_its_segment(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    reader = SqliteLedger(path, busy_timeout_s=30)
    done = threading.Event()

    def ingest() -> None:
        while not done.is_set():
            reader.flush()

    thread = threading.Thread(target=ingest)
    thread.start()
    try:
        safe = [entry_id for number in range(4) for entry_id in killed_after(0.03 * number, path, str(number))]
    finally:
        done.set()
        thread.join(timeout=30)
        reader.close()
    check(path, safe)
