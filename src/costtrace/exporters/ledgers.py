"""Any ledger as a place to deliver entries to: a copy of one ledger in another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import ExporterStopped, ExporterUnavailable, InvalidValue, LedgerUnavailable, LedgerUnusable
from costtrace.exporters.protocol import Fate, Refusal
from costtrace.ledger import Ledger

_BATCH: Final = 200


class LedgerExporter:
    """Appends what it is given to a ledger. An entry that is there already is acknowledged like any other."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    def name(self) -> str:
        """That of the ledger."""
        return self._ledger.name

    @property
    def batch_size(self) -> int:
        """How many entries are appended at a time."""
        return _BATCH

    def export(self, entries: Sequence[Entry]) -> Sequence[Refusal]:
        """Append the entries; those the ledger cannot hold are dead, and the others are stored all the same.

        Raises ExporterUnavailable and ExporterStopped.
        """
        try:
            return self._stored(entries)
        except LedgerUnavailable as error:
            raise ExporterUnavailable(str(error)) from error
        except LedgerUnusable as error:
            raise ExporterStopped(str(error)) from error

    def close(self) -> None:
        """Close the ledger."""
        self._ledger.close()

    def _stored(self, entries: Sequence[Entry]) -> list[Refusal]:
        try:
            self._ledger.append(entries)
        except InvalidValue as refused:
            if len(entries) == 1:
                reason = f"{refused.field}: expected {refused.expected}"
                return [Refusal(entry_id=entries[0].entry_id, fate=Fate.DEAD, reason=reason)]
            return [refusal for entry in entries for refusal in self._stored([entry])]
        return []
