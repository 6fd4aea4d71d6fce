"""Work by the clock: asking Twilio for prices that are due, and every night its whole list."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from costtrace.aws.failures import WorkFailed
from costtrace.aws.invocation import Invocation
from costtrace.jsontext import encode
from costtrace.ledger import Ledger
from costtrace.tracing import Tracing
from costtrace.twilio.envelope import Hasher
from costtrace.twilio.reconcile import Reconcile
from costtrace.twilio.settlement import Settled, Settlement

_AT_A_TIME: Final = 16
"""Questions asked before the time is looked at: two rounds of the settlement's eight."""
_ROUNDS_S: Final = 25.0
"""What those may take where Twilio hardly answers."""
_log: Final = logging.getLogger("costtrace")


class SettlePrices:
    """Asks for due prices while the call has time. Whoever comes next finds in the ledger what is left to be asked.

    `client` is the SDK's. `tracing` shows each price as a span: the process's own unless given.
    """

    def __init__(
        self, ledger: Ledger, client: Any, *, now: Callable[[], datetime], tracing: Tracing | None = None
    ) -> None:
        self._ledger = ledger
        self._tracing = tracing
        self._client = client
        self._now = now

    def __call__(self, _: Mapping[str, Any], invocation: Invocation) -> Mapping[str, Any]:
        """What was asked and learned, as JSON objects. Raises what `Settlement.run_once` raises."""
        # A new one for each call: this process may have slept for an hour while others wrote to the ledger, whose index
        # of what is new lags behind, and so what a settlement remembers of it would not be the whole.
        settlement = Settlement(self._client, self._ledger, clock=self._now, tracing=self._tracing)
        runs: list[Settled] = []
        while not runs or (_left(runs[-1]) and invocation.remaining_s() > _ROUNDS_S):
            runs.append(settlement.run_once(limit=_AT_A_TIME))
        said = _summary(runs)
        _log.info("settlement: %s", encode(said))
        return said


class ReconcileList:
    """Compares the ledger with Twilio's list of the last days, seven unless the event says ``{"days": …}``.

    `tracing` is as `SettlePrices` has it.
    """

    def __init__(
        self,
        ledger: Ledger,
        client: Any,
        *,
        hasher: Hasher | None,
        now: Callable[[], datetime],
        tracing: Tracing | None = None,
    ) -> None:
        self._reconcile = Reconcile(client, ledger, clock=now, hasher=hasher, tracing=tracing)

    def __call__(self, event: Mapping[str, Any], _: Invocation) -> Mapping[str, Any]:
        """What was found, as JSON objects. Raises what `Reconcile.run` raises, and WorkFailed for a list cut short."""
        found = self._reconcile.run(days=event.get("days", 7))
        said = found.to_dict()
        _log.info("reconciliation: %s", encode(said))
        if found.truncated:
            raise WorkFailed("Twilio's list is longer than one reconciliation reads; have it read fewer days")
        return said


def _left(settled: Settled) -> bool:
    """Whether there may be more to ask: the last run was ended by its limit, and Twilio answered."""
    return settled.asked >= _AT_A_TIME and not settled.failed


def _summary(runs: list[Settled]) -> dict[str, Any]:
    """The runs as one: what was done adds up, and how things stand is what the last of them saw."""
    said = runs[-1].to_dict()
    for name in ("asked", "priced", "not_billable", "waiting", "unavailable", "failed"):
        said[name] = sum(getattr(settled, name) for settled in runs)
    amount = runs[0].amount
    for settled in runs[1:]:
        amount = amount.plus(settled.amount)
    return {**said, "amount": amount.to_dict(), "problems": [text for settled in runs for text in settled.problems]}
