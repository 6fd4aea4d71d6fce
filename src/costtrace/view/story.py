"""A turn as a story: what happened, step by step, with its time, its money, its working and what led to what.

Plain data, made from entries alone: it needs no span, no clock and no ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from costtrace.entry import Entry, Kind
from costtrace.messages import Totals, totals_of
from costtrace.reports import Turn
from costtrace.twilio.legs import Leg
from costtrace.view.blocks import Cell
from costtrace.view.entries import parent_run
from costtrace.view.entry_steps import entry_step
from costtrace.view.items import EntryItem, Item, LegItem, items_of, original_of, runs_in_circles
from costtrace.view.sms_steps import leg_steps
from costtrace.view.steps import Step
from costtrace.view.totals import context_facts, unpriced_reasons

_SHARES: Final[Mapping[str, str]] = {
    Kind.LLM: "Models",
    Kind.EMBEDDING: "Embeddings",
    Kind.TOOL: "Tools",
    Kind.CORRECTION: "Corrections",
}
_SMS: Final = "SMS"
SHARES: Final = frozenset({*_SHARES.values(), _SMS})
"""The names of `Story.shares` that are costtrace's own; others are kinds of entry that an application made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message of the turn."""

    role: str
    """``Question``, ``Reply`` or, where it stands alone, ``Message``."""
    uuid: str
    facts: tuple[tuple[str, Cell], ...]
    """Whose message it is."""
    total: Totals
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A message, with the one it answers, as a person is told of it."""

    uuid: str
    parts: tuple[Part, ...]
    """In the order of the conversation."""
    total: Totals
    """Of the turn: the same as `Turn.total`."""
    shares: tuple[tuple[str, Totals], ...]
    """The total by what was bought, such as ``Models`` and ``SMS``; together they are the total."""
    legs: tuple[Leg, ...]
    """Its SMS, with what became of them."""
    reasons: tuple[str, ...]
    """Why something has no price."""
    missing: str | None
    """The uuid of the message it answers, where nothing was recorded under that."""
    known_at: datetime | None
    """The moment whose knowledge this is; None for all there is."""

    @property
    def began(self) -> datetime:
        """The earliest of all moments at which one of its steps began."""
        return min(step.starts for step in self.steps)

    @property
    def steps(self) -> tuple[Step, ...]:
        """Of all its messages."""
        return tuple(step for part in self.parts for step in part.steps)


def story_of(turn: Turn, *, known_at: datetime | None = None) -> Story:
    """The story of that turn; `known_at` is the moment as of which the turn was read, where that was not now."""
    messages = [message for message in (turn.reply_to, turn.message) if message is not None]
    roles = ("Question", "Reply") if len(messages) > 1 else ("Message",)
    parts: list[Part] = []
    legs: list[Leg] = []
    for role, message in zip(roles, messages, strict=True):
        items = items_of(message)
        steps = _steps(items, first=sum(len(part.steps) for part in parts) + 1)
        legs += [item.leg for item in items if isinstance(item, LegItem)]
        facts = tuple(context_facts(message.context))
        parts.append(Part(role=role, uuid=message.uuid, facts=facts, total=message.total, steps=steps))
    entries = tuple(entry for message in messages for entry in message.entries)
    return Story(
        uuid=turn.message.uuid,
        parts=tuple(parts),
        total=turn.total,
        shares=tuple(_shares(entries)),
        legs=tuple(legs),
        reasons=tuple(unpriced_reasons(turn.total, entries)),
        missing=turn.message.context.reply_to if turn.reply_to is None else None,
        known_at=known_at,
    )


def _shares(entries: Sequence[Entry]) -> Iterator[tuple[str, Totals]]:
    """The totals by kind; what corrects another entry counts with that one's kind."""
    by_id = {entry.entry_id: entry for entry in entries}
    found: dict[str, Totals] = {}
    for entry in entries:
        kind = original_of(entry, by_id).kind
        name = _SMS if kind == "sms" or kind.startswith("sms-") else _SHARES.get(kind, kind)
        found[name] = found.get(name, Totals()).plus(totals_of(entry))
    yield from ((name, total) for name, total in found.items() if total != Totals())


def _steps(items: Sequence[Item], *, first: int) -> tuple[Step, ...]:
    """The items as steps, numbered from `first`; what happened within another step comes behind that."""
    steps: list[Step] = []
    numbers: dict[int, int] = {}
    explained: dict[str, int] = {}
    for item, depth in _nested(items):
        number = numbers[item.number] = first + len(steps)
        if isinstance(item, LegItem):
            made_by = tuple(sorted(numbers[maker] for maker in item.made_by if maker in numbers))
            steps += leg_steps(item.leg, number=number, depth=depth, made_by=made_by)
        else:
            corrects = None if item.corrects is None else numbers[item.corrects]
            steps.append(entry_step(item, number=number, depth=depth, corrects=corrects, explained=explained))
    return tuple(steps)


def _nested(items: Iterable[Item]) -> Iterator[tuple[Item, int]]:
    """The items, each behind the one it happened within, and how deep it stands."""
    inside: dict[int | None, list[Item]] = {}
    items = list(items)
    entries = [item for item in items if isinstance(item, EntryItem) and item.corrects is None]
    runs = {item.entry.source_id: item.number for item in entries}
    parents = {item.number: _parent(item, runs) for item in items}
    for item in items:
        parent = parents[item.number]
        inside.setdefault(None if runs_in_circles(item.number, parents) else parent, []).append(item)
    waiting = [(item, 0) for item in reversed(inside.get(None, []))]
    while waiting:
        item, depth = waiting.pop()
        yield item, depth
        waiting += [(one, depth + 1) for one in reversed(inside.get(item.number, []))]


def _parent(item: Item, runs: Mapping[str | None, int]) -> int | None:
    if isinstance(item, LegItem):
        return None
    if item.corrects is not None:
        return item.corrects
    run = parent_run(item.entry)
    return None if run is None else runs.get(run)
