"""Starts the processes of `tests.ledger.child`, and hears what they were told is safe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60


class Child:
    """One process; killed at the latest when the ``with`` block ends."""

    def __init__(self, path: Path, **plan: Any) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.ledger.child", str(path), json.dumps(plan)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._process.communicate(timeout=TIMEOUT_S)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def was_killed(self) -> bool:
        return self._process.returncode == -signal.SIGKILL

    def go(self) -> None:
        """Wait until it is ready, and let it work."""
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        assert self._process.stdout.readline() == b"ready\n"
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()

    def acknowledged(self) -> list[str]:
        """Wait for its end; the ids of the entries it was told are safe."""
        output, _ = self._process.communicate(timeout=TIMEOUT_S)
        assert self.was_killed or self._process.returncode == 0
        lines: list[str] = output.decode().split("\n")
        return lines[:-1]  # what stands behind the last line end was cut off by the kill


def run(path: Path, **plan: Any) -> list[str]:
    """Let one process do its work; the ids of the entries it was told are safe."""
    with Child(path, **plan) as child:
        child.go()
        return child.acknowledged()
