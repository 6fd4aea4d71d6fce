"""Entries and what a test of the PostHog exporter reads out of events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from costtrace.entry import Entry
from costtrace.exporters.posthog import Event, EventMapper
from costtrace.exporters.posthog.contract import SMS_COST_UPDATE
from costtrace.messages import fold
from costtrace.sandbox.posthog import StoredEvent
from costtrace.twilio.addresses import NumberHasher

PICO = Decimal("1e-12")
HASHER = NumberHasher(b"a key of tests, 32 bytes long ..")
EVERYWHERE: dict[str, Any] = {"schema_version": 1, "costtrace_version": "0.1.0", "$geoip_disable": True}


def mapped(*entries: Entry, **options: Any) -> list[Event]:
    """The events of entries that are all there is of their message."""
    known = {"environment": "production", "messages": lambda _uuid: fold(entries), **options}
    return EventMapper(**known).events(entries)


def only(*entries: Entry, **options: Any) -> Event:
    """The one event of one entry that nothing else is known of."""
    (event,) = EventMapper(**{"environment": "production", **options}).events(entries)
    return event


def usd(rows: Iterable[Event | StoredEvent]) -> Decimal:
    """The sum that a report makes: what each distinct uuid adds."""
    changes = {row.uuid: row.properties.get("cost_change_picousd") or 0 for row in rows}
    return sum(changes.values()) * PICO


def newest_prices(rows: Iterable[Event | StoredEvent]) -> dict[str, Mapping[str, Any]]:
    """What the newest version says of each SMS."""
    newest: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = row.name if isinstance(row, Event) else row.event
        if name == SMS_COST_UPDATE:
            sid = row.properties["twilio_sid"]
            before = newest.get(sid)
            if before is None or before["price_version"] < row.properties["price_version"]:
                newest[sid] = row.properties
    return newest
