"""What a message consists of: its entries by time, corrections behind what they correct, and each SMS as one thing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from costtrace.entry import Entry, Kind
from costtrace.messages import Message
from costtrace.twilio.legs import Leg
from costtrace.usage import Usage
from costtrace.view.blocks import Cell
from costtrace.view.entries import corrected, cost_cell, is_unpriced, last_words, when_recorded
from costtrace.view.sms import is_sms, leg_cost, legs_of

K = TypeVar("K")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryItem:
    """An entry with its number."""

    number: int
    entry: Entry
    corrects: int | None = None
    """The number of the item that it corrects."""
    believed: Entry | None = None
    """What was said last of the same thing before."""
    usage: Usage | None
    """What was used, by the entry itself or the one it corrects."""
    replaced: bool = False
    """Whether a later one took its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegItem:
    """An SMS with its number: many entries, and one thing that costs."""

    number: int
    leg: Leg
    made_by: tuple[int, ...]
    """The numbers of the model calls that wrote it."""


Item = EntryItem | LegItem


def items_of(message: Message) -> list[Item]:
    """What happened in the order of time; each entry followed by its corrections in the order they were made."""
    entries = [entry for entry in message.entries if not is_sms(entry)]
    corrections = _corrections(entries)
    standing = {entry.entry_id for entry in last_words(entries)}
    attached = {entry.entry_id for found in corrections.values() for entry in found}
    things: list[Entry | Leg] = [*(entry for entry in entries if entry.entry_id not in attached), *legs_of(message)]
    items: list[Item] = []
    for thing in sorted(things, key=_began):
        first = len(items) + 1
        if isinstance(thing, Leg):
            items.append(LegItem(number=first, leg=thing, made_by=_makers(thing, items)))
            continue
        believed = None
        for entry in (thing, *corrections.get(thing.entry_id, ())):
            item = EntryItem(
                number=len(items) + 1,
                entry=entry,
                corrects=None if believed is None else first,
                believed=believed,
                usage=thing.usage,
                replaced=entry.entry_id not in standing,
            )
            items.append(item)
            believed = entry
    return items


def _corrections(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """The corrections of each of the entries, by its id; what corrects a correction goes with the same entry."""
    by_id = {entry.entry_id: entry for entry in entries}
    corrections: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=when_recorded):
        original = original_of(entry, by_id)
        if original is not entry:
            corrections.setdefault(original.entry_id, []).append(entry)
    return corrections


def original_of(entry: Entry, by_id: Mapping[str, Entry]) -> Entry:
    """The entry that it corrects in the end; itself where it corrects none, or where its names lead in a circle."""
    here, seen = entry, {entry.entry_id}
    while here.kind == Kind.CORRECTION and (named := by_id.get(corrected(here) or "")) is not None:
        if named.entry_id in seen:
            return entry
        seen.add(named.entry_id)
        here = named
    return here


def _began(thing: Entry | Leg) -> datetime:
    return thing.started_at if isinstance(thing, Leg) else thing.occurred_at


def _makers(leg: Leg, items: Iterable[Item]) -> tuple[int, ...]:
    links = leg.details.get("links")
    if not isinstance(links, list):
        return ()
    calls = [item for item in items if isinstance(item, EntryItem) and item.entry.kind == Kind.LLM]
    return tuple(item.number for item in calls if item.entry.source_id in links)


def item_cost(item: Item) -> Cell:
    """What is said of its cost. What nobody could price, until somebody did, is not called unpriced any more."""
    if isinstance(item, LegItem):
        return leg_cost(item.leg)
    if item.replaced and is_unpriced(item.entry):
        return Cell("unpriced at first", "dim")
    return cost_cell(item.entry)


def runs_in_circles(one: K, parents: Mapping[K, K | None]) -> bool:
    """Whether its ancestors lead back to it, which only a confused source can record."""
    seen = set()
    here = parents.get(one)
    while here is not None and here not in seen:
        if here == one:
            return True
        seen.add(here)
        here = parents.get(here)
    return False
