"""Outbox: the exporters of one ledger, delivered to when asked, for as long as asked, or in the background."""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from costtrace.errors import ConfigurationError, InvalidValue, LedgerError
from costtrace.exporters.protocol import Exporter
from costtrace.ledger import Ledger
from costtrace.ledger.letters import DEAD, PARKED
from costtrace.metrics import OutboxMetrics, Reading
from costtrace.outbox.courier import Courier, Tell
from costtrace.outbox.standing import Delivered, ExporterStatus, deliveries_of, status_of

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

_log: Final = logging.getLogger("costtrace")
_REPLAYED: Final = "delivered again on request"


class Stop(Protocol):
    """What tells a delivery to end; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether it is to end."""

    def wait(self, timeout: float) -> bool:
        """Wait that many seconds at most; True when it is to end."""


class Outbox:
    """Delivers the entries of a ledger to exporters. Any number of processes may hold one over the same file.

    An exporter that is new to the ledger begins with its first entry, or with `from_now` with the next one. `clock`
    tells nanoseconds since 1970, `chance` a number in [0, 1) for the pauses between attempts; `poll_s` is how long a
    background delivery takes at most to notice a new entry. Appending costs nothing more than without an outbox.

    Raises ConfigurationError for a ledger that keeps no cursors, or for two exporters of one name; LedgerUnavailable or
    LedgerUnusable.
    """

    def __init__(
        self,
        ledger: Ledger,
        exporters: Sequence[Exporter],
        *,
        from_now: bool = False,
        clock: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
        poll_s: float = 1.0,
        lease_s: float = 30.0,
        meter_provider: MeterProvider | None = None,
    ) -> None:
        self._deliveries = deliveries_of(ledger)
        self._clock = clock
        self._poll_s = poll_s
        names = [exporter.name for exporter in exporters]
        for name in names:
            if names.count(name) > 1:
                raise ConfigurationError(f"two exporters are named {name!r}; each needs a cursor of its own")
            self._deliveries.open(name, from_now=from_now)
        metrics = OutboxMetrics(weakref.WeakMethod(self._readings), meter_provider)
        self._couriers = {
            exporter.name: Courier(
                self._deliveries,
                exporter,
                clock=clock,
                chance=chance,
                count=metrics.add_sent,
                lease_s=lease_s,
                from_now=from_now,
            )
            for exporter in exporters
        }
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        _live.add(self)

    def deliver_once(
        self, *, tell: Tell = lambda _name, _count: None, stopping: Callable[[], bool] = lambda: False
    ) -> tuple[Delivered, ...]:
        """Deliver what is there and due, to one exporter after the other, and say what came of it.

        `tell` hears of progress, `stopping` is asked between two batches. An exporter that is left alone for the moment
        is not waited for. Raises LedgerUnavailable or LedgerUnusable.
        """
        return tuple(courier.deliver(stopping=stopping, tell=tell) for courier in self._couriers.values())

    def deliver_forever(self, stop: Stop, *, tell: Tell = lambda _name, _count: None) -> None:
        """Deliver whatever comes, to all exporters at the same time, until `stop`; a batch under way is ended first."""
        threads = self._make_threads(stop, tell)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def start(self) -> None:
        """Deliver in the background from now on; does nothing where that is so already."""
        with self._lock:
            if self.is_running and not self._stop.is_set():
                return
            self._stop = threading.Event()
            hanging = [thread for thread in self._threads if thread.is_alive()]  # they end when their exporter answers
            started = self._make_threads(self._stop, lambda _name, _count: None)
            self._threads = hanging + started
            for thread in started:
                thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """End the background delivery and let the exporters go of their connections; whether all ended in that time.

        What is under way then is left alone and may be delivered again later. Nothing is lost: the ledger has it.
        """
        with self._lock:
            self._stop.set()
            ends = time.monotonic() + timeout_s
            for thread in self._threads:
                thread.join(max(ends - time.monotonic(), 0))
            ended = not self.is_running
            self._threads = [thread for thread in self._threads if thread.is_alive()]
        if ended:
            for courier in self._couriers.values():
                courier.close()
        return ended

    @property
    def is_running(self) -> bool:
        """Whether a background delivery is under way in this process."""
        return any(thread.is_alive() for thread in self._threads)

    def status(self) -> tuple[ExporterStatus, ...]:
        """How each exporter stands. Raises LedgerUnavailable or LedgerUnusable."""
        known = (self._deliveries.get(name) for name in self._couriers)
        now_us = self._clock() // 1000
        return tuple(status_of(self._deliveries, delivery, now_us=now_us) for delivery in known if delivery)

    def replay(self, exporter: str, *, parked: bool = False, dead: bool = False) -> int:
        """Let what is parked or dead be delivered at once; how many entries those were."""
        states = [state for state, wanted in ((PARKED, parked), (DEAD, dead)) if wanted]
        if not states:
            raise InvalidValue("replay", states, "parked, dead or both")
        return self._deliveries.replay(exporter, states, now_us=self._clock() // 1000)

    def requeue(self, exporter: str, entry_ids: Iterable[str]) -> int:
        """Let those entries be delivered, though they may have been acknowledged; how many were not pending anyway.

        Raises InvalidValue for an id that the ledger does not know; nothing is changed then.
        """
        return self._deliveries.requeue(exporter, entry_ids, now_us=self._clock() // 1000, reason=_REPLAYED)

    def resume(self, exporter: str) -> bool:
        """Try again at once, though it was stopped or put off; False for an exporter that the ledger does not know."""
        return self._deliveries.resume(exporter)

    def after_fork(self) -> None:
        """In a forked child: the threads are the parent's."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = []

    def _make_threads(self, stop: Stop, tell: Tell) -> list[threading.Thread]:
        """One for each exporter, so that a slow one keeps nothing from the others."""
        return [
            threading.Thread(
                target=self._run, args=(courier, stop, tell), name=f"costtrace-outbox {courier.name}", daemon=True
            )
            for courier in self._couriers.values()
        ]

    def _run(self, courier: Courier, stop: Stop, tell: Tell) -> None:
        complained = False
        while not stop.is_set():
            try:
                courier.deliver(stopping=stop.is_set, tell=tell)
                complained = False
            except LedgerError as error:
                if not complained:
                    _log.warning("%s; nothing is delivered to %s meanwhile", error, courier.name)
                complained = True
            except BaseException:  # noqa: BLE001 - not even SystemExit may end the thread; nobody else would deliver
                if not complained:
                    _log.exception("costtrace failed to deliver to %s", courier.name)
                complained = True
            if stop.wait(self._poll_s):
                return

    def _readings(self) -> list[Reading]:
        return [
            Reading(
                exporter=status.exporter,
                pending=status.pending,
                oldest_pending_s=status.oldest_pending_s,
                parked=status.parked,
                dead=status.dead,
            )
            for status in self.status()
        ]


_live: Final[weakref.WeakSet[Outbox]] = weakref.WeakSet()


def _at_exit() -> None:
    for outbox in list(_live):
        if outbox.is_running:
            outbox.stop()


def _after_fork() -> None:
    for outbox in list(_live):
        outbox.after_fork()


atexit.register(_at_exit)  # before the ledger's, which was registered earlier
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
