"""What a PostHog project holds: every stored copy of an event, and the table after the copies were merged."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from costtrace.times import moment_text


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One copy of an event, as it was stored."""

    uuid: str
    event: str
    distinct_id: str
    timestamp: datetime
    """As the event says, or moved by what lay between sending and storing it."""
    properties: Mapping[str, Any]

    @property
    def merge_key(self) -> tuple[str, str, str, str]:
        """Copies that are equal in this become one row, some time later: day, event, person, uuid."""
        return self.timestamp.date().isoformat(), self.event, self.distinct_id, self.uuid

    def row(self) -> dict[str, Any]:
        """The copy as JSON objects."""
        return {
            "uuid": self.uuid,
            "event": self.event,
            "distinct_id": self.distinct_id,
            "timestamp": moment_text(self.timestamp),
            "properties": dict(self.properties),
        }


class EventStore:
    """The copies in the order they came. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._copies: list[StoredEvent] = []

    def add(self, events: Iterable[StoredEvent]) -> None:
        """Store copies; nothing looks for those that are there already."""
        with self._lock:
            self._copies.extend(events)

    def copies(self) -> list[StoredEvent]:
        """Everything that was stored, oldest first."""
        with self._lock:
            return list(self._copies)

    def merged(self) -> list[StoredEvent]:
        """One row for each merge key, the newest copy of it: what the table comes to, sooner or later."""
        rows: dict[tuple[str, str, str, str], StoredEvent] = {}
        for copy in self.copies():
            rows[copy.merge_key] = copy
        return list(rows.values())

    def distinct(self) -> list[StoredEvent]:
        """One row for each uuid, with the earliest time of its copies: what a report that groups by uuid sees."""
        rows: dict[str, StoredEvent] = {}
        for copy in self.copies():
            known = rows.get(copy.uuid)
            first = copy.timestamp if known is None else min(known.timestamp, copy.timestamp)
            rows[copy.uuid] = replace(copy, timestamp=first)
        return list(rows.values())
