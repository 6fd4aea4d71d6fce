"""A ledger as charges, and what it holds beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from costtrace.entry import Entry, Standing
from costtrace.exporters.focus.charges import charges, was_free
from costtrace.exporters.focus.columns import Row
from costtrace.ledger.protocol import EVERYTHING, Ledger, Selection
from costtrace.messages import Amounts
from costtrace.money import EXACT, ZERO

_NO_ACCOUNTS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was exported, and what could not be."""

    rows: int
    """Charges."""
    entries: int
    """Entries that they come from."""
    billed: Amounts
    """Sum of their ``BilledCost``."""
    pending: int
    """Entries that have only an estimate; no charge, because a bill knows no maybe."""
    unpriced: int
    """Entries that cost something nobody could name; no charge either, and never a zero."""
    free: int
    """Entries known to have cost nothing."""

    @property
    def complete(self) -> bool:
        """Whether the charges are the whole cost."""
        return not (self.pending or self.unpriced)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON objects; money as text."""
        return {
            "rows": self.rows,
            "entries": self.entries,
            "billed": self.billed.to_dict(),
            "left_out": {"pending": self.pending, "unpriced": self.unpriced, "free": self.free},
            "complete": self.complete,
        }


class FocusExport:
    """The charges of a ledger, read entry by entry: memory does not grow with it."""

    def __init__(
        self, ledger: Ledger, *, selection: Selection = EVERYTHING, accounts: Mapping[str, str] = _NO_ACCOUNTS
    ) -> None:
        self._ledger = ledger
        self._selection = selection
        self._accounts = accounts
        self._start()

    def rows(self) -> Iterator[Row]:
        """All charges, from the beginning each time it is called; `exported` counts them as they are read."""
        self._start()
        for _, entry in self._ledger.entries(selection=self._selection):
            self._count(entry)
            before = self._rows
            for row in charges(entry, self._accounts):
                self._rows += 1
                yield row
            if entry.cost is not None and self._rows > before:
                self._entries += 1
                currency = entry.cost.currency
                self._billed[currency] = EXACT.add(self._billed.get(currency, ZERO), entry.cost.amount)

    @property
    def exported(self) -> Exported:
        """What `rows` has given so far."""
        return Exported(
            rows=self._rows,
            entries=self._entries,
            billed=Amounts(self._billed),
            pending=max(self._standings[Standing.PENDING], 0),
            unpriced=max(self._standings[Standing.UNPRICED], 0),
            free=self._free,
        )

    def _start(self) -> None:
        self._rows = self._entries = self._free = 0
        self._billed: dict[str, Decimal] = {}
        self._standings: Counter[str | None] = Counter()

    def _count(self, entry: Entry) -> None:
        """An entry that takes the place of another moves one from where that stood."""
        self._standings[entry.standing] += 1
        if entry.replaces is not None:
            self._standings[entry.replaces] -= 1
        self._free += was_free(entry)
