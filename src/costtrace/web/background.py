"""Work that no answer waits for, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

_LIMIT: Final = 2_048
"""As many spans as OpenTelemetry's own processor keeps waiting: more would be lost there."""

_IDLE_S: Final = 5.0
"""How long the thread waits for more before it ends."""


class Background:
    """Does one thing after the other, in the order they came. At most `limit` of them wait.

    Called with what is to be done, which must not raise; raises `queue.Full` where too much waits already. What is not
    done when the process ends is left undone: a process that is to end waits for `drain`, and for nothing beyond.
    """

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._jobs: deque[Callable[[], None]] = deque()
        """The first of them is being done."""
        self._working = False
        self._changed = threading.Condition()

    def __call__(self, job: Callable[[], None]) -> None:
        """Have that done soon."""
        with self._changed:
            if len(self._jobs) >= self._limit:
                raise queue.Full
            if not self._working:
                threading.Thread(target=self._work, name="costtrace background", daemon=True).start()
                self._working = True
            self._jobs.append(job)
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is left; False where something still is after `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs, timeout_s)

    def _work(self) -> None:
        while self._has_next():
            try:
                self._jobs[0]()
            finally:
                self._done()

    def _has_next(self) -> bool:
        with self._changed:
            self._working = self._changed.wait_for(lambda: bool(self._jobs), _IDLE_S)
            return self._working

    def _done(self) -> None:
        with self._changed:
            self._jobs.popleft()
            self._changed.notify_all()
