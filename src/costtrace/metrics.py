"""Metrics of the outbox, for whatever OpenTelemetry SDK the process has; without one they cost nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter

from costtrace.errors import LedgerError

_SAME_COLLECTION_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What is measured of one exporter."""

    exporter: str
    pending: int
    oldest_pending_s: float
    parked: int
    dead: int


class OutboxMetrics:
    """``costtrace.outbox.pending``, ``.oldest_pending``, ``.parked``, ``.dead`` and ``.sent``, by exporter.

    All but the last tell of the ledger, so every process that delivers from it says the same; ``sent`` counts what this
    process delivered. `read` is a weak reference to what takes the readings; without its owner nothing is observed.
    """

    def __init__(
        self, read: Callable[[], Callable[[], Sequence[Reading]] | None], meter_provider: MeterProvider | None = None
    ) -> None:
        self._read = read
        self._readings: Sequence[Reading] = ()
        self._read_at = float("-inf")
        meter = get_meter("costtrace", version("langchain-costtrace"), meter_provider)
        self._sent = meter.create_counter("costtrace.outbox.sent", "{entry}", "Entries that an exporter acknowledged")
        for name, unit, description, value in (
            ("pending", "{entry}", "Entries still to be delivered", lambda reading: reading.pending),
            ("oldest_pending", "s", "Age of the oldest of them", lambda reading: reading.oldest_pending_s),
            ("parked", "{entry}", "Entries refused until somebody replays them", lambda reading: reading.parked),
            ("dead", "{entry}", "Entries refused for good", lambda reading: reading.dead),
        ):
            meter.create_observable_gauge(
                f"costtrace.outbox.{name}", [self._observer(value)], unit=unit, description=description
            )

    def add_sent(self, exporter: str, count: int) -> None:
        """So many more entries were acknowledged."""
        if count:
            self._sent.add(count, {"exporter": exporter})

    def _observer(self, value: Callable[[Reading], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        def observe(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value(reading), {"exporter": reading.exporter}) for reading in self._current()]

        return observe

    def _current(self) -> Sequence[Reading]:
        """One reading for the gauges of one collection; none where the ledger cannot be read, which it says itself."""
        now = time.monotonic()
        if now - self._read_at >= _SAME_COLLECTION_S:
            read = self._read()
            try:
                self._readings = () if read is None else read()
            except LedgerError:
                self._readings = ()
            self._read_at = now
        return self._readings
