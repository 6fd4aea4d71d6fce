"""Prices as spans and metrics: each revision that was new to the ledger, linked to the sending it is the price of."""

from __future__ import annotations

from costtrace.entry import Entry
from costtrace.faults import Faults
from costtrace.measures import Measures
from costtrace.tracing import Tracing
from costtrace.tracing.sms import sending_of, show_price
from costtrace.twilio.legs import Leg


class PriceSpans:
    """Shows what a settlement or a reconciliation wrote down, where that is new. Nothing here raises.

    `tracing` and `measures` are those of a recorder, or else go to the process's own providers.
    """

    def __init__(self, tracing: Tracing | None, measures: Measures | None) -> None:
        self._faults = Faults()
        self._tracing = Tracing(faults=self._faults) if tracing is None else tracing
        self._measures = Measures(faults=self._faults) if measures is None else measures

    def revised(self, leg: Leg, revision: Entry) -> None:
        """That revision of the price of that leg."""
        self._measures.entry(revision)
        try:
            if self._tracing.active:
                show_price(self._tracing, revision, send=sending_of(leg.details))
        except Exception:  # noqa: BLE001 - the price is recorded, whatever is wrong here
            self._faults.note("showing a price as a span")

    def found(self, entry: Entry) -> None:
        """An SMS that only Twilio's list told of."""
        self._measures.entry(entry)
