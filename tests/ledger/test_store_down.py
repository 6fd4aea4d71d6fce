"""The store fails: the application's call goes through, entries wait, and everything is there when it is back."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from costtrace.errors import LedgerError, LedgerUnavailable, LedgerUnusable
from costtrace.ledger import SqliteLedger
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from tests.factories import make_costs, make_entry
from tests.ledger.processes import ROOT, TIMEOUT_S


def ids(ledger: SqliteLedger) -> list[str]:
    return [entry.entry_id for _, entry in ledger.entries()]


def entry_ids(*numbers: int) -> list[str]:
    return [make_entry(number).entry_id for number in numbers]


def recorder_of(ledger: SqliteLedger, buffer: int = 100) -> Recorder:
    return Recorder(ledger, catalog=Catalog(), buffer=buffer)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program holds the write lock."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


class TestLocked:
    def test_spool_waits_for_nobody(self, tmp_path: Path) -> None:
        ledger = SqliteLedger(tmp_path / "costs.db", busy_timeout_s=30)
        ledger.append([make_entry(0)])
        with locked(ledger.path):
            before = time.monotonic()
            for number in range(1, 101):
                ledger.spool(make_entry(number))
            assert time.monotonic() - before < 10
        assert len(ids(ledger)) == 101
        ledger.close()

    def test_append_says_that_it_may_pass_and_stored_nothing(self, sqlite: SqliteLedger) -> None:
        sqlite.append([make_entry(0)])
        with locked(sqlite.path), pytest.raises(LedgerUnavailable, match=r"costs\.db.*: database is locked; another"):
            sqlite.append([make_entry(1), make_entry(2)])
        assert ids(sqlite) == entry_ids(0)
        assert sqlite.append([make_entry(1)]) == frozenset(entry_ids(1))

    def test_reads_go_on_and_say_what_they_do_not_show(
        self, sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture
    ) -> None:
        sqlite.append([make_costs("1", number=0)])
        with locked(sqlite.path):
            sqlite.spool(make_costs("1", number=1))
            assert len(ids(sqlite)) == 1
            assert str(sqlite.totals()[()].actual) == "1 USD"
            health = sqlite.health()
            assert health.entries == 1
            assert health.waiting > 0
            assert "database is locked" in str(health.problem)
        assert any("entries that wait in the spool are not shown" in text for text in caplog.messages)
        assert len(ids(sqlite)) == 2
        assert sqlite.health().problem is None

    def test_closing_leaves_the_spool_to_the_next(self, sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture) -> None:
        sqlite.append([make_entry(0)])
        with locked(sqlite.path):
            sqlite.spool(make_entry(1))
            sqlite.close()
        assert any("what was spooled waits in" in text for text in caplog.messages)
        assert ids(sqlite) == entry_ids(0, 1)

    def test_the_application_hears_nothing_of_it(self, sqlite: SqliteLedger) -> None:
        sqlite.append([make_entry(0)])
        recorder = recorder_of(sqlite)
        with locked(sqlite.path):
            recorder.record(make_entry(1))
            assert recorder.health().buffered == 0
            assert "database is locked" in str(recorder.flush().problem)
        assert recorder.flush().problem is None
        assert ids(sqlite) == entry_ids(0, 1)


class TestUnusableFile:
    @pytest.fixture(params=["random bytes", "another application's", "newer layout", "a directory"])
    def broken(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        path = tmp_path / "costs.db"
        if request.param == "random bytes":
            path.write_bytes(os.urandom(8192))
        elif request.param == "a directory":
            path.mkdir()
        else:
            if request.param == "newer layout":
                made = SqliteLedger(path)
                made.append([make_entry(0)])
                made.close()
            connection = sqlite3.connect(path)
            connection.execute("CREATE TABLE theirs (a)")
            connection.execute("PRAGMA user_version = 99")
            connection.close()
        return path

    def test_is_told_apart_from_one_that_is_busy(self, broken: Path) -> None:
        ledger = SqliteLedger(broken)
        with pytest.raises(LedgerUnusable, match=r"costs\.db") as refusal:
            ledger.append([make_entry(1)])
        assert ";" in str(refusal.value)  # what is wrong; what to do
        with pytest.raises(LedgerUnusable):
            ids(ledger)
        assert ledger.health().entries is None
        assert ledger.health().problem

    def test_keeps_nothing_from_the_application_and_loses_no_entry(self, broken: Path) -> None:
        before = broken.read_bytes() if broken.is_file() else None
        recorder = recorder_of(SqliteLedger(broken))
        for number in (1, 2, 3):
            recorder.record(make_entry(number))
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.lost) == (3, 0, 0)
        assert health.ledger.waiting > 0
        assert health.problem
        recorder.close()
        if before is not None:
            assert broken.read_bytes() == before

        broken.rename(broken.with_suffix(".aside"))
        mended = SqliteLedger(broken)
        assert ids(mended) == entry_ids(1, 2, 3)
        mended.close()


class TestSpoolThatCannotBeWritten:
    @pytest.fixture
    def blocked(self, tmp_path: Path) -> Path:
        """A file stands where the spool's directory should."""
        block = tmp_path / "costs.db-spool"
        block.write_text("")
        return block

    def test_lets_entries_wait_in_memory_until_it_is_back(
        self, sqlite: SqliteLedger, blocked: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        recorder = recorder_of(sqlite)
        for number in (1, 2, 3):
            recorder.record(make_entry(number))
        health = recorder.health()
        assert (health.recorded, health.buffered, health.lost) == (0, 3, 0)
        assert "cannot write to the spool" in str(health.problem)
        assert len([text for text in caplog.messages if "entries wait in memory" in text]) == 1
        blocked.unlink()
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.problem) == (3, 0, None)
        assert ids(sqlite) == entry_ids(1, 2, 3)

    def test_counts_what_found_the_memory_full_and_writes_the_count_down(
        self, sqlite: SqliteLedger, blocked: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        recorder = recorder_of(sqlite, buffer=5)
        for number in range(8):
            recorder.record(make_entry(number))
        health = recorder.health()
        assert (health.buffered, health.lost) == (5, 3)
        assert len([text for text in caplog.messages if "entries are lost from now on" in text]) == 1
        blocked.unlink()
        health = recorder.flush()
        assert (health.recorded, health.buffered, health.lost) == (5, 0, 3)
        assert health.ledger.lost == 3
        assert sqlite.health().lost == 3
        recorder.flush()
        assert sqlite.health().lost == 3
        assert ids(sqlite) == entry_ids(0, 1, 2, 3, 4)

    def test_writes_the_count_of_lost_entries_down_even_if_the_table_is_locked_at_first(
        self, sqlite: SqliteLedger, blocked: Path
    ) -> None:
        sqlite.append([])
        blocked.unlink()
        sqlite.append([make_entry(0)])
        blocked.write_text("")
        recorder = recorder_of(sqlite, buffer=1)
        for number in (1, 2, 3):
            recorder.record(make_entry(number))
        blocked.unlink()
        with locked(sqlite.path):
            assert recorder.flush().buffered == 0
        recorder.flush()
        assert sqlite.health().lost == 2

    def test_is_an_error_that_names_the_place(self, sqlite: SqliteLedger, blocked: Path) -> None:
        with pytest.raises(LedgerUnusable, match=r"cannot write to the spool '.*costs\.db-spool'"):
            sqlite.spool(make_entry())
        blocked.unlink()
        sqlite.spool(make_entry())
        assert ids(sqlite) == entry_ids(1)


needs_mount = pytest.mark.skipif(
    not sys.platform.startswith("linux") or os.geteuid() != 0, reason="only root can mount a small disk"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    # A container's root may not be allowed to mount either.
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mounted], check=False).returncode:  # noqa: S607 - the system's own
        pytest.skip("mounting is not allowed here")
    yield mounted
    subprocess.run(["umount", "--lazy", mounted], check=True)  # noqa: S607 - the system's own


def fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    space = os.statvfs(disk)
    ballast.write_bytes(bytes(space.f_bavail * space.f_frsize))
    assert os.statvfs(disk).f_bavail == 0
    return ballast


@needs_mount
class TestFullDisk:
    def test_lets_entries_wait_and_takes_them_when_there_is_room(self, disk: Path) -> None:
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        recorder = recorder_of(ledger)
        for number in range(10):
            recorder.record(make_entry(number))
        recorder.flush()
        ballast = fill(disk)
        for number in range(10, 60):
            recorder.record(make_entry(number))
        health = recorder.health()
        assert health.buffered > 0
        assert "No space left" in str(health.problem) or "no space left" in str(health.problem)
        assert health.lost == 0
        ballast.unlink()
        health = recorder.flush()
        assert (health.buffered, health.problem) == (0, None)
        assert sorted(ids(ledger)) == sorted(entry_ids(*range(60)))
        assert ledger.health().rejected == 0
        recorder.close()

    def test_is_trouble_that_may_pass(self, disk: Path) -> None:
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        ledger.append([make_entry(0)])
        ballast = fill(disk)
        with pytest.raises(LedgerUnavailable):
            ledger.append(make_costs("1", number=number, details={"padding": "x" * 4000}) for number in range(1, 500))
        assert ids(ledger) == entry_ids(0)
        ballast.unlink()
        assert ledger.append([make_entry(1)])
        ledger.close()

    def test_from_the_first_moment_on_is_trouble_that_may_pass(self, disk: Path) -> None:
        ballast = fill(disk)
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        with pytest.raises(LedgerUnavailable):
            ledger.append([make_entry(0)])
        with pytest.raises(LedgerUnavailable):
            ledger.spool(make_entry(1, details={"padding": "x" * 10_000}))
        ballast.unlink()
        ledger.append([make_entry(100)])
        assert ids(ledger)[-1] == entry_ids(100)[0]
        ledger.close()

    def test_does_not_fill_the_spool_with_torn_pieces(self, disk: Path) -> None:
        """The recorder tries again every second, and a full disk may last for days."""
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        ledger.append([make_entry(0)])
        fill(disk)
        for number in range(1, 200):
            try:
                ledger.spool(make_entry(number))
            except LedgerError:
                continue
        assert len(list((disk / "costs.db-spool").iterdir())) < 20
        (disk / "ballast").unlink()
        ledger.close()


