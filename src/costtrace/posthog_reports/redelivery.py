"""How what PostHog lacks is delivered again: by the outbox, or at once from a ledger that has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from costtrace.entry import Entry
from costtrace.errors import ConfigurationError
from costtrace.exporters.protocol import Exporter
from costtrace.ledger import Ledger, SqliteLedger
from costtrace.outbox import Outbox, deliveries_of
from costtrace.posthog_reports.verify import Requeue

_NAME: Final = "posthog"
"""The exporter's name, and so that of its cursor."""


def redelivery(ledger: Ledger, exporters: Callable[[], Sequence[Exporter]]) -> Requeue:
    """Back into the outbox of a SQLite ledger; from any other, whose stream delivers, by the exporter itself.

    What it returns raises ConfigurationError where nothing was delivered to PostHog from here before, and what the
    ledger or the exporter raises.
    """
    if isinstance(ledger, SqliteLedger):
        return lambda entries: _into_outbox(ledger, entries)
    return lambda entries: _at_once(exporters(), entries)


def _into_outbox(ledger: Ledger, entries: Sequence[Entry]) -> int:
    if deliveries_of(ledger).get(_NAME) is None:
        raise ConfigurationError(
            f"PostHog lacks {len(entries)} events, and nothing was ever delivered to it from this ledger; `costtrace"
            " deliver` begins with that, --no-requeue only compares"
        )
    return Outbox(ledger, []).requeue(_NAME, [entry.entry_id for entry in entries])


def _at_once(exporters: Sequence[Exporter], entries: Sequence[Entry]) -> int:
    exporter = next((exporter for exporter in exporters if exporter.name == _NAME), None)
    if exporter is None:
        raise ConfigurationError(
            f"PostHog lacks {len(entries)} events, and COSTTRACE_EXPORTERS does not name posthog; --no-requeue only"
            " compares"
        )
    refused = 0
    try:
        for start in range(0, len(entries), exporter.batch_size):
            refused += len(exporter.export(entries[start : start + exporter.batch_size]))
    finally:
        exporter.close()
    return len(entries) - refused
