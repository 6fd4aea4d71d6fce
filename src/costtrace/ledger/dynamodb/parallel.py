"""Writing many entries: some one after the other, others at once, for a limited time."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass
from typing import Final

from costtrace.errors import LedgerError, LedgerUnusable
from costtrace.ledger.dynamodb.items import Rows
from costtrace.ledger.dynamodb.writing import Writer

_Numbered = tuple[Rows, int]
_log: Final = logging.getLogger("costtrace")

InOrder = Callable[[Rows], object]
"""Which entries are written one after the other: those of which this says the same."""


def of_one_message(rows: Rows) -> object:
    """A message's entries are stored from the first on, so that what is missing is always at the end."""
    return rows.message_uuid


def of_one_id(rows: Rows) -> object:
    """Only the first of several entries with one id has to be first; readers see all in the order of their numbers."""
    return rows.message_uuid, rows.entry_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of writing some entries."""

    new: frozenset[str]
    """The ids of those that were not known yet."""
    left: tuple[Rows, ...]
    """Those not known to be stored; last what was refused, so that it is in nobody's way when all are tried again."""
    error: LedgerError | None
    """The first reason; None where there was only too little time."""


def write_all(
    entries: Iterable[Rows],
    writer: Writer,
    executor: Callable[[], Executor],
    *,
    in_order: InOrder,
    within_s: float | None = None,
) -> Written:
    """Write the entries, for so long at most. Once one cannot be written, no other is begun."""
    until = math.inf if within_s is None else time.monotonic() + within_s
    groups: dict[object, list[_Numbered]] = {}
    for rows in entries:
        groups.setdefault(in_order(rows), []).append((rows, writer.number()))
    failed = threading.Event()
    chains = [_Chain(group, writer, until, failed) for group in groups.values()]
    if len(chains) == 1 and within_s is None:
        chains[0].run()
    elif chains:
        _run(chains, executor, within_s)
    return Written(
        new=frozenset().union(*(chain.new for chain in chains)),
        left=tuple(rows for chain in sorted(chains, key=_was_refused) for rows in chain.left),
        error=next((chain.error for chain in chains if chain.error is not None), None),
    )


class _Chain:
    """Entries that are written one after the other until one fails or time is over."""

    def __init__(self, entries: Sequence[_Numbered], writer: Writer, until: float, failed: threading.Event) -> None:
        self._entries = entries
        self._writer = writer
        self._until = until
        self._failed = failed
        self._done = 0
        self._new: list[str] = []
        self.error: LedgerError | None = None

    @property
    def new(self) -> frozenset[str]:
        return frozenset(self._new)

    @property
    def left(self) -> Sequence[Rows]:
        """What is not known to be stored; what is being written just now counts as left, and may be written again."""
        return [rows for rows, _ in self._entries[self._done :]]

    def run(self) -> None:
        for rows, seq in self._entries:
            if self._failed.is_set() or time.monotonic() >= self._until:
                return
            try:
                if self._writer.write(rows, seq):
                    self._new.append(rows.entry_id)
            except LedgerError as error:
                self.error = error
            except Exception as error:  # noqa: BLE001 - a fault of our own must not cost anybody their entries
                _log.exception("costtrace failed while writing an entry to DynamoDB")
                self.error = LedgerUnusable(f"writing an entry to DynamoDB failed with {type(error).__name__}")
            if self.error is not None:
                self._failed.set()
                return
            self._done += 1


def _was_refused(chain: _Chain) -> bool:
    return chain.error is not None


def _run(chains: Sequence[_Chain], executor: Callable[[], Executor], within_s: float | None) -> None:
    running: list[Future[None]] = []
    for chain in chains:
        try:
            running.append(executor().submit(chain.run))
        except RuntimeError:  # no thread to be had, as at the end of the process
            chain.run()
    wait(running, timeout=within_s)
    for future in running:
        future.cancel()
