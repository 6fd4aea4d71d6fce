"""Files that a command writes: whole or not at all."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TextIO

from costtrace.errors import ConfigurationError

_SQLITE: Final = b"SQLite format 3\0"
"""How such a file begins. https://www.sqlite.org/fileformat2.html#magic_header_string"""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new file beside that one, which takes its place when everything is written; after a failure nothing changed.

    A link stays, and what it leads to is replaced. Raises ConfigurationError for a place that cannot be written to, and
    for a database: a slip of the hand would be the end of a ledger.
    """
    try:
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise ConfigurationError(f"{path} cannot be written: it is a directory")
        if place.exists() and not place.is_file():  # to take the place of /dev/null would break the machine
            raise ConfigurationError(f"{path} cannot be written: it is no regular file")
        if place.exists() and _is_database(place):
            raise ConfigurationError(f"{path} is not replaced: it is a database, maybe the ledger; name another")
        unfinished = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            yield unfinished
            unfinished.replace(place)
        finally:
            with suppress(OSError):
                unfinished.unlink()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


def _is_database(place: Path) -> bool:
    with place.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


@contextmanager
def whole_text_file(path: Path) -> Iterator[TextIO]:
    """The same for text: UTF-8, line ends as they are written."""
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as stream:
        yield stream


def exact_output() -> TextIO:
    """Standard output for data: UTF-8 whatever the locale, line ends as they are written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="")
    return sys.stdout
