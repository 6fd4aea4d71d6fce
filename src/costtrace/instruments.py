"""The metrics that costtrace has: their names, units and bucket boundaries, made on one meter."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider, UpDownCounter

from costtrace.money import Money

DURATION: Final = "gen_ai.client.operation.duration"
TOKENS: Final = "gen_ai.client.token.usage"
COST: Final = "operation.cost"
COST_IN: Final = "costtrace.cost."
CORRECTIONS_IN: Final = "costtrace.corrections."
SEGMENTS: Final = "costtrace.sms.segments"
DELIVERY: Final = "costtrace.sms.delivery.duration"
UNPRICED: Final = "costtrace.unpriced"
LEDGER_FAILURES: Final = "costtrace.ledger.failures"

METRICS: Final[Mapping[str, str]] = MappingProxyType(
    {
        DURATION: "Duration of a model call, failed ones included",
        TOKENS: "Tokens of a model call, by gen_ai.token.type; cached ones are part of the input",
        COST: "Cost of anything, once it is known to be owed, in US dollars",
        f"{COST_IN}eur": "The same in another currency; one metric for each",
        f"{CORRECTIONS_IN}usd": "What changed such costs later, up or down; one metric for each currency",
        SEGMENTS: "Segments of an SMS sent or received",
        DELIVERY: "From the sending of an SMS to its final status",
        UNPRICED: "Calls and SMS that cost something nobody could name; costtrace.cost.status says why",
        LEDGER_FAILURES: "Times the ledger did not take what it was given",
    }
)
"""Each metric with its meaning."""

# The boundaries of the first two are those of OpenTelemetry's conventions for generative AI.
_DURATION_S: Final = tuple(0.01 * 2**power for power in range(14))
_TOKENS: Final = tuple(float(4**power) for power in range(14))
_AMOUNTS: Final = (1e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_SEGMENTS: Final = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_DELIVERY_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0)


def is_real(provider: MeterProvider) -> bool:
    """Whether anything is measured with that provider: those of the API alone stand in for one, and do nothing."""
    return not type(provider).__module__.startswith("opentelemetry.metrics")


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyInstruments:
    """What is measured of one currency."""

    cost: Histogram
    corrections: UpDownCounter


class Instruments:
    """The instruments of one meter; those of a currency are made when it is met."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._lock = threading.RLock()  # a garbage collection may end a call on this thread while it is held
        self._money: dict[str, MoneyInstruments] = {}
        self.duration = self._histogram(DURATION, "s", _DURATION_S)
        self.tokens = self._histogram(TOKENS, "{token}", _TOKENS)
        self.segments = self._histogram(SEGMENTS, "{segment}", _SEGMENTS)
        self.delivery = self._histogram(DELIVERY, "s", _DELIVERY_S)
        self.unpriced: Counter = meter.create_counter(UNPRICED, "{call}", METRICS[UNPRICED])
        self.ledger_failures: Counter = meter.create_counter(LEDGER_FAILURES, "{failure}", METRICS[LEDGER_FAILURES])

    def after_fork(self) -> None:
        """In a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.RLock()

    def money(self, money: Money) -> MoneyInstruments:
        """Amounts of different currencies cannot be added, so each has a metric of its own."""
        currency = money.currency
        with self._lock:
            if currency not in self._money:
                low, unit = currency.lower(), f"{{{currency}}}"
                name, description = (COST, METRICS[COST]) if currency == "USD" else (f"{COST_IN}{low}", "Cost")
                self._money[currency] = MoneyInstruments(
                    cost=self._histogram(name, unit, _AMOUNTS, description),
                    corrections=self._meter.create_up_down_counter(
                        f"{CORRECTIONS_IN}{low}", unit, METRICS[f"{CORRECTIONS_IN}usd"]
                    ),
                )
            return self._money[currency]

    def _histogram(
        self, name: str, unit: str, boundaries: tuple[float, ...], description: str | None = None
    ) -> Histogram:
        return self._meter.create_histogram(
            name, unit, description or METRICS[name], explicit_bucket_boundaries_advisory=boundaries
        )
