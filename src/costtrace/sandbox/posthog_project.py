"""A PostHog project on loopback that entries are delivered to, and what it holds after that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from costtrace.entry import Entry
from costtrace.exporters.posthog import PostHogExporter
from costtrace.exporters.posthog.events import Messages
from costtrace.ledger import SqliteLedger
from costtrace.money import EXACT, amount_text, pico_amount
from costtrace.outbox import Outbox
from costtrace.sandbox.posthog import PostHogServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """The events of one name."""

    name: str
    count: int
    usd: Decimal | None
    """What they add to the cost in US dollars; None for those that add nothing, and for what nobody has a price for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the project holds, each event once, as a report that groups by uuid sees it."""

    events: tuple[Events, ...]
    """By name."""
    requests: int
    """In how many requests they came."""

    @property
    def count(self) -> int:
        """How many events there are."""
        return sum(events.count for events in self.events)

    @property
    def usd(self) -> Decimal | None:
        """What they cost together; None where no cost is known."""
        known = [events.usd for events in self.events if events.usd is not None]
        return reduce(EXACT.add, known) if known else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON objects, money as text."""
        events = [{"event": one.name, "count": one.count, "usd": _text(one.usd)} for one in self.events]
        return {"events": events, "count": self.count, "usd": _text(self.usd), "requests": self.requests}


class PostHogProject:
    """The stand-in with one project, for the length of a ``with`` block."""

    def __init__(self) -> None:
        self._server = PostHogServer()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def exporter(self, messages: Messages) -> PostHogExporter:
        """What delivers to it. Raises MissingExtra without the package ``posthog``."""
        return PostHogExporter(self._server.project_token, host=self._server.host, messages=messages)

    def held(self) -> Held:
        """What it holds by now."""
        changes: dict[str, list[int | None]] = {}
        for event in self._server.distinct:
            changes.setdefault(event.event, []).append(event.properties.get("cost_change_picousd"))
        events = [_summed(name, added) for name, added in sorted(changes.items())]
        return Held(events=tuple(events), requests=len(self._server.calls))


def _summed(name: str, added: Sequence[int | None]) -> Events:
    known = [change for change in added if change is not None]
    return Events(name=name, count=len(added), usd=pico_amount(sum(known)) if known else None)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else amount_text(amount)


def deliver(entries: Iterable[Entry]) -> Held:
    """What PostHog holds once an outbox has delivered those entries to it.

    They are delivered from a copy, so that nothing of it stays in the ledger they are from. Raises MissingExtra without
    the package ``posthog``.
    """
    with TemporaryDirectory() as folder, PostHogProject() as project:
        copy = SqliteLedger(Path(folder, "copy.db"))
        outbox = Outbox(copy, [project.exporter(copy.message)])
        try:
            copy.append(entries)
            outbox.deliver_once()
            return project.held()
        finally:
            outbox.stop()
            copy.close()
