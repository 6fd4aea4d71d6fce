"""One thread that works off a bounded queue of jobs, in order."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

LIMIT: Final = 10_000
"""Jobs that may wait."""


class Worker:
    """Runs what is submitted, one job after the other, until stopped. What still waits then is dropped."""

    def __init__(self, name: str, *, limit: int = LIMIT) -> None:
        self._name = name
        self._limit = limit
        self._changed = threading.Condition()
        self._jobs: deque[Callable[[], None]] = deque()
        self._unfinished = 0
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Jobs are taken when this returns."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[], None]) -> bool:
        """False when the queue is full."""
        with self._changed:
            if len(self._jobs) >= self._limit:
                return False
            self._jobs.append(job)
            self._unfinished += 1
            self._changed.notify_all()
            return True

    def wait(self, timeout_s: float) -> bool:
        """True once every job is done, False when the time is over before."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._unfinished, timeout_s)

    def stop(self) -> None:
        """The job at hand is finished and the thread gone when this returns."""
        with self._changed:
            self._stopping = True
            self._unfinished -= len(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (job := self._next()) is not None:
            try:
                job()
            finally:
                with self._changed:
                    self._unfinished -= 1
                    self._changed.notify_all()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            self._changed.wait_for(lambda: bool(self._jobs) or self._stopping)
            return self._jobs.popleft() if self._jobs else None
