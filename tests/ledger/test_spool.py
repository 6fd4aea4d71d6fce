"""What a segment is worth after a crash, a torn write, damage, or a record that no table takes."""

from __future__ import annotations

import logging
import sqlite3
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costtrace.entry import Entry
from costtrace.errors import InvalidValue, LedgerUnusable
from costtrace.jsontext import encode
from costtrace.ledger import SqliteLedger
from costtrace.ledger.rows import COLUMNS, to_line, to_row
from costtrace.ledger.spool import MAGIC, Spool, frame, frames, next_frame
from tests.factories import make_costs, make_entry


def record(entry: Entry) -> bytes:
    return to_line(to_row(entry))


def leave_segment(ledger: SqliteLedger, name: str, content: bytes) -> None:
    """As a process leaves one that was killed."""
    spool = ledger.path.with_name(ledger.path.name + "-spool")
    spool.mkdir(exist_ok=True)
    (spool / f"{name}.seg").write_bytes(content)


def segments_of(ledger: SqliteLedger) -> list[str]:
    return sorted(path.name for path in ledger.path.with_name(ledger.path.name + "-spool").glob("*"))


def ids(ledger: SqliteLedger) -> set[str]:
    return {entry.entry_id for _, entry in ledger.entries()}


@given(st.lists(st.binary(max_size=40), max_size=5), st.binary(max_size=20))
def test_frames_are_read_as_they_were_written_up_to_the_first_that_is_none(payloads: list[bytes], tail: bytes) -> None:
    whole = b"".join(map(frame, payloads))
    found = list(frames(whole + tail))
    assert [payload for payload, _ in found[: len(payloads)]] == payloads
    if not tail.startswith(MAGIC):
        assert len(found) == len(payloads)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_the_next_undamaged_frame_is_found_behind_any_rubbish(rubbish: bytes, payload: bytes) -> None:
    data = b"?" + rubbish + frame(payload)
    found = next_frame(data, 0)
    assert found is not None
    assert found <= 1 + len(rubbish)
    assert next_frame(b"?" + rubbish.replace(MAGIC, b""), 0) is None


