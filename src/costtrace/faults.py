"""Faults: the one boundary between what goes wrong in costtrace and the application that it runs in."""

from __future__ import annotations

import logging
import threading
from typing import Final

_log: Final = logging.getLogger("costtrace")


class Faults:
    """Counts and logs faults of our own that were kept from the application."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._known: set[str] = set()
        self.count = 0

    def note(self, doing: str) -> None:
        """To be called where the exception was caught. Logged with its traceback once for each doing."""
        with self._lock:
            self.count += 1
            first = doing not in self._known
            self._known.add(doing)
        if first:
            _log.exception("costtrace failed while %s; the application is not affected", doing)
        else:
            _log.debug("costtrace failed again while %s", doing, exc_info=True)

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()
