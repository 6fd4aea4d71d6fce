"""The thread that ingests in the background, a batch at a time, and sleeps while there is nothing to do.

It is woken through a SimpleQueue, the one primitive that may be used from within a garbage collection: ending a
half-read stream there brings the host's thread back into `notice`, perhaps while it is in `notice` already.
"""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from costtrace.errors import LedgerError

_log: Final = logging.getLogger("costtrace")
_BATCH: Final = 1000
_LATEST_S: Final = 1.0
_RETRY_S: Final = 5.0
_GO: Final = "go"
_STOP: Final = "stop"


class BackgroundIngest:
    """Calls `ingest` when a batch has gathered, or a second after the first of it; started by the first notice."""

    def __init__(self, ingest: Callable[[], None]) -> None:
        wake: SimpleQueue[str] = SimpleQueue()
        self._wake = wake
        self._ingest = weakref.WeakMethod(ingest, lambda _: wake.put(_STOP))  # no ledger, no thread
        self._woken = False
        self._hurried = False
        self._waiting = 0
        self._complained = False
        self._thread: threading.Thread | None = None
        self._start_lock = threading.RLock()

    def notice(self) -> None:
        """One more entry waits. The count is approximate under contention, which only moves a batch's edge."""
        self._waiting += 1
        if not self._woken:
            self._woken = True
            self._wake.put(_GO)
            self._start()
        elif self._waiting >= _BATCH and not self._hurried:
            self._hurried = True
            self._wake.put(_GO)

    def stop(self) -> None:
        """End the thread; the next notice starts another."""
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            self._wake.put(_STOP)
            thread.join(timeout=10)
        self._woken = False

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="costtrace-ingest", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no thread to be had, as at the end of the process: reads and close ingest
                    self._woken = False
                    return
                self._thread = thread

    def _run(self) -> None:
        delay = _LATEST_S
        while self._wake.get() == _GO and self._gathered(delay):
            self._waiting = 0
            self._woken = self._hurried = False
            delay = _LATEST_S if self._ingested() else _RETRY_S

    def _gathered(self, delay: float) -> bool:
        """Wait for a whole batch, but no longer than `delay`; False to end."""
        try:
            return self._wake.get(timeout=delay) == _GO
        except Empty:
            return True

    def _ingested(self) -> bool:
        ingest = self._ingest()
        if ingest is None:  # the ledger is gone, and with it the need
            self._wake.put(_STOP)
            return True
        try:
            ingest()
        except LedgerError as error:
            if not self._complained:
                _log.warning("%s; entries wait in the spool", error)
            self._complained = True
            self._woken = True
            self._wake.put(_GO)
            return False
        self._complained = False
        return True
