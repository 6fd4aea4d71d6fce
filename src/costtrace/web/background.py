"""Work that no answer waits for, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_LIMIT: Final = 2_048
"""As many spans as OpenTelemetry's own processor keeps waiting: more would be lost there."""


class Background:
    """Does one thing after the other, in the order they came. At most `limit` of them wait.

    Called with what is to be done, which must not raise; raises `queue.Full` where too much waits already.
    """

    def __init__(self, *, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._left = 0
        self._changed = threading.Condition()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="costtrace-background")

    def __call__(self, job: Callable[[], None]) -> None:
        """Have that done soon."""
        with self._changed:
            if self._left >= self._limit:
                raise queue.Full
            self._left += 1
        self._thread.submit(self._do, job)

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing is left; False where something still is after `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._left, timeout_s)

    def _do(self, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            with self._changed:
                self._left -= 1
                self._changed.notify_all()
