"""Stand-ins of our own making for tests of applications: a ledger that keeps its entries in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, tzinfo
from itertools import count
from typing import Final

from costtrace.entry import Entry, Standing
from costtrace.errors import UnknownMessage
from costtrace.ledger.framed import Framed
from costtrace.ledger.protocol import EVERYTHING, LedgerHealth, Recent, Recents, Replaced, Selection
from costtrace.ledger.selecting import is_selected, replaced_by, totals_by
from costtrace.messages import Message, Totals, fold

__all__ = ["MemoryLedger"]

_numbers: Final = count(1)


class MemoryLedger(Framed):
    """A ledger in a dict: the same promises as any other, but for outliving the process."""

    def __init__(self) -> None:
        self.name = f"memory {next(_numbers)}"
        self._lock = threading.RLock()  # a garbage collection may end a half-read stream while it is held
        self._entries: dict[str, Entry] = {}
        self._lost = 0

    def append(self, entries: Iterable[Entry]) -> frozenset[str]:
        """Keep the entries and answer the ids of those that were new."""
        new: set[str] = set()
        with self._lock:
            for entry in entries:
                if entry.entry_id not in self._entries:
                    self._entries[entry.entry_id] = entry
                    new.add(entry.entry_id)
        return frozenset(new)

    def spool(self, entry: Entry) -> None:
        """Keep the entry."""
        self.append((entry,))

    def message(self, message_uuid: str) -> Message:
        """The message of that uuid; raises UnknownMessage."""
        found = [entry for entry in self._snapshot() if entry.message_uuid == message_uuid]
        if not found:
            raise UnknownMessage(message_uuid, "memory")
        return fold(found)

    def entries(
        self, *, after: int = 0, limit: int | None = None, selection: Selection = EVERYTHING
    ) -> Iterator[tuple[int, Entry]]:
        """The entries in the order they came."""
        found = [pair for pair in enumerate(self._snapshot(), 1) if pair[0] > after and is_selected(pair[1], selection)]
        return iter(found if limit is None else found[:limit])

    def find(self, entry_id: str) -> Entry | None:
        """The entry of that id, where there is one."""
        return self._entries.get(entry_id)

    def waiting(self, kinds: Iterable[str]) -> Iterator[Entry]:
        """The pending entries of those kinds that nothing has replaced."""
        wanted, found = frozenset(kinds), self._snapshot()
        replaced = {entry.details.get("corrects") for entry in found if entry.replaces == Standing.PENDING}
        return (
            entry
            for entry in found
            if entry.kind in wanted
            and entry.standing is Standing.PENDING
            and entry.replaces is None
            and entry.entry_id not in replaced
        )

    def totals(
        self, by: Sequence[str] = (), selection: Selection = EVERYTHING, zone: tzinfo = UTC
    ) -> dict[tuple[str | None, ...], Totals]:
        """The totals of each group."""
        return totals_by((entry for _, entry in self.entries(selection=selection)), by, zone)

    def replaced(self, by: Sequence[str], selection: Selection = EVERYTHING, zone: tzinfo = UTC) -> Replaced:
        """The groups of each message in which something was replaced."""
        return replaced_by((entry for _, entry in self.entries(selection=selection)), by, zone)

    def recent(self, limit: int, *, before: int | None = None, selection: Selection = EVERYTHING) -> Recents:
        """The messages whose latest selected entry came last."""
        latest = {entry.message_uuid: seq for seq, entry in self.entries(selection=selection)}
        found = sorted(((seq, uuid) for uuid, seq in latest.items() if before is None or seq < before), reverse=True)
        page = [Recent(message_uuid=uuid, seq=seq) for seq, uuid in found[:limit]]
        return Recents(page, page[-1].seq if 0 < limit < len(found) else None)

    def last_seq(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def report_loss(self, count: int, reason: str) -> None:  # noqa: ARG002 - the reason is for stores that people read
        """Count entries that were lost."""
        self._lost += count

    def flush(self) -> None:
        """Nothing waits."""

    def health(self) -> LedgerHealth:
        """Always well."""
        return LedgerHealth(
            name=self.name, entries=len(self._entries), waiting=0, rejected=0, lost=self._lost, problem=None
        )

    def close(self) -> None:
        """Nothing to let go of."""

    def _snapshot(self) -> list[Entry]:
        with self._lock:
            return list(self._entries.values())
