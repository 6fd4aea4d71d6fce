"""What goes to standard output, and how: set with rich on a terminal, plain into a pipe, JSON where it is asked for."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from costtrace.cli.page import Page
from costtrace.cli.plain import plain_text


def on_terminal() -> bool:
    """Whether a person reads along."""
    return sys.stdout.isatty()


def _into_a_file() -> bool:
    try:
        return stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)
    except OSError:  # it is closed, or something in its place that is no file at all
        return False


def show(page: Page) -> None:
    """Print the page for whoever reads it."""
    if not on_terminal():
        sys.stdout.write(plain_text(page))
        return
    from costtrace.cli.styled import print_page, terminal  # noqa: PLC0415 - rich; a pipe must not wait for it

    print_page(page, terminal())


def show_json(value: Any) -> None:
    """Print one JSON value, indented."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def show_json_line(value: Any) -> None:
    """Print one JSON value on one line, at once: whoever waits at the other end of a pipe can go on."""
    sys.stdout.write(json.dumps(value, separators=(",", ":")) + "\n")
    sys.stdout.flush()


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """Say on a terminal what takes so long; silent when piped, because whoever reads the pipe may write there too."""
    if not (sys.stderr.isatty() and (on_terminal() or _into_a_file())):
        yield
        return
    from rich.console import Console  # noqa: PLC0415 - a pipe must not wait for it
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.spinner import Spinner  # noqa: PLC0415 - as above

    console = Console(stderr=True)
    with Live(Spinner("dots", doing), console=console, transient=True, redirect_stdout=False, redirect_stderr=False):
        yield
