"""A pseudo-terminal: what a person sees who types the command."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Sequence
from dataclasses import dataclass

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a command wrote to its terminal, and how it ended."""

    raw: str
    status: int

    @property
    def text(self) -> str:
        """Without colours and cursor movements."""
        return _CONTROL.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def show_on_terminal(command: Sequence[str], *, columns: int) -> Shown:
    """Run the command with a terminal as its input, output and error."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
        environment.pop(name, None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = _read_to_end(ours)
        os.close(ours)
        return Shown(raw=written.decode(), status=process.wait(timeout=60))


def on_terminal_of_errors(command: Sequence[str], *, output: int) -> str:
    """What the command writes to the terminal where only its standard error is one; standard output goes elsewhere."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = _read_to_end(ours)
        os.close(ours)
        process.wait(timeout=60)
    return _CONTROL.sub("", written.decode())


def _read_to_end(terminal: int) -> bytes:
    written = b""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:  # Linux says so when the last process has left the other side
            return written
        if not piece:
            return written
        written += piece
