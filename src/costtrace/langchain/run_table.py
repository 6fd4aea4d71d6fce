"""Which LangChain runs are open, and what must be remembered between a start and its end.

LangChain reports a run's end without its metadata, sometimes twice, sometimes late, sometimes never. So every run is
opened once, by its run id, and closed once; a run that nobody closes is closed here: soon after its root was cancelled,
some time after its root ended, after an hour in any case, or when too many are open.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from costtrace.entry import Status
from costtrace.langchain.current_run import current_run_id
from costtrace.langchain.runs import Call, Chain, Run, Step
from costtrace.tracing import Place

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


class _Doom(NamedTuple):
    """What becomes of a run whose end does not come in time."""

    run: Run
    deadline_ns: int
    verdict: str


class RunTable:
    """Open runs, behind one lock, never more than `MAX_OPEN`.

    Calls and steps whose end is not waited for any longer go to `give_up`, with how to call it.

    Keyed by the integer of the run id, because a UUID hashes in Python code.
    """

    def __init__(self, clock: Callable[[], int], give_up: Callable[[Run, str], None]) -> None:
        self._clock = clock
        self._give_up = give_up
        self._reset()

    def _reset(self) -> None:
        # Re-entrant, because a garbage collection may strike anywhere, also while it is held, and close the stream that
        # somebody left half-read; LangChain reports that from within the collection, on the same thread.
        self._lock = threading.RLock()
        self._runs: dict[int, Run] = {}
        self._chains: dict[int, Chain] = {}
        self._recent_chains: _Recent[Chain] = _Recent()
        self._recent_runs: _Recent[Run | None] = _Recent()
        self._next_look_ns = 0
        self._doomed: dict[int, _Doom] = {}
        self._timer: threading.Timer | None = None
        self._timer_deadline_ns = 0

    def __len__(self) -> int:
        return len(self._runs.keys() | self._chains.keys())

    def __bool__(self) -> bool:
        return True

    def chain(self, run_id: UUID | None) -> Chain | None:
        """The run of that id that calls may be below, open or ended a short while ago."""
        if run_id is None:
            return None
        return self._chains.get(run_id.int) or self._recent_chains.get(run_id.int)

    def current_place(self) -> Place | None:
        """Where in the trace the code that asks runs, as LangChain knows it."""
        chain = self.chain(current_run_id())
        return None if chain is None else chain.place

    def open_chain(self, run_id: UUID, chain: Chain, step: Step | None = None) -> bool:
        """A run that is no model call began; False for one that is open already, the same event seen twice."""
        with self._lock:
            if self._chains.setdefault(run_id.int, chain) is not chain:
                return False
            if len(self._chains) > MAX_OPEN:
                self._retire(next(iter(self._chains)))
        return step is None or self.open_run(step)

    def close_chain(self, run_id: UUID, *, cancelled: bool = False) -> Step | None:
        """It ended; its step, if its end is of interest. The runs it leaves open have a limited time left.

        Those are all below a root, and its own children if cancelled.
        """
        deadline_ns = None
        with self._lock:
            step = self._close(run_id.int, None)
            chain = self._retire(run_id.int)
            if chain is not None and chain.root is None:
                deadline_ns = self._doom(list((chain.runs or {}).values()), cancelled=cancelled)
                chain.runs = None
            elif chain is not None and chain.root is not None and cancelled:
                # The cancellation travels up from here, and what stands above it may catch it.
                below = list((chain.root.runs or {}).values())
                deadline_ns = self._doom([run for run in below if run.parent_run_id == run_id], cancelled=True)
        if deadline_ns is not None:
            self._arm(deadline_ns)
        return step if isinstance(step, Step) else None

    def _doom(self, runs: Sequence[Run], *, cancelled: bool) -> int | None:
        """Give the runs a limited time; until when, if there are any.

        They are a copy: a garbage collection in here may close one, and that takes it from where it is kept.
        """
        if not runs:
            return None
        deadline = self._clock() + (CANCELLED_GRACE_NS if cancelled else ENDED_GRACE_NS)
        verdict = Status.CANCELLED if cancelled else Status.ABANDONED
        for run in runs:
            self._doomed.setdefault(run.run_id.int, _Doom(run, deadline, verdict))  # or its own chain was cancelled
        return deadline

    def open_run(self, run: Run) -> bool:
        """A call or a step began; False for one that is open already, which is the same event seen twice."""
        with self._lock:
            key = run.run_id.int
            if key in self._runs:
                return False
            self._runs[key] = run
            root = run.root
            if root is not None:
                if root.runs is None:
                    root.runs = {}
                root.runs[key] = run
        if run.start_ns >= self._next_look_ns or len(self._runs) > MAX_OPEN:
            self._next_look_ns = run.start_ns + _LOOK_EVERY_NS
            self._give_up_oldest(run.start_ns)
        return True

    def close_call(self, run_id: UUID) -> Call | None:
        """The open call of that id, which is closed with this."""
        with self._lock:
            call = self._close(run_id.int, None)
        return call if isinstance(call, Call) else None

    def awaits(self, run_id: UUID) -> bool:
        """Whether the end of that run is still of interest."""
        return run_id.int in self._runs or self._recent_runs.get(run_id.int) is not None

    def closed_run(self, run_id: UUID) -> tuple[bool, Run | None]:
        """Whether a call or step of that id ended a short while ago, and itself if it was given up.

        The end that asks is remembered: asked again, it was seen.
        """
        with self._lock:
            seen = run_id.int in self._recent_runs
            given_up = self._recent_runs.get(run_id.int)
            if given_up is not None or not seen:
                self._recent_runs.put(run_id.int, None)
            return seen, given_up

    def give_up_overdue(self) -> None:
        """Close the runs whose time is over."""
        now = self._clock()
        self._give_up_oldest(now)
        for doom in list(self._doomed.values()):
            if doom.deadline_ns <= now:
                self._end_without_answer(doom.run)
        with self._lock:
            if self._timer is threading.current_thread():
                self._timer = None
            next_ns = min((doom.deadline_ns for doom in self._doomed.values()), default=None)
        if next_ns is not None:
            self._arm(next_ns)

    def give_up_all(self) -> None:
        """Close every open run, innermost first: nothing more will be heard."""
        for run in reversed(list(self._runs.values())):
            self._end_without_answer(run)
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
        """Runs are kept in the order they began, so only the first ones can be too old, or too many."""
        while True:
            with self._lock:
                oldest = next(iter(self._runs.values()), None)
                if oldest is None or (len(self._runs) <= MAX_OPEN and now_ns - oldest.start_ns <= TTL_NS):
                    return
            self._end_without_answer(oldest)

    def _end_without_answer(self, run: Run) -> None:
        with self._lock:
            doom = self._doomed.get(run.run_id.int)
            closed = self._close(run.run_id.int, run)
            if doom is not None:  # all above it has ended; what is only old may go on
                self._retire(run.run_id.int)
        if closed is not None:
            self._give_up(closed, Status.ABANDONED if doom is None else doom.verdict)

    def _close(self, key: int, given_up: Run | None) -> Run | None:
        run = self._runs.pop(key, None)
        if run is None:
            return None
        self._doomed.pop(key, None)
        if run.root is not None and run.root.runs:
            run.root.runs.pop(key, None)
        self._recent_runs.put(key, given_up)
        return run

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
