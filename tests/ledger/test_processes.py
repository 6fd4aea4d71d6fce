"""One SQLite file, many threads and processes: nothing lost, nothing double, and the sequence a cursor may trust."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from costtrace.ledger import SqliteLedger
from tests.factories import make_costs, make_entry
from tests.ledger.child import entry_of
from tests.ledger.processes import ROOT, TIMEOUT_S, Child, run

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@contextmanager
def opened(path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(path, busy_timeout_s=30)
    yield ledger
    ledger.close()


def ids(ledger: SqliteLedger) -> list[str]:
    return [entry.entry_id for _, entry in ledger.entries()]


def segments_of(path: Path) -> list[Path]:
    return sorted(path.with_name(path.name + "-spool").glob("*"))


def rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def test_threads_of_several_processes_write_one_file_while_a_cursor_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    seen: list[int] = []
    finished = threading.Event()

    def follow() -> None:
        with opened(path) as reader:
            while True:
                last_round = finished.is_set()
                seen.extend(seq for seq, _ in reader.entries(after=seen[-1] if seen else 0))
                if last_round:
                    return

    plan = {"spool": 60, "append": 20, "threads": 3, "flush_every": 25}
    with Child(path, worker="a", **plan) as first, Child(path, worker="b", **plan) as second:
        first.go()
        second.go()
        cursor = threading.Thread(target=follow)
        cursor.start()
        safe = first.acknowledged() + second.acknowledged()
    finished.set()
    cursor.join(timeout=TIMEOUT_S)
    assert rows(path, "SELECT * FROM spool_segments") == []
    with opened(path) as ledger:
        assert len(safe) == len(set(safe)) == 2 * 3 * (60 + 20)
        assert sorted(ids(ledger)) == sorted(safe)
        assert seen == [seq for seq, _ in ledger.entries()]
        assert str(ledger.totals()[()].actual) == "0.00000000048 USD"


def test_several_processes_make_the_file_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    children = [Child(path, worker=str(number), append=3, spool=2) for number in range(4)]
    for child in children:
        child.go()
    safe = [entry_id for child in children for entry_id in child.acknowledged()]
    with opened(path) as ledger:
        assert sorted(ids(ledger)) == sorted(safe)
        assert len(safe) == 4 * 5
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_two_writers_of_one_id_agree_on_who_was_first(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    children = [Child(path, worker="same", append=30) for _ in range(2)]
    for child in children:
        child.go()
    told_new = [entry_id for child in children for entry_id in child.acknowledged()]
    assert sorted(told_new) == sorted(entry_of("same", 1_000_000 + number).entry_id for number in range(30))


def test_the_segments_of_a_vanished_process_are_ingested_by_the_next_and_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    for worker in ("a", "b"):
        assert len(run(path, worker=worker, spool=7, vanish=True)) == 7
    assert len(segments_of(path)) == 2
    with opened(path) as ledger:
        assert sorted(ids(ledger)) == sorted(entry_of(worker, n).entry_id for worker in "ab" for n in range(7))
        assert segments_of(path) == []
        assert rows(path, "SELECT * FROM spool_segments") == []


def test_the_segment_of_a_living_process_is_read_and_left_to_it(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    with opened(path) as writer, opened(path) as reader:
        for number in range(5):
            writer.spool(make_entry(number))
            assert len(ids(reader)) == number + 1
            assert len(segments_of(path)) == 1
        reader.close()
        assert len(segments_of(path)) == 1
        writer.spool(make_entry(5))
        assert len(ids(reader)) == 6


def test_a_process_that_ends_leaves_no_segment(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    assert len(run(path, worker="a", spool=5)) == 5
    assert segments_of(path) == []
    assert rows(path, "SELECT count(*) FROM entries") == [(5,)]


def test_closing_leaves_one_plain_file(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    with opened(path) as ledger:
        ledger.spool(make_entry())
        ledger.append([make_entry(2)])
    assert segments_of(path) == []
    assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["costs.db"]


def wait_for_row_count(path: Path, expected: int) -> None:
    """Without a reader of ours, which would ingest by itself."""
    deadline = time.monotonic() + 20
    while rows(path, "SELECT count(*) FROM entries") != [(expected,)]:
        assert time.monotonic() < deadline, "the background thread did not ingest"
        time.sleep(0.05)  # another process's work is looked for, as sqlite3 cannot be waited on


def test_the_background_thread_ingests_without_any_read_before_and_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "costs.db"
    with opened(path) as ledger:
        ledger.append([make_entry(0)])
        ledger.spool(make_entry(1))
        wait_for_row_count(path, 2)
        ledger.close()
        ledger.spool(make_entry(2))
        wait_for_row_count(path, 3)


def ingest_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "costtrace-ingest"]


@pytest.mark.parametrize("idle", [True, False])
def test_a_ledger_nobody_closed_loses_nothing_and_keeps_no_thread(tmp_path: Path, *, idle: bool) -> None:
    path = tmp_path / "costs.db"
    before = ingest_threads()
    ledger = SqliteLedger(path)
    ledger.append([make_entry(0)])
    ledger.spool(make_entry(1))
    if idle:  # the thread has ingested, and sleeps
        wait_for_row_count(path, 2)
    gone = weakref.ref(ledger)
    [thread] = [thread for thread in ingest_threads() if thread not in before]
    del ledger
    gc.collect()
    assert gone() is None
    thread.join(timeout=20)
    assert not thread.is_alive()
    with opened(path) as again:
        assert ids(again) == [make_entry(0).entry_id, make_entry(1).entry_id]
        assert segments_of(path) == []


FORKING = """
import os, sys, threading
from pathlib import Path
from costtrace.ledger import SqliteLedger
from tests.ledger.child import entry_of

