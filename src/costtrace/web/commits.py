"""One transaction for many requests: what waits while the ledger commits is committed together next.

A commit costs the ledger nearly the same for one entry as for a hundred, and an event loop must not wait for either.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import Final, NamedTuple

from costtrace.entry import Entry
from costtrace.errors import LedgerError, LedgerUnavailable
from costtrace.ledger import Ledger

_BATCH: Final = 256
"""Requests of one transaction: enough to make a commit cheap, few enough that none waits long for the others."""

_GATHER_S: Final = 0.003
"""How long a transaction waits for company: at thousands of requests per second a fifth of all CPU is saved by it."""
_RECENT: Final = 16_384
"""Entries that are remembered as stored, so that their repetitions, which come within seconds, cost no transaction."""

_Answer = asyncio.Future[frozenset[str]]
_Outcome = frozenset[str] | Exception


class _Waiting(NamedTuple):
    entries: Sequence[Entry]
    loop: asyncio.AbstractEventLoop
    answer: _Answer
    then: Callable[[], None] | None


class GroupCommit:
    """Appends to a ledger for the requests of any event loop, in the order they came, from a thread of its own.

    At most `limit` requests wait, and none longer than `timeout_s` seconds: a store that hangs is a store that is down.
    """

    def __init__(self, ledger: Ledger, *, limit: int = 10_000, timeout_s: float = 8.0) -> None:
        self._ledger = ledger
        self._limit = limit
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._stored: dict[str, None] = {}
        self._running = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="costtrace-commit")

    def holds(self, entry_id: str) -> bool:
        """Whether it was stored a moment ago; what was stored before that, the ledger knows."""
        return entry_id in self._stored

    async def append(self, entries: Sequence[Entry], *, then: Callable[[], None] | None = None) -> frozenset[str]:
        """Store the entries and answer the ids of those that were new to the ledger and to the requests before.

        `then` is called on this event loop once something new is stored, even if that was too late for the caller.
        Raises LedgerUnavailable or LedgerUnusable. After a LedgerUnavailable they may be stored all the same, if only
        the answer was late.
        """
        entries = [entry for entry in entries if entry.entry_id not in self._stored]
        if not entries:
            return frozenset()
        loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        self._queue(_Waiting(entries, loop, answer, then))
        patience = loop.call_later(self._timeout_s, self._give_up, answer)
        try:
            return await answer
        finally:
            patience.cancel()

    def _give_up(self, answer: _Answer) -> None:
        _settle(answer, LedgerUnavailable(f"ledger {self._ledger.name!r}: no answer in {self._timeout_s:g} s"))

    def _queue(self, waiting: _Waiting) -> None:
        with self._lock:
            if len(self._waiting) >= self._limit:
                raise LedgerUnavailable(f"ledger {self._ledger.name!r}: {self._limit} requests wait for it")
            self._waiting.append(waiting)
            if self._running:
                return
            self._running = True
        self._thread.submit(self._run)

    def _run(self) -> None:
        time.sleep(_GATHER_S)
        while batch := self._take():
            self._commit(batch)
            time.sleep(_GATHER_S)

    def _take(self) -> list[_Waiting]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            self._running = bool(batch)
        return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            new = self._ledger.append([entry for waiting in batch for entry in waiting.entries])
        except LedgerError as error:
            _answer(batch, error)
        except Exception as error:  # noqa: BLE001 - what a ledger refuses for one entry must not fail the others
            if len(batch) == 1:
                _answer(batch, error)
                return
            for waiting in batch:
                self._commit([waiting])
        else:
            self._remember(batch)
            _answer(batch, new)

    def _remember(self, batch: list[_Waiting]) -> None:
        self._stored.update((entry.entry_id, None) for waiting in batch for entry in waiting.entries)
        for entry_id in list(islice(self._stored, max(0, len(self._stored) - _RECENT))):
            del self._stored[entry_id]


def _answer(batch: list[_Waiting], outcome: _Outcome) -> None:
    """Whoever came first with an entry is told that it was new. One wake-up for each event loop."""
    told: set[str] = set()
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Waiting, _Outcome]]] = {}
    for waiting in batch:
        own = outcome
        if not isinstance(outcome, Exception):
            ids = (entry.entry_id for entry in waiting.entries)
            own = frozenset(entry_id for entry_id in ids if entry_id in outcome and entry_id not in told)
            told |= own
        by_loop.setdefault(waiting.loop, []).append((waiting, own))
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[tuple[_Waiting, _Outcome]]) -> None:
    for waiting, outcome in answers:
        if waiting.then is not None and outcome and not isinstance(outcome, Exception):
            waiting.then()
        _settle(waiting.answer, outcome)


def _settle(answer: _Answer, outcome: _Outcome) -> None:
    if answer.done():  # the caller has gone, or gave up
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