@needs_mount
class TestReadOnlyPlace:
    def test_lets_entries_wait_in_memory_and_reads_on(self, disk: Path) -> None:
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        ledger.append([make_entry(0)])
        ledger.close()
        _remount(disk, "ro")
        recorder = recorder_of(ledger)
        recorder.record(make_entry(1))
        health = recorder.health()
        assert (health.buffered, health.recorded) == (1, 0)
        assert "Read-only file system" in str(health.problem)
        with pytest.raises(LedgerUnusable):
            ledger.append([make_entry(2)])
        ledger.close()
        _remount(disk, "rw")
        assert recorder.flush().buffered == 0
        assert ids(ledger) == entry_ids(0, 1)
        recorder.close()

    def test_can_be_read(self, disk: Path) -> None:
        ledger = SqliteLedger(disk / "costs.db", busy_timeout_s=0.05)
        ledger.append([make_entry(0)])
        ledger.close()
        _remount(disk, "ro")
        assert ids(ledger) == entry_ids(0)


def _remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", disk], check=True)  # noqa: S607 - the system's own


FILE_TOO_LARGE = """
import resource, sys
from pathlib import Path
from costtrace.ledger import SqliteLedger
from costtrace.pricing import Catalog
from costtrace.recorder import Recorder
from tests.factories import make_entry

ledger = SqliteLedger(Path(sys.argv[1]), busy_timeout_s=0.05)
ledger.append([make_entry(0)])
recorder = Recorder(ledger, catalog=Catalog())
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # Python ignores the signal; the call fails with EFBIG
for number in range(1, 200):
    recorder.record(make_entry(number))
health = recorder.health()
assert health.buffered > 0, health
assert health.problem, health
assert health.lost == 0, health
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
health = recorder.flush()
assert (health.buffered, health.problem) == (0, None), health
assert sorted(e.entry_id for _, e in ledger.entries()) == sorted(make_entry(n).entry_id for n in range(200))
recorder.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no limit on the size of files")
def test_a_file_that_may_not_grow_lets_entries_wait(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", FILE_TOO_LARGE, str(tmp_path / "costs.db")]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, cwd=ROOT)


def test_a_spool_that_vanished_is_made_again(sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        sqlite.spool(make_entry(1))
        assert ids(sqlite) == entry_ids(1)
        sqlite.close()
        sqlite.path.with_name("costs.db-spool").rmdir()
        sqlite.spool(make_entry(2))
    assert ids(sqlite) == entry_ids(1, 2)


def test_a_directory_that_does_not_exist_yet_is_made_by_spool(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "not" / "yet" / "costs.db")
    ledger.spool(make_entry(1))
    assert ids(ledger) == entry_ids(1)
    ledger.close()


def test_a_directory_that_does_not_exist_yet_is_made_by_append_as_well(tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "not" / "yet" / "costs.db").append([make_entry(1)])