ledger = SqliteLedger(Path(sys.argv[1]), busy_timeout_s=30)
ledger.spool(entry_of("parent", 0))
ledger.append([entry_of("parent", 1)])
busy = threading.Event()

def hammer():
    number = 10
    while not busy.is_set():
        ledger.spool(entry_of("thread", number))
        ledger.flush()
        number += 1

thread = threading.Thread(target=hammer)
thread.start()
children = []
for child in range(8):
    pid = os.fork()
    if not pid:
        ledger.spool(entry_of(f"child{child}", 0))
        ledger.append([entry_of(f"child{child}", 1)])
        ledger.spool(entry_of(f"child{child}", 2))
        assert len([1 for _, entry in ledger.entries() if entry.message_uuid == f"m-child{child}"]) == 3
        if child % 2:
            ledger.close()
        os._exit(0)  # the others leave their segment behind
    children.append(pid)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
busy.set()
thread.join()
ledger.spool(entry_of("parent", 2))
"""


@needs_fork
def test_a_forked_child_has_a_segment_and_a_connection_of_its_own(tmp_path: Path) -> None:
    """Forked in the middle of another thread's work: no lock stays held, nothing is lost and nothing doubled."""
    path = tmp_path / "costs.db"
    # From Python 3.12 on, forking a process that has threads is warned of; that it works all the same is the point.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING, str(path)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)
    with opened(path) as ledger:
        found = ids(ledger)
    expected = [entry_of("parent", n).entry_id for n in range(3)]
    expected += [entry_of(f"child{child}", n).entry_id for child in range(8) for n in range(3)]
    assert sorted(entry_id for entry_id in found if "/thread/" not in entry_id) == sorted(expected)
    hammered = [int(entry_id.rsplit("/", 1)[1]) for entry_id in found if "/thread/" in entry_id]
    assert hammered == list(range(10, 10 + len(hammered)))


