"""Draws charts: Vega-Lite in, SVG out, by a process of its own.

The drawing takes a tenth of a second of pure computation that would hold up every webhook of this process; and whoever
looks at no chart pays for none. What is drawn is plain SVG without script or style, so the strictest content security
policy holds; its colours are names that the page's style sheet gives a value to, light or dark.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from costtrace.errors import CostTraceError, MissingExtra

_LIMIT_S: Final = 20.0
_PROGRAM: Final = Path(__file__).with_name("drawing_process.py")
_MOST_CHARTS: Final = 500
"""It grows by some kilobytes with each chart, so another process goes on after that many."""
_MISSING: Final = "missing"


class NotDrawn(CostTraceError):  # noqa: N818 - names what is the matter
    """The chart could not be drawn; the table beside it says the same."""


class Pencil:
    """Draws one chart at a time. The process starts with the first one and ends with `close`, or with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._drawn = 0

    def svg(self, spec: dict[str, Any]) -> str:
        """The chart as an SVG element. Raises NotDrawn; MissingExtra where nothing is installed that could draw."""
        with self._lock:
            process = self._running()
            patience = threading.Timer(_LIMIT_S, process.kill)
            patience.start()
            try:
                line = self._answer(process, json.dumps(spec))
            finally:
                patience.cancel()
        answer = json.loads(line) if line else {"problem": "the process that draws has ended"}
        if answer.get("problem") == _MISSING:
            raise MissingExtra(package="vl-convert-python", feature="a chart", extra="web")
        if "svg" not in answer:
            raise NotDrawn(f"the chart could not be drawn: {answer['problem']}")
        svg: str = answer["svg"]
        return svg

    def close(self) -> None:
        """End the process, also in the middle of a chart."""
        if (drawing := self._process) is not None:
            drawing.kill()  # who waits for its chart lets go of the lock
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and (self._drawn >= _MOST_CHARTS or self._process.poll() is not None):
            _end(self._process)
            self._process = None
        if self._process is None:
            self._drawn = 0
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", str(_PROGRAM)],  # -P: the modules beside it are not its own
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the server, which closes this one
            )
        self._drawn += 1
        return self._process

    def _answer(self, process: subprocess.Popen[str], line: str) -> str:
        assert process.stdin is not None  # noqa: S101 - it was asked for
        assert process.stdout is not None  # noqa: S101 - as above
        try:
            process.stdin.write(line + "\n")
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:  # it was killed: out of memory, out of time, or by a person
            return ""


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    with suppress(OSError):  # what was still to be written has no reader any more
        process.communicate()
