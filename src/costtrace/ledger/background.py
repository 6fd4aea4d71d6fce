"""The thread that ingests in the background, a batch at a time, and sleeps while there is nothing to do."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from typing import Final

from costtrace.errors import LedgerError

_log: Final = logging.getLogger("costtrace")
_BATCH: Final = 500
_LATEST_S: Final = 1.0
_RETRY_S: Final = 5.0


class BackgroundIngest:
    """Calls `ingest` when a batch has gathered, or a second after the first of it; started by the first notice."""

    def __init__(self, ingest: Callable[[], None]) -> None:
        self._ingest = weakref.WeakMethod(ingest)
        self._some = threading.Event()
        self._enough = threading.Event()
        self._stopped = False
        self._complained = False
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._start_lock = threading.Lock()

    def notice(self) -> None:
        """One more entry waits. The count is approximate under contention, which only moves a batch's edge."""
        self._waiting += 1
        if not self._some.is_set():
            self._start()
            self._some.set()
        if self._waiting == _BATCH:
            self._enough.set()

    def stop(self) -> None:
        """End the thread; the next notice starts another."""
        with self._start_lock:
            thread, self._thread = self._thread, None
            self._stopped = True
            self._some.set()
            self._enough.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=10)

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is None:
                self._stopped = False
                self._some.clear()
                self._enough.clear()
                self._thread = threading.Thread(target=self._run, name="costtrace-ingest", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        delay = _LATEST_S
        while True:
            self._some.wait()
            self._enough.wait(delay)
            if self._stopped:
                return
            self._some.clear()
            self._enough.clear()
            self._waiting = 0
            delay = _LATEST_S if self._ingested() else _RETRY_S

    def _ingested(self) -> bool:
        ingest = self._ingest()
        if ingest is None:
            self._stopped = True
            return True
        try:
            ingest()
        except LedgerError as error:
            if not self._complained:
                _log.warning("%s; entries wait in the spool", error)
            self._complained = True
            self._some.set()
            return False
        self._complained = False
        return True
