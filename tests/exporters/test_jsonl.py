"""Entries as JSON lines: added, rotated, repaired after a crash, written by several processes."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costtrace.entry import Entry, encode_entry
from costtrace.errors import ExporterStopped, ExporterUnavailable, InvalidValue
from costtrace.exporters import Exporter
from costtrace.exporters.jsonl import DamagedLine, JsonlExporter, jsonl_files, read_jsonl
from tests.factories import make_entry
from tests.strategies import entries


def many(first: int, count: int) -> list[Entry]:
    return [make_entry(number) for number in range(first, first + count)]


def read(path: Path) -> tuple[list[Entry], list[DamagedLine]]:
    damaged: list[DamagedLine] = []
    return list(read_jsonl(jsonl_files(path), damaged=damaged.append)), damaged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "entries.jsonl"


class TestWriting:
    def test_an_entry_is_a_line(self, file: Path) -> None:
        exporter: Exporter = JsonlExporter(file)

        assert exporter.export(many(1, 2)) == ()

        lines = file.read_text().splitlines()
        assert [json.loads(line) for line in lines] == [encode_entry(entry) for entry in many(1, 2)]

    def test_batches_are_added_one_after_the_other(self, file: Path) -> None:
        for number in range(3):
            exporter = JsonlExporter(file)
            exporter.export(many(10 * number, 10))
            exporter.close()

        assert read(file) == (many(0, 30), [])

    def test_nothing_makes_no_file(self, file: Path) -> None:
        assert JsonlExporter(file).export([]) == ()
        assert not file.exists()

    def test_the_file_is_for_its_owner_alone(self, file: Path) -> None:
        JsonlExporter(file).export(many(1, 1))

        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    def test_two_of_one_file_are_one_exporter(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.chdir(tmp_path)

        assert JsonlExporter(file).name == JsonlExporter("entries.jsonl").name == f"jsonl {file}"

    @given(st.lists(entries(), max_size=5, unique_by=lambda entry: entry.entry_id))
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    def test_every_entry_comes_back_as_it_was(self, file: Path, written: list[Entry]) -> None:
        file.unlink(missing_ok=True)

        JsonlExporter(file, fsync=False).export(written)

        assert read(file) == (written, [])

    @pytest.mark.parametrize(("name", "value"), [("max_bytes", 0), ("keep", -1)])
    def test_settings_that_cannot_be_are_refused(self, file: Path, name: str, value: int) -> None:
        with pytest.raises(InvalidValue, match=name):
            JsonlExporter(file, **{name: value})  # type: ignore[arg-type]  # one of two that take a number


class TestReading:
    def test_what_was_given_again_counts_once(self, file: Path) -> None:
        exporter = JsonlExporter(file)
        exporter.export(many(1, 3))
        exporter.export(many(2, 3))

        assert len(file.read_text().splitlines()) == 6
        assert read(file) == (many(1, 4), [])

    def test_what_is_no_entry_is_told_and_left_out(self, file: Path) -> None:
        JsonlExporter(file).export(many(1, 1))
        with file.open("ab") as stream:
            stream.write(b'{"entry_id":"x"}\n[]\n\n\xff\n')
        JsonlExporter(file).export(many(2, 1))

        assert read(file) == (
            many(1, 2),
            [DamagedLine(path=file, line=line, size=size) for line, size in [(2, 17), (3, 3), (4, 1), (5, 2)]],
        )

    def test_what_is_no_entry_is_logged_unless_somebody_is_told(
        self, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file.write_text("secret\n")

        assert list(read_jsonl([file])) == []
        assert caplog.messages == [f"line 1 of {file} holds no entry (7 bytes) and is left out"]


class TestRotation:
    def test_a_full_file_is_renamed_and_numbers_go_up(self, file: Path) -> None:
        size = len(json.dumps(encode_entry(make_entry(1)), separators=(",", ":"))) + 1
        exporter = JsonlExporter(file, max_bytes=2 * size + 10)

        for number in range(1, 8):
            exporter.export(many(number, 1))

        assert [path.name for path in jsonl_files(file)] == [
            "entries.jsonl.000001",
            "entries.jsonl.000002",
            "entries.jsonl.000003",
            "entries.jsonl",
        ]
        assert read(file) == (many(1, 7), [])

    def test_a_batch_is_never_split(self, file: Path) -> None:
        exporter = JsonlExporter(file, max_bytes=10)

        exporter.export(many(1, 50))
        exporter.export(many(51, 50))

        assert [len(path.read_text().splitlines()) for path in jsonl_files(file)] == [50, 50]

    @pytest.mark.parametrize(("keep", "left"), [(None, 5), (2, 3), (0, 1)])
    def test_only_so_many_are_kept_as_were_asked_for(self, file: Path, keep: int | None, left: int) -> None:
        exporter = JsonlExporter(file, max_bytes=1, keep=keep)

        for number in range(5):
            exporter.export(many(number, 1))

        assert read(file) == (many(5 - left, left), [])

    def test_other_files_beside_it_are_left_alone(self, file: Path) -> None:
        other = [file.with_name(name) for name in ("entries.jsonl.gz", "entries.jsonl.1", "entries.jsonl.000009.gz")]
        for path in other:
            path.write_text("other")
        exporter = JsonlExporter(file, max_bytes=1, keep=0)

        for number in range(3):
            exporter.export(many(number, 1))

        assert [path.read_text() for path in other] == ["other"] * 3
        assert jsonl_files(file) == [file]


class TestFaults:
    def test_a_line_that_a_crash_broke_off_is_closed_and_the_entry_comes_again(
        self, file: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        JsonlExporter(file).export(many(1, 2))
        os.truncate(file, file.stat().st_size - 20)
        exporter = JsonlExporter(file)

        exporter.export(many(2, 2))

        found, damaged = read(file)
        assert found == many(1, 3)
        assert [line.line for line in damaged] == [2]
        assert exporter.repaired == 1
        assert caplog.messages == [
            f"{file} ended in the middle of a line, as after a crash; its entry is delivered again"
        ]

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
    def test_a_full_disk_may_pass(self, file: Path) -> None:
        file.symlink_to("/dev/full")

        with pytest.raises(ExporterUnavailable, match="cannot be written now: No space left on device"):
            JsonlExporter(file, fsync=False).export(many(1, 1))

    def test_a_disk_that_takes_only_a_part_keeps_nothing_of_the_batch(self, file: Path) -> None:
        JsonlExporter(file).export(many(1, 1))
        before = file.read_bytes()

        with limited_file_size(len(before) + 100), pytest.raises(ExporterUnavailable, match=os.strerror(errno.EFBIG)):
            JsonlExporter(file).export(many(2, 5))

        assert file.read_bytes() == before
        JsonlExporter(file).export(many(2, 5))
        assert read(file) == (many(1, 6), [])

    def test_a_missing_directory_needs_a_person(self, tmp_path: Path) -> None:
        missing = tmp_path / "missing" / "entries.jsonl"

        with pytest.raises(ExporterStopped, match=rf"{missing} cannot be written: No such file or directory; make its"):
            JsonlExporter(missing).export(many(1, 1))

    def test_a_directory_in_its_place_needs_a_person(self, file: Path) -> None:
        file.mkdir()

        with pytest.raises(ExporterStopped, match="Is a directory"):
            JsonlExporter(file).export(many(1, 1))

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
    def test_a_place_that_is_not_ours_needs_a_person(self, file: Path) -> None:
        file.parent.chmod(0o500)
        try:
            with pytest.raises(ExporterStopped, match="Permission denied"):
                JsonlExporter(file).export(many(1, 1))
        finally:
            file.parent.chmod(0o700)

    def test_a_process_that_was_stopped_while_it_wrote_does_not_stop_this_one(self, file: Path) -> None:
        child = subprocess.Popen([sys.executable, "-c", _HOLDS_THE_LOCK, str(file)], stdout=subprocess.PIPE)
        try:
            assert child.stdout is not None
            child.stdout.readline()
            child.send_signal(signal.SIGSTOP)
            began = time.monotonic()

            with pytest.raises(ExporterUnavailable, match="another process has held"):
                JsonlExporter(file).export(many(1, 1))

            assert time.monotonic() - began < 30
        finally:
            child.kill()
            child.communicate()
        JsonlExporter(file).export(many(1, 1))
        assert read(file) == (many(1, 1), [])


class TestProcesses:
    def test_several_write_to_one_file_and_rotate_it_without_losing_a_line(self, file: Path) -> None:
        context = multiprocessing.get_context("spawn")
        writers = [context.Process(target=write_batches, args=(file, worker)) for worker in range(3)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(timeout=60)

        found, damaged = read(file)
        assert [writer.exitcode for writer in writers] == [0, 0, 0]
        assert damaged == []
        assert sorted(entry.entry_id for entry in found) == sorted(
            entry.entry_id for worker in range(3) for entry in many(1_000 * worker, 200)
        )
        assert len(jsonl_files(file)) > 3

    def test_one_that_is_killed_loses_nothing_that_was_acknowledged(self, file: Path) -> None:
        for _ in range(3):
            child = subprocess.Popen(
                [sys.executable, "-c", _WRITES_FOR_EVER, str(file)], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            acknowledged = [child.stdout.readline().strip() for _ in range(20)]
            child.kill()
            acknowledged += child.communicate()[0].split("\n")[:-1]

            found, _ = read(file)
            assert {entry.entry_id for entry in found} >= set(acknowledged)
        JsonlExporter(file).export(many(5_000_000, 1))
        assert read(file)[0][-1] == make_entry(5_000_000)


def write_batches(file: Path, worker: int) -> None:
    exporter = JsonlExporter(file, max_bytes=50_000, fsync=False)
    for number in range(20):
        exporter.export(many(1_000 * worker + 10 * number, 10))


class limited_file_size:  # noqa: N801 - reads as a function, as contextlib's own do
    """A disk on which no file can grow beyond that size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __enter__(self) -> None:
        self._handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._size, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)
        signal.signal(signal.SIGXFSZ, self._handler)


_HOLDS_THE_LOCK = """
import fcntl, sys, time
lock = open(sys.argv[1] + ".lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
_WRITES_FOR_EVER = """
import os, sys
from costtrace.exporters.jsonl import JsonlExporter
from tests.factories import make_entry
exporter = JsonlExporter(sys.argv[1], max_bytes=200_000)
number = os.getpid() * 100_000
while True:
    batch = [make_entry(number + n) for n in range(5)]
    exporter.export(batch)
    print(*(entry.entry_id for entry in batch), sep="\\n", flush=True)
    number += 5
"""
