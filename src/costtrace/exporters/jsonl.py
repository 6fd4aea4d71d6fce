"""Entries as JSON lines in files: one entry a line, as `costtrace.entry.encode_entry` writes it.

A file is only ever added to. Whoever delivers may give an entry again, so a line may be there twice: readers count each
``entry_id`` once, as `read_jsonl` does. A line that a crash broke off was never acknowledged, so its entry comes again;
the next batch begins on a line of its own, and readers report what is left of the broken one.

Several processes may write to one file: each batch is written under a lock, and rotation happens under the same.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from costtrace.entry import Entry, decode_entry, encode_entry
from costtrace.errors import ExporterStopped, ExporterUnavailable, InvalidValue
from costtrace.exporters.protocol import Refusal
from costtrace.jsontext import decode, encode

if sys.platform != "win32":
    import fcntl

_log: Final = logging.getLogger("costtrace")
_NEEDS_A_PERSON: Final = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG}
)
_LOCK_S: Final = 5.0
_LOCK_RETRY_S: Final = 0.01
_NUMBER: Final = re.compile(r"[0-9]{6,}")


class JsonlExporter:
    """Adds entries to a file of JSON lines. Safe to use from many threads and processes at once."""

    batch_size: Final = 500

    def __init__(
        self, path: Path | str, *, max_bytes: int = 64 * 1024 * 1024, keep: int | None = None, fsync: bool = True
    ) -> None:
        """Where a batch would make the file larger than `max_bytes`, it is renamed to ``<path>.000001`` and so on, the
        next number each time, and a new one begins; no batch is ever split. `keep` is how many of the renamed files
        stay, all of them unless given: what is deleted is gone, so give it only where something has read them. With
        `fsync` a batch is acknowledged when it survives a power loss, without, when it survives a killed process.
        """
        if max_bytes < 1:
            raise InvalidValue("max_bytes", max_bytes, "a whole number of one or more")
        if keep is not None and keep < 0:
            raise InvalidValue("keep", keep, "a whole number of zero or more, or None to keep every file")
        self._path = Path(path).absolute()
        self._max_bytes = max_bytes
        self._keep = keep
        self._fsync = fsync
        self.repaired = 0
        """How many broken lines were found at the end of the file and closed."""

    @property
    def name(self) -> str:
        """The file the entries go to."""
        return f"jsonl {self._path}"

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        """Add the entries; all of them are taken or none.

        Raises ExporterUnavailable where the disk is full or another process holds the file, and ExporterStopped where
        the place cannot be written to.
        """
        if not entries:
            return ()
        lines = "".join(f"{entry_line(entry)}\n" for entry in entries).encode()
        try:
            with _locked(self._path):
                self._append(lines)
        except OSError as error:
            raise _explained(error, self._path) from error
        return ()

    def close(self) -> None:
        """Nothing stays open between batches."""

    def _append(self, lines: bytes) -> None:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size and size + len(lines) > self._max_bytes:
            self._rotate()
            size = 0
        fd = os.open(self._path, _FLAGS, 0o600)
        try:
            self._write(fd, size, lines)
        finally:
            os.close(fd)
        if self._fsync and not size:
            _sync_directory(self._path.parent)

    def _write(self, fd: int, size: int, lines: bytes) -> None:
        """Add the lines as a whole, or leave the file as it was."""
        broken = size > 0 and not _ends_a_line(fd, size)
        try:
            _write_all(fd, b"\n" + lines if broken else lines)
            if self._fsync:
                os.fsync(fd)
        except OSError:
            with suppress(OSError):
                os.ftruncate(fd, size)
            raise
        if broken:
            self.repaired += 1
            _log.warning("%s ended in the middle of a line, as after a crash; its entry is delivered again", self._path)

    def _rotate(self) -> None:
        numbered = _numbered(self._path)
        number = _number_of(numbered[-1]) + 1 if numbered else 1
        renamed = self._path.with_name(f"{self._path.name}.{number:06d}")
        self._path.rename(renamed)
        if self._keep is None:
            return
        for old in [*numbered, renamed][: -self._keep or None]:
            old.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedLine:
    """A line that holds no entry."""

    path: Path
    line: int
    """Its number, from 1."""
    size: int
    """How many bytes it has; what they are is nobody's business but the file's."""


def jsonl_files(path: Path | str) -> list[Path]:
    """The files that an exporter to `path` has written and that are still there, oldest first."""
    current = Path(path)
    return [*_numbered(current), *([current] if current.exists() else [])]


def read_jsonl(paths: Iterable[Path | str], *, damaged: Callable[[DamagedLine], None] | None = None) -> Iterator[Entry]:
    """The entries of these files, each once, in the order they were first written.

    `damaged` is told of lines that hold no entry, as a crash leaves them; without, they are logged. Holds the ids of
    all entries in memory. Raises OSError for a file that cannot be read.
    """
    tell = damaged or _logged
    seen: set[str] = set()
    for path in map(Path, paths):
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                entry = _entry(line)
                if entry is None:
                    tell(DamagedLine(path=path, line=number, size=len(line)))
                elif entry.entry_id not in seen:
                    seen.add(entry.entry_id)
                    yield entry


def entry_line(entry: Entry) -> str:
    """The entry as one line, without its end."""
    return encode(encode_entry(entry))


def _entry(line: bytes) -> Entry | None:
    try:
        return decode_entry(decode(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _logged(line: DamagedLine) -> None:
    _log.warning("line %d of %s holds no entry (%d bytes) and is left out", line.line, line.path, line.size)


def _numbered(path: Path) -> list[Path]:
    """The renamed files, oldest first."""
    prefix = f"{path.name}."
    found = [
        other
        for other in path.parent.iterdir()
        if other.name.startswith(prefix) and _NUMBER.fullmatch(other.name[len(prefix) :])
    ]
    return sorted(found, key=_number_of)


def _number_of(path: Path) -> int:
    return int(path.suffix[1:])


_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While no other process writes to the file or renames it."""
    fd = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + _LOCK_S
        while not _is_ours(fd):
            if time.monotonic() >= until:  # a process that was stopped while it wrote must not stop this one
                raise ExporterUnavailable(f"another process has held {path} for {_LOCK_S:.0f} s")
            time.sleep(_LOCK_RETRY_S)
        yield
    finally:
        os.close(fd)


def _is_ours(fd: int) -> bool:
    """Whether the lock is this process's now; it ends with the process, or when the file is closed."""
    if sys.platform == "win32":  # nothing there to lock with: one file is for one process
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ends_a_line(fd: int, size: int) -> bool:
    os.lseek(fd, size - 1, os.SEEK_SET)  # writing goes to the end all the same
    return os.read(fd, 1) == b"\n"


def _write_all(fd: int, data: bytes) -> None:
    """One write, unless the disk takes only a part of it."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_directory(path: Path) -> None:
    """A new name survives a power loss only when its directory was synced too."""
    with suppress(OSError):  # some file systems cannot
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _explained(error: OSError, path: Path) -> ExporterStopped | ExporterUnavailable:
    why = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _NEEDS_A_PERSON:
        return ExporterStopped(f"{path} cannot be written: {why}; make its directory, or let this user write there")
    return ExporterUnavailable(f"{path} cannot be written now: {why}")
