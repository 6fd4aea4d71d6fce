"""Which LangChain runs are open, and what must be remembered between a start and its end.

LangChain reports a run's end without its metadata, sometimes twice, sometimes late, sometimes never. So every run is
opened once, by its run id, and closed once; a run that nobody closes is closed here: soon after its root was cancelled,
some time after its root ended, after an hour in any case, or when too many are open.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

from opentelemetry.trace import Span

from costtrace.context import Context
from costtrace.entry import Status
from costtrace.langchain.requests import Asked
from costtrace.recorder import Recorder

T = TypeVar("T")

_SECOND: Final = 1_000_000_000
CANCELLED_GRACE_NS: Final = 1 * _SECOND
"""A cancelled root takes its calls with it; what is still on its way arrives within this time."""
ENDED_GRACE_NS: Final = 120 * _SECOND
"""A call may outlive the chain that started it."""
TTL_NS: Final = 3600 * _SECOND
"""Without any sign of its root, a call is given up after this time."""
MAX_OPEN: Final = 100_000
MAX_RECENT: Final = 1024
_LOOK_EVERY_NS: Final = 60 * _SECOND


@dataclass(slots=True)
class Chain:
    """A run that is no model call: it passes its message on to the runs below it."""

    message_uuid: str
    context: Context
    source: str
    root: Chain | None
    calls: dict[int, Call] | None = None
    """Only on a root: the open calls below it."""


@dataclass(slots=True)
class Call:
    """A model call that was started."""

    run_id: UUID
    parent_run_id: UUID | None
    message_uuid: str
    context: Context
    source: str
    """Where the message came from: metadata, scope, parent or run."""
    start_ns: int
    provider: str | None
    model: str | None
    asked: Asked | None
    """What the request says that selects a rate, if anything."""
    recorder: Recorder
    """Kept alive by its open calls: a recorder that nobody else holds still has to write them down."""
    root: Chain | None = None
    span: Span | None = None
    deadline_ns: int = 0
    verdict: str = Status.ABANDONED
    """What to call it if its end never comes."""


class RunTable:
    """Open runs, behind one lock, never more than `MAX_OPEN`; calls that are given up go to `give_up`.

    Keyed by the integer of the run id, because a UUID hashes in Python code.
    """

    def __init__(self, clock: Callable[[], int], give_up: Callable[[Call], None]) -> None:
        self._clock = clock
        self._give_up = give_up
        self._reset()

    def _reset(self) -> None:
        # Re-entrant, because a garbage collection may strike anywhere, also while it is held, and close the stream that
        # somebody left half-read; LangChain reports that from within the collection, on the same thread.
        self._lock = threading.RLock()
        self._calls: dict[int, Call] = {}
        self._chains: dict[int, Chain] = {}
        self._recent_chains: _Recent[Chain] = _Recent()
        self._recent_calls: _Recent[Call | None] = _Recent()
        self._next_look_ns = 0
        self._doomed: dict[int, Call] = {}
        self._timer: threading.Timer | None = None
        self._timer_deadline_ns = 0

    def __len__(self) -> int:
        return len(self._calls) + len(self._chains)

    def __bool__(self) -> bool:
        return True

    def chain(self, run_id: UUID | None) -> Chain | None:
        """The run of that id that calls may be below, open or ended a short while ago."""
        if run_id is None:
            return None
        return self._chains.get(run_id.int) or self._recent_chains.get(run_id.int)

    def open_chain(self, run_id: UUID, chain: Chain) -> None:
        """A run that is no model call began."""
        with self._lock:
            self._chains.setdefault(run_id.int, chain)
            if len(self._chains) > MAX_OPEN:
                self._retire(next(iter(self._chains)))

    def close_chain(self, run_id: UUID, *, cancelled: bool = False) -> None:
        """It ended. The calls it leaves open have a limited time left: all below a root, its own if cancelled."""
        deadline_ns = None
        with self._lock:
            chain = self._retire(run_id.int)
            if chain is None:
                return
            if chain.root is None:
                deadline_ns = self._doom(list((chain.calls or {}).values()), cancelled=cancelled)
                chain.calls = None
            elif cancelled:  # the cancellation travels up from here, and what stands above it may catch it
                below = (chain.root.calls or {}).values()
                deadline_ns = self._doom([call for call in below if call.parent_run_id == run_id], cancelled=True)
        if deadline_ns is not None:
            self._arm(deadline_ns)

    def _doom(self, calls: list[Call], *, cancelled: bool) -> int | None:
        """Give the calls a limited time; until when, if there are any."""
        if not calls:
            return None
        deadline = self._clock() + (CANCELLED_GRACE_NS if cancelled else ENDED_GRACE_NS)
        for call in calls:
            if call.deadline_ns:
                continue  # its own chain was cancelled before
            call.deadline_ns = deadline
            call.verdict = Status.CANCELLED if cancelled else Status.ABANDONED
            self._doomed[call.run_id.int] = call
        return deadline

    def open_call(self, call: Call) -> bool:
        """A model call began; False for one that is open already, which is the same event seen twice."""
        with self._lock:
            key = call.run_id.int
            if key in self._calls:
                return False
            self._calls[key] = call
            root = call.root
            if root is not None:
                if root.calls is None:
                    root.calls = {}
                root.calls[key] = call
        if call.start_ns >= self._next_look_ns or len(self._calls) > MAX_OPEN:
            self._next_look_ns = call.start_ns + _LOOK_EVERY_NS
            self._give_up_oldest(call.start_ns)
        return True

    def close_call(self, run_id: UUID) -> Call | None:
        """The open call of that id, which is closed with this."""
        with self._lock:
            return self._close(run_id.int, None)

    def awaits(self, run_id: UUID) -> bool:
        """Whether the end of that call is still of interest."""
        return run_id.int in self._calls or self._recent_calls.get(run_id.int) is not None

    def closed_call(self, run_id: UUID) -> tuple[bool, Call | None]:
        """Whether a call of that id ended a short while ago, and the call itself if it was given up.

        The end that asks is remembered: asked again, it was seen.
        """
        with self._lock:
            seen = run_id.int in self._recent_calls
            given_up = self._recent_calls.get(run_id.int)
            if given_up is not None or not seen:
                self._recent_calls.put(run_id.int, None)
            return seen, given_up

    def give_up_overdue(self) -> None:
        """Close the calls whose time is over."""
        now = self._clock()
        self._give_up_oldest(now)
        for call in [call for call in list(self._doomed.values()) if call.deadline_ns <= now]:
            self._end_without_answer(call)
        with self._lock:
            if self._timer is threading.current_thread():
                self._timer = None
            next_ns = min((call.deadline_ns for call in self._doomed.values()), default=None)
        if next_ns is not None:
            self._arm(next_ns)

    def give_up_all(self) -> None:
        """Close every open call: nothing more will be heard."""
        for call in list(self._calls.values()):
            self._end_without_answer(call)
        with self._lock:
            for key in list(self._chains):  # a chain may go on all the same, and its later calls are of its message
                self._retire(key)
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def after_fork(self) -> None:
        """In a forked child: the open runs are the parent's to end."""
        self._reset()

    def _give_up_oldest(self, now_ns: int) -> None:
        """Calls are kept in the order they began, so only the first ones can be too old, or too many."""
        while True:
            with self._lock:
                oldest = next(iter(self._calls.values()), None)
                if oldest is None or (len(self._calls) <= MAX_OPEN and now_ns - oldest.start_ns <= TTL_NS):
                    return
            self._end_without_answer(oldest)

    def _end_without_answer(self, call: Call) -> None:
        with self._lock:
            closed = self._close(call.run_id.int, call)
        if closed is not None:
            self._give_up(closed)

    def _close(self, key: int, given_up: Call | None) -> Call | None:
        call = self._calls.pop(key, None)
        if call is None:
            return None
        self._doomed.pop(key, None)
        if call.root is not None and call.root.calls:
            call.root.calls.pop(key, None)
        self._recent_calls.put(key, given_up)
        return call

    def _retire(self, key: int) -> Chain | None:
        chain = self._chains.get(key)
        if chain is not None:
            self._recent_chains.put(key, chain)  # before it leaves the other: `chain` looks without the lock
            del self._chains[key]
        return chain

    def _arm(self, deadline_ns: int) -> None:
        """Never under the lock: starting a thread waits for it, and a collection in it may want the lock."""
        if self._timer is not None:
            if self._timer_deadline_ns <= deadline_ns:
                return
            self._timer.cancel()
        delay = max((deadline_ns - self._clock()) / _SECOND, 0.01)
        timer = threading.Timer(delay, self.give_up_overdue)
        timer.daemon = True
        try:
            timer.start()
        except RuntimeError:  # no thread to be had, as at the end of the process, which gives up all that is open
            self._timer = None
            return
        self._timer, self._timer_deadline_ns = timer, deadline_ns


class _Recent(Generic[T]):
    """What was put in last, by run id: at least the latest `MAX_RECENT`, at most twice as many."""

    def __init__(self) -> None:
        self._young: dict[int, T] = {}
        self._old: dict[int, T] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._young or key in self._old

    def get(self, key: int) -> T | None:
        return self._young[key] if key in self._young else self._old.get(key)

    def put(self, key: int, value: T) -> None:
        if len(self._young) >= MAX_RECENT:
            self._old, self._young = self._young, {}
        self._young[key] = value
