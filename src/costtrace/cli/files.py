"""Files that a command writes: whole or not at all."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from costtrace.errors import ConfigurationError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new file beside that one, which takes its place when everything is written; after a failure nothing changed.

    A link stays, and what it leads to is replaced. Raises ConfigurationError for a place that cannot be written to.
    """
    try:
        place = Path(os.path.realpath(path))
        if place.is_dir():
            raise ConfigurationError(f"{path} cannot be written: it is a directory")
        if place.exists() and not place.is_file():  # to take the place of /dev/null would break the machine
            raise ConfigurationError(f"{path} cannot be written: it is no regular file")
        unfinished = place.with_name(f".{place.name}.{os.getpid()}")
        try:
            yield unfinished
            unfinished.replace(place)
        finally:
            with suppress(OSError):
                unfinished.unlink()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


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