def test_a_torn_last_record_is_dropped_wherever_it_was_torn_and_everything_before_it_is_kept(
    sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """Every byte offset is a segment of its own, with entries of its own."""
    last = frame(record(make_costs("1", number=99, entry_id="torn")))
    expected = set()
    for cut in range(len(last)):
        kept = make_costs("1", number=cut)
        expected.add(kept.entry_id)
        leave_segment(sqlite, f"{cut:05d}", frame(record(kept)) + last[:cut])
    assert ids(sqlite) == expected
    assert segments_of(sqlite) == []
    assert sqlite.health().rejected == 0
    assert caplog.records == []  # a torn tail was never acknowledged: there is nothing to tell


@pytest.mark.parametrize("change", [lambda byte: byte ^ 0x01, lambda byte: byte ^ 0xFF, lambda _: 0])
def test_damage_in_an_orphaned_segment_loses_the_damaged_record_and_is_logged(
    sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture, change: Callable[[int], int]
) -> None:
    """Every byte of the record in the middle is damaged in a segment of its own."""
    expected, damaged = set(), 0
    for offset in range(len(frame(record(make_costs("1", number=100_000, entry_id="x/100000"))))):
        before, victim, after = (
            frame(record(make_costs("1", number=100_000 + offset, entry_id=f"{part}/{100_000 + offset}")))
            for part in ("b", "x", "a")
        )
        broken = victim[:offset] + bytes([change(victim[offset])]) + victim[offset + 1 :]
        expected |= {f"b/{100_000 + offset}", f"a/{100_000 + offset}"}
        if broken == victim:
            expected.add(f"x/{100_000 + offset}")
        else:
            damaged += 1
        leave_segment(sqlite, f"{offset:05d}", before + broken + after)
    assert ids(sqlite) == expected
    assert segments_of(sqlite) == []
    complaints = [text for text in caplog.messages if text.startswith("a spool segment is damaged: ")]
    assert len(complaints) == damaged


@pytest.mark.parametrize("where", [0, 3000, 5999])
def test_damage_in_a_segment_of_many_megabytes_loses_the_damaged_record_only(sqlite: SqliteLedger, where: int) -> None:
    padding = {"padding": "x" * 2000}
    written = [frame(record(make_costs("1", number=number, details=padding))) for number in range(6000)]
    assert sum(map(len, written)) > 2 * 4 * 1024 * 1024  # more than is read at once, on either side
    victim = bytearray(written[where])
    victim[20] ^= 0xFF
    written[where] = bytes(victim)
    leave_segment(sqlite, "big", b"".join(written))
    sqlite.flush()
    assert sqlite.health().entries == 5999
    assert segments_of(sqlite) == []


def test_megabytes_of_rubbish_between_two_records_are_passed_over(sqlite: SqliteLedger) -> None:
    first, last = make_entry(1), make_entry(2)
    rubbish = (b"\x00" * 1021 + MAGIC[:3]) * 9 * 1024
    leave_segment(sqlite, "big", frame(record(first)) + rubbish + frame(record(last)))
    assert ids(sqlite) == {first.entry_id, last.entry_id}
    assert segments_of(sqlite) == []


def row_with(position: int, value: Any) -> bytes:
    row: list[Any] = to_row(make_entry(50))
    row[position] = value
    return to_line(row)


SCALARS, BASIS, BODY = record(make_entry(50)).split(b"\n")
POISON = {
    "no JSON": b"never written by us",
    "no UTF-8": b"\xff\xfe\xfd",
    "a number": b"5",
    "null": b"null",
    "a text": b'"text"',
    "an object": b"{}",
    "an empty list": b"[]",
    "a short list": b"[1,2,3]",
    "a row of a later layout": encode(["more", 1 << len(COLUMNS)]).encode() + b"\n\n{}",
    "more values than columns": SCALARS.replace(b"[", b'["more",', 1) + b"\n" + BASIS + b"\n" + BODY,
    "no word of which columns": b'["llm/1","m"]\n\n{}',
    "no entry_id": row_with(0, None),
    "no message_uuid": row_with(1, None),
    "no body": SCALARS + b"\n" + BASIS,
    "a body that is no text": SCALARS + b"\n" + BASIS + b"\n\xff",
    "a list for a text": row_with(7, ["a"]),
    "a basis that is no text": SCALARS + b"\n\xff\n" + BODY,
    "an integer beyond 64 bits": row_with(4, 2**63),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
def test_a_record_that_the_table_refuses_is_put_aside_and_the_others_go_in(
    sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture, poison: bytes
) -> None:
    others = [make_entry(number) for number in range(4)]
    content = [frame(record(entry)) for entry in others]
    leave_segment(sqlite, "mixed", b"".join([*content[:2], frame(poison), *content[2:]]))
    assert ids(sqlite) == {entry.entry_id for entry in others}
    assert sqlite.health().rejected == 1
    assert segments_of(sqlite) == []
    assert any("cannot be stored and was put aside" in text for text in caplog.messages)
    connection = sqlite3.connect(sqlite.path)
    assert connection.execute("SELECT segment, record FROM rejected").fetchall() == [("mixed.seg", poison)]
    connection.close()


def test_a_segment_is_ingested_once_though_it_could_not_be_taken_away(sqlite: SqliteLedger) -> None:
    """As when a process dies between its commit and the removal: the next one finds the segment and its mark."""
    entry = make_costs("1")
    leave_segment(sqlite, "again", frame(record(entry)))
    assert len(ids(sqlite)) == 1
    leave_segment(sqlite, "again", frame(record(entry)))
    assert str(sqlite.totals()[()].actual) == "1 USD"
    assert segments_of(sqlite) == []


def test_segments_are_ingested_oldest_first(sqlite: SqliteLedger) -> None:
    for name in ("2", "1", "3"):
        leave_segment(sqlite, name, frame(record(make_costs(name, entry_id="same"))))
    assert [str(entry.cost) for _, entry in sqlite.entries()] == ["1 USD"]


def test_a_full_segment_is_sealed_and_another_begun(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    payload = b"x" * (1024 * 1024)
    for _ in range(40):
        spool.write(payload)
    assert len(spool.segments()) == 3
    assert sum(1 for path in spool.segments() for _ in frames(path.read_bytes())) == 40
    spool.close()


def test_a_failed_write_leaves_no_descriptor_open_and_few_files_behind(tmp_path: Path) -> None:
    """A spool that cannot be written is tried again and again, for hours."""
    directory = tmp_path / "spool"
    directory.write_text("a file stands where the directory should")
    spool = Spool(directory)
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    for _ in range(20):
        with pytest.raises(Exception, match="cannot write to the spool"):
            spool.write(b"x")
    after = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 0
    assert after == before


def test_nothing_is_logged_of_what_an_entry_holds(sqlite: SqliteLedger, caplog: pytest.LogCaptureFixture) -> None:
    number = "+15005550006"
    leave_segment(sqlite, "odd", frame(row_with(4, number * 10)) + frame(encode([number]).encode()))
    with caplog.at_level(logging.DEBUG, "costtrace"):
        sqlite.flush()
    assert caplog.messages
    assert number not in caplog.text


def test_a_record_too_large_to_be_read_in_one_piece_is_refused(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    with pytest.raises(InvalidValue, match="at most 1048576 bytes"):
        spool.write(b"x" * (1024 * 1024 + 1))
    assert spool.segments() == []


def test_a_segment_that_cannot_be_read_keeps_no_append_from_the_table(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "costs.db")
    (tmp_path / "costs.db-spool" / "0.seg").mkdir(parents=True)
    assert ledger.append([make_entry(1)]) == {make_entry(1).entry_id}
    ledger.close()


def test_without_a_thread_to_be_had_entries_are_taken_and_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of a process, from Python 3.12 on, or where the system has no more to give."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    ledger = SqliteLedger(tmp_path / "costs.db")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    ledger.spool(make_entry(1))
    assert [entry.entry_id for _, entry in ledger.entries()] == [make_entry(1).entry_id]
    ledger.close()


def test_records_of_another_version_are_left_to_that_version(tmp_path: Path) -> None:
    """As after a downgrade, or while two versions share a ledger: nothing is put aside, nothing is taken for damage."""
    ledger = SqliteLedger(tmp_path / "costs.db")
    ledger.append([make_entry(1)])
    segment = tmp_path / "costs.db-spool" / "1.seg"
    segment.parent.mkdir(exist_ok=True)
    magic = MAGIC[:-1] + b"9"
    segment.write_bytes(struct.pack(">4sII", magic, 2, zlib.crc32(magic + b"[]")) + b"[]")

    with pytest.raises(LedgerUnusable, match="another version of costtrace"):
        ledger.flush()
    assert [entry.entry_id for _, entry in ledger.entries()] == [make_entry(1).entry_id]
    assert segment.exists()
    assert ledger.health().rejected == 0
    ledger.close()