OUTLIVING = """
import os, sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
from tests.ledger.child import entry_of

ledger = SqliteLedger(Path(sys.argv[1]), busy_timeout_s=30)
ledger.append([entry_of("parent", 0)])
child_wrote, parent_closed = os.pipe(), os.pipe()
pid = os.fork()
if not pid:
    assert ledger.append([entry_of("child", 0)])
    os.write(child_wrote[1], b".")
    os.read(parent_closed[0], 1)
    for number in range(1, 5):
        assert ledger.append([entry_of("child", number)])
    ledger.spool(entry_of("child", 5))
    ledger.flush()
    os._exit(0)
os.read(child_wrote[0], 1)
ledger.close()
os.write(parent_closed[1], b".")
assert os.waitpid(pid, 0)[1] == 0
"""


@needs_fork
def test_a_forked_child_goes_on_writing_after_its_parent_let_go_of_the_file(tmp_path: Path) -> None:
    """The last connection that closes takes SQLite's log away; the child's must count as one."""
    path = tmp_path / "costs.db"
    command = [sys.executable, "-W", "error", "-c", OUTLIVING, str(path)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)
    with opened(path) as ledger:
        expected = [entry_of("parent", 0).entry_id, *(entry_of("child", n).entry_id for n in range(6))]
        assert ids(ledger) == expected


FORKING_THREADS = """
import os, sys, threading
from pathlib import Path
from costtrace.ledger import SqliteLedger
from tests.ledger.child import entry_of

ledgers = [SqliteLedger(Path(sys.argv[1] + str(number)), busy_timeout_s=30) for number in range(2)]
failed = []

def work(worker):
    for number in range(6):
        for ledger in ledgers:
            ledger.append([entry_of(worker, number)])
        pid = os.fork()
        if not pid:
            os._exit(len(list(ledgers[0].entries())) <= number)
        if os.waitpid(pid, 0)[1]:
            failed.append(worker)

threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failed
for ledger in ledgers:
    assert len(list(ledger.entries())) == 18
    ledger.close()
"""


@needs_fork
def test_several_threads_fork_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKING_THREADS, str(tmp_path / "costs.db")]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)


READING_AS_NOBODY = """
import os, sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
os.setuid(65534)
ledger = SqliteLedger(Path(sys.argv[1]))
assert [str(entry.cost) for _, entry in ledger.entries()] == ["1 USD"]
assert ledger.health().problem
ledger.close()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_reader_of_another_user_still_reads_what_is_in_the_table() -> None:
    """Segments belong to whoever wrote them; one that may not be opened is no reason to refuse a report."""
    with TemporaryDirectory() as directory:  # not below pytest's own, which nobody else may enter
        path = Path(directory) / "costs.db"
        with opened(path) as writer:
            writer.append([make_costs("1", number=1)])
            writer.spool(make_costs("1", number=2))
            path.parent.chmod(0o755)
            for file in path.parent.glob("costs.db*"):
                file.chmod(0o777 if file.is_dir() else 0o666)
            command = [sys.executable, "-W", "error", "-c", READING_AS_NOBODY, str(path)]
            subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)
            assert len(ids(writer)) == 2


FOLLOWING_AS_NOBODY = """
import os, sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
os.setuid(65534)
ledger = SqliteLedger(Path(sys.argv[1]))
for line in sys.stdin:
    print(len(list(ledger.entries())), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_reader_who_may_not_write_sees_what_is_written_after_its_first_read() -> None:
    with TemporaryDirectory() as directory:  # not below pytest's own, which nobody else may enter
        path = Path(directory) / "costs.db"
        path.parent.chmod(0o755)
        command = [sys.executable, "-W", "error", "-c", FOLLOWING_AS_NOBODY, str(path)]
        with opened(path) as writer:
            writer.append([make_entry(0)])
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        assert reader.stdin is not None
        assert reader.stdout is not None
        for number in (1, 2, 3):
            print("look", file=reader.stdin, flush=True)
            assert reader.stdout.readline() == f"{number}\n"
            with opened(path) as writer:
                writer.append([make_entry(number)])
        reader.communicate(timeout=TIMEOUT_S)
        assert reader.returncode == 0
