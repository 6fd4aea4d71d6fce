"""Backlog: hands entries to a ledger, and holds in memory, bounded, what the ledger cannot take now.

What waits is written before the next entry that succeeds, once a second while nothing else happens, and at the end of
the process. A store that takes its time to refuse, as one over a network may, is tried again in the background only.
What finds the memory full is lost, counted, and reported to the ledger as soon as it is back.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import LedgerError
from costtrace.faults import Faults
from costtrace.ledger import Ledger

_log: Final = logging.getLogger("costtrace")
_RETRY_S: Final = 1.0
_SLOW_S: Final = 0.25
"""A refusal that took longer than this is not waited for again by whoever has an entry to store."""
_WAIT_S: Final = 10.0
"""How long `drain` waits for another thread that is writing what waits."""


class Backlog:
    """One per recorder; `capacity` is how many entries may wait. Safe to use from many threads; never raises.

    `on_refusal` is called whenever the ledger refuses.
    """

    def __init__(
        self, ledger: Ledger, *, capacity: int, faults: Faults, on_refusal: Callable[[], None] = lambda: None
    ) -> None:
        self._ledger = ledger
        self._store_line: Callable[[bytes], None] | None = getattr(ledger, "spool_line", None)
        self._capacity = capacity
        self._faults = faults
        self._on_refusal = on_refusal
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._waiting: deque[Entry] = deque()
        self._retry_at = 0.0
        self._slow = False
        self._timer: threading.Timer | None = None
        self._draining = threading.Lock()  # only tried, never waited for on the hot path
        self._unreported = 0
        self.stored = 0
        """Entries that the ledger accepted."""
        self.lost = 0
        """Entries that found the memory full."""
        self.problem: str | None = None
        """What the ledger said last time it refused; None once it takes entries again."""
        _live.add(self)

    def __len__(self) -> int:
        return len(self._waiting)

    def store(self, entry: Entry) -> None:
        """Hand over one entry; it is durable, or waits in memory, when this returns."""
        if self._waiting:
            if self._slow:
                self._keep(entry)
                return
            self._drain()
        if time.monotonic() < self._retry_at or not self._accepted(entry):
            self._keep(entry)
            return
        self._count_stored()

    def store_line(self, line: bytes) -> bool:
        """Hand over an entry that is written already; False where it must come as an `Entry`, to wait or be refused."""
        if self._store_line is None or self._waiting or (self._retry_at and time.monotonic() < self._retry_at):
            return False
        try:
            self._store_line(line)
        except Exception:  # noqa: BLE001 - a ledger may be anybody's; it says why when it is given the entry
            return False
        with self._lock:
            self.stored += 1
        return True

    def drain(self) -> int:
        """Try now to store what waits; how many entries still wait."""
        self._retry_at = 0.0
        if self._waiting or self._unreported:
            self._drain(wait_s=_WAIT_S)
        return len(self._waiting)

    def flush(self) -> None:
        """Try to store what waits, and have the ledger bring everything durable into its table."""
        self.drain()
        try:
            self._ledger.flush()
        except Exception as error:  # noqa: BLE001 - a ledger may be anybody's
            self._refused(error)
        else:
            if not self._waiting:
                self.problem = None

    def after_fork(self) -> None:
        """In a forked child: what waits, and what was lost, is the parent's to store and to tell."""
        self._lock = threading.RLock()
        self._draining = threading.Lock()
        self._timer = None
        self._slow = False
        self._waiting.clear()
        self.lost = self._unreported = 0

    def _drain(self, *, wait_s: float = 0.0) -> bool:
        """Write what waits; whether all is written now. Tries at most once a second, and one thread at a time.

        The ledger is never called under `_lock`: a collection in another thread may hold the ledger's own locks and ask
        for ours.
        """
        if time.monotonic() < self._retry_at or not self._draining.acquire(timeout=wait_s):
            return False
        try:
            for _ in range(len(self._waiting)):
                if self._accepted(self._waiting[0]):  # which waits, and counts as waiting, until the ledger has it
                    self._waiting.popleft()
                    self._count_stored()
                else:
                    self._waiting.rotate(-1)  # at the end: if only this one is refused, the others need not wait
                    if time.monotonic() < self._retry_at:
                        return False
            if not self._waiting:
                reason, self.problem = self.problem, None
                if reason:
                    _log.info("costtrace: the ledger takes entries again")
                self._report_loss(reason or "the ledger refused entries")
            return not self._waiting
        finally:
            self._draining.release()

    def _accepted(self, entry: Entry) -> bool:
        began = time.monotonic()
        try:
            self._ledger.spool(entry)
        except Exception as error:  # noqa: BLE001 - a ledger may be anybody's, and what it refuses has to be kept
            self._slow = time.monotonic() - began > _SLOW_S
            self._refused(error)
            return False
        self._slow = False
        return True

    def _count_stored(self) -> None:
        with self._lock:
            self.stored += 1

    def _refused(self, error: Exception) -> None:
        """Note why. The store as such is given a rest; an error that is none of a ledger's may be the entry's own."""
        if isinstance(error, LedgerError):
            self._retry_at = time.monotonic() + _RETRY_S
            problem = str(error)
        else:
            self._faults.note("storing an entry")
            problem = f"the ledger failed with {type(error).__name__}"
        if self.problem is None:
            _log.error("%s; entries wait in memory", problem)
        self.problem = problem
        self._on_refusal()

    def _keep(self, entry: Entry) -> None:
        with self._lock:
            kept = len(self._waiting) < self._capacity
            if kept:
                self._waiting.append(entry)
            else:
                self.lost += 1
                self._unreported += 1
            first = not kept and self.lost == 1
        if kept:
            self._try_later()
        if first:
            _log.error("costtrace: the buffer of %d entries is full; entries are lost from now on", self._capacity)

    def _try_later(self) -> None:
        """An outage may be followed by silence, in which nobody else would try again."""
        timer = threading.Timer(_RETRY_S, self._try_again)
        timer.daemon = True
        with self._lock:
            if self._timer is not None:
                return
            self._timer = timer
        try:
            timer.start()
        except RuntimeError:  # no thread to be had, as at the end of the process
            self._timer = None

    def _try_again(self) -> None:
        self._timer = None
        if not self._drain():
            self._try_later()

    def _report_loss(self, reason: str) -> None:
        if self._unreported:
            count = self._unreported
            try:
                self._ledger.report_loss(count, reason)
            except Exception as error:  # noqa: BLE001 - a ledger may be anybody's
                self._refused(error)
            else:
                with self._lock:
                    self._unreported -= count


_live: Final[weakref.WeakSet[Backlog]] = weakref.WeakSet()


def _at_exit() -> None:
    for backlog in list(_live):
        left = backlog.drain()
        if left:
            _log.error("costtrace: %d entries could not be stored before the process ended", left)


def _after_fork() -> None:
    for backlog in list(_live):
        backlog.after_fork()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
