"""Spool: the durable front door of a ledger on a hot path.

Each process appends framed, checksummed records to a segment file of its own, with one ``write`` each: once that call
has returned, the record survives the death of the process, because the kernel has it. Whoever uses the ledger's table
next ingests the segments, this process or any other.

    frame = magic(4) length(4) crc32-of-magic-and-payload(4) payload

A segment is locked by its writer for as long as the writer lives. A frame that does not check out is, in a live
segment, one that is just being written, and is left for later; in a segment whose writer is gone it was never
acknowledged (a torn tail), or the file was damaged, and reading goes on at the next frame that does check out.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from costtrace.errors import InvalidValue, LedgerError, LedgerUnavailable, LedgerUnusable

if sys.platform != "win32":
    import fcntl

MAGIC: Final = b"CTs3"
"""Begins each frame; its last byte is the version of what stands in it, to be raised with the layout of a row."""
_SEED: Final = zlib.crc32(MAGIC)
_HEADER: Final = struct.Struct(">4sII")
_MAX_RECORD: Final = 1024 * 1024
"""Less than what ingest reads at once, so that it always sees a whole record."""
_SEGMENT_BYTES: Final = 16 * 1024 * 1024
_PASSING: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EINTR, errno.EAGAIN}
)


def frame(payload: bytes) -> bytes:
    """The payload as it stands in a segment."""
    return _HEADER.pack(MAGIC, len(payload), zlib.crc32(payload, _SEED)) + payload


def frames(data: bytes, start: int = 0) -> Iterator[tuple[bytes, int]]:
    """The payloads of whole, undamaged frames from `start` on, each with its end; stops at the first other one."""
    position, size = start, len(data)
    while (head := position + _HEADER.size) <= size:
        magic, length, checksum = _HEADER.unpack_from(data, position)
        position = head + length
        payload = data[head:position]
        if magic != MAGIC or position > size or zlib.crc32(payload, _SEED) != checksum:
            return
        yield payload, position


def is_of_another_version(data: bytes, position: int) -> bool:
    """Whether an undamaged frame stands there whose payload this version does not know."""
    if len(data) - position < _HEADER.size:
        return False
    magic: bytes
    magic, length, checksum = _HEADER.unpack_from(data, position)
    if magic == MAGIC or magic[:-1] != MAGIC[:-1]:
        return False
    payload = data[position + _HEADER.size : position + _HEADER.size + length]
    whole: bool = len(payload) == length
    return whole and zlib.crc32(payload, zlib.crc32(magic)) == int(checksum)


def next_frame(data: bytes, start: int) -> int | None:
    """The offset of the next undamaged frame after `start`, if there is one."""
    position = data.find(MAGIC, start + 1)
    while position >= 0:
        if next(frames(data, position), None) is not None:
            return position
        position = data.find(MAGIC, position + 1)
    return None


def _failure(error: OSError, where: Path) -> LedgerError:
    kind = LedgerUnavailable if error.errno in _PASSING else LedgerUnusable
    return kind(f"cannot write to the spool {str(where)!r}: {error.strerror or error}")


@dataclass(slots=True)
class _Segment:
    path: Path
    fd: int
    size: int = 0


class Spool:
    """The segments in one directory, one of them this process's own."""

    def __init__(self, directory: Path, *, fsync: bool = False) -> None:
        self.directory = directory
        self._fsync = fsync
        self._lock = threading.RLock()
        self._writing = False
        self._own: _Segment | None = None

    def write(self, payload: bytes) -> None:
        """Make the record durable. Raises LedgerUnavailable or LedgerUnusable, and then it is not in the spool."""
        if len(payload) > _MAX_RECORD:
            raise InvalidValue("entry", f"{len(payload)} bytes", f"at most {_MAX_RECORD} bytes as it is stored")
        data = frame(payload)
        with self._lock:
            if self._writing:  # a garbage collection struck below and ended a half-read stream, on this very thread
                raise LedgerUnavailable(f"the spool {str(self.directory)!r} is being written by this thread")
            self._writing = True
            try:
                self._append(data)
            finally:
                self._writing = False

    def _append(self, data: bytes) -> None:
        segment = self._own or self._open()
        try:
            written = os.write(segment.fd, data)
            if self._fsync:
                os.fsync(segment.fd)
        except OSError as error:
            self._abandon(segment)
            raise _failure(error, self.directory) from error
        if written != len(data):  # the disk is full: the piece that fitted is a torn record
            self._abandon(segment)
            raise LedgerUnavailable(f"cannot write to the spool {str(self.directory)!r}: no space left")
        segment.size += written
        if segment.size >= _SEGMENT_BYTES:
            self._seal(segment)

    def segments(self) -> list[Path]:
        """Every segment in the directory, oldest first."""
        try:
            return sorted(self.directory.glob("*.seg"))
        except OSError:
            return []

    def waiting(self) -> int:
        """Bytes in all segments, ingested or not."""
        return sum(_size(path) for path in self.segments())

    def has_more(self, path: Path, seen: int) -> bool:
        """Whether a segment holds more than `seen` bytes, or can be taken away."""
        return _size(path) > seen or (not self._is_own(path) and self.read(path, seen, 0)[1])

    def read(self, path: Path, offset: int, limit: int) -> tuple[bytes, bool]:
        """Up to `limit` bytes of a segment from `offset` on, and whether its writer is gone and will add nothing.

        The order matters: a writer found gone before reading has written all it ever will.
        """
        try:
            with path.open("rb") as file:
                done = not self._is_own(path) and _lock(file.fileno())
                file.seek(offset)
                return file.read(limit), done
        except FileNotFoundError:  # another process ingested it to the end and took it away
            return b"", False

    def remove(self, path: Path) -> None:
        """Take away a segment that was ingested to its end."""
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """Seal this process's own segment; the next write opens another."""
        with self._lock:
            if self._own is not None:
                self._seal(self._own)

    def after_fork(self) -> None:
        """In a forked child: leave the parent's segment to the parent."""
        self._lock = threading.RLock()
        self._writing = False
        if self._own is not None:
            self._forget(self._own)

    def _open(self) -> _Segment:
        path = self.directory / f"{_time_ordered_name()}.seg"
        unlocked = path.with_suffix(".new")
        fd = None
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            fd = os.open(unlocked, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
            _lock(fd)
            unlocked.rename(path)  # seen as a segment only once it is locked, or a reader might take it for orphaned
            if self._fsync:
                _fsync_directory(self.directory)
                _fsync_directory(self.directory.parent)
        except OSError as error:
            if fd is not None:
                os.close(fd)
            raise _failure(error, self.directory) from error
        self._own = _Segment(path, fd)
        return self._own

    def _seal(self, segment: _Segment) -> None:
        self._own = None
        os.close(segment.fd)

    def _abandon(self, segment: _Segment) -> None:
        """After a failed write. A segment without a whole record is taken away: there would be one for each attempt."""
        self._forget(segment)
        if not segment.size:
            try:
                segment.path.unlink(missing_ok=True)
            except OSError:  # a place that became read-only; the next ingest takes it away
                return

    def _forget(self, segment: _Segment) -> None:
        self._own = None
        try:
            os.close(segment.fd)
        except OSError:  # closing reports the write that failed, once more
            return

    def __del__(self) -> None:
        if self._own is not None:  # nobody closed the ledger: let its segment be seen as finished
            self._forget(self._own)

    def _is_own(self, path: Path) -> bool:
        own = self._own
        return own is not None and own.path == path


def _time_ordered_name() -> str:
    return f"{time.time_ns() // 1_000_000:013d}-{os.getpid()}-{os.urandom(4).hex()}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _lock(fd: int) -> bool:
    if (
        sys.platform == "win32"
    ):  # nothing there tells whether a writer lives, so its segments are read and never removed
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _fsync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
