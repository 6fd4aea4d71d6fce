"""One call of a function: how long it may take, and what has to have left before Lambda freezes the process.

A frozen process runs no thread and sends no span; it may wake up in a second, in an hour or never. So everything that
waits is sent before the answer is given, and what does not answer keeps nobody waiting for longer than `FLUSH_S`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from costtrace.aws.failures import shown
from costtrace.recorder import Recorder

FLUSH_S: Final = 0.5
"""How long spans may take to leave, all together; the answer waits for that."""
_STORE_S: Final = 4.0
"""How long entries that the ledger did not take may take once more: somebody waits for the answer."""
_LAST_S: Final = 2.5
"""Before the end of a call that has taken too long: enough to store what is known of it."""
_RESERVE_S: Final = 1.0
"""What is left of a call for its answer."""

_log: Final = logging.getLogger("costtrace")

Flush = Callable[[], object]


class LambdaContext(Protocol):
    """What Lambda says of a call, as far as it is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """How long until Lambda ends the call."""


class Invocation:
    """One call of a function."""

    def __init__(self, context: LambdaContext) -> None:
        self._context = context

    @property
    def id(self) -> str:
        """Lambda's own id of the call."""
        return self._context.aws_request_id

    def remaining_s(self) -> float:
        """Seconds until Lambda ends the call."""
        return self._context.get_remaining_time_in_millis() / 1000

    @contextmanager
    def before_end(self, act: Callable[[], object]) -> Iterator[None]:
        """Work that may take too long: `act` is called beside it shortly before Lambda kills the process with it."""
        timer = threading.Timer(max(self.remaining_s() - _LAST_S, 0.0), _tried, (act,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


@contextmanager
def invoked(
    context: LambdaContext, *, recorder: Callable[[], Recorder | None], flushes: Sequence[Flush]
) -> Iterator[Invocation]:
    """Around the work of one call; at its end, whatever happened, entries and spans that wait leave the process.

    Entries first, and for as long as the ledger and the call have time: they are money. Spans for `FLUSH_S`.
    """
    invocation = Invocation(context)
    try:
        yield invocation
    finally:
        _store(recorder(), invocation)
        together(flushes, min(FLUSH_S, max(invocation.remaining_s() - _RESERVE_S, 0.0)))


def _store(recorder: Recorder | None, invocation: Invocation) -> None:
    """Entries the ledger refused during the call are offered to it once more."""
    if recorder is None:
        return
    stored: list[bool] = []
    limit_s = min(_STORE_S, max(invocation.remaining_s() - _RESERVE_S, 0.0))
    together([lambda: stored.append(_offered_again(recorder))], limit_s)
    if stored != [True]:
        _log.error("costtrace: entries wait in this process's memory; they are stored when it is called again")


def _offered_again(recorder: Recorder) -> bool:
    """Whether the ledger has all of them now."""
    waiting = recorder.drain()
    recorder.ledger.flush()
    return waiting == 0


def together(jobs: Sequence[Flush], limit_s: float) -> None:
    """Do the jobs side by side, and go on after `limit_s` seconds: a thread that hangs is left behind."""
    deadline = time.monotonic() + limit_s
    threads = [threading.Thread(target=_tried, args=(job,), name="costtrace flush", daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0.0))


def _tried(job: Flush) -> Any:
    try:
        return job()
    except Exception as error:  # noqa: BLE001 - an exporter may be anybody's, and the answer is ready
        _log.warning("costtrace: flushing failed: %s", shown(error))
        return None
