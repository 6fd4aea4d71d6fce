"""Time as a test wants it: it passes only when somebody sleeps, or the test says so."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta


class Clock:
    """Wall clock, monotonic clock and sleep in one."""

    def __init__(self, now: datetime) -> None:
        self.start = self.now = now
        self.slept: list[float] = []
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return (self.now - self.start).total_seconds()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.slept.append(seconds)
            self.now += timedelta(seconds=seconds)
