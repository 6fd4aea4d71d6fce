"""Selecting and grouping in Python, for ledgers that no query language does it for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo

from costtrace.entry import Entry
from costtrace.ledger.localtime import LABELS, LocalTime
from costtrace.ledger.protocol import SMS, TAG, Alike, Replaced, Selection, check_groups, field_of
from costtrace.messages import Totals, totals_of
from costtrace.times import to_micros


def is_selected(entry: Entry, selection: Selection) -> bool:
    """Whether the entry occurred within the selection and says what that asks for."""
    return (
        (selection.since is None or entry.occurred_at >= selection.since)
        and (selection.until is None or entry.occurred_at < selection.until)
        and all(_says(entry, word, said) for word, said in selection.where.items())
    )


def totals_by(entries: Iterable[Entry], by: Sequence[str], zone: tzinfo) -> dict[tuple[str | None, ...], Totals]:
    """The totals of each group; raises InvalidValue as `Ledger.totals` does, before it reads an entry."""
    fields, local = check_groups(by), LocalTime(zone)
    totals: dict[tuple[str | None, ...], Totals] = {}
    for entry in entries:
        group = tuple(
            local.label(field, to_micros(entry.occurred_at)) if field in LABELS else _value(entry, field)
            for field in fields
        )
        totals[group] = totals.get(group, Totals()).plus(totals_of(entry))
    return totals


def replaced_by(entries: Iterable[Entry], by: Sequence[str], zone: tzinfo) -> Replaced:
    """As `Ledger.replaced`, of the selected entries."""
    selected = list(entries)
    messages: dict[tuple[str, str | None], list[Entry]] = {}
    for entry in selected:
        messages.setdefault((entry.message_uuid, entry.provider), []).append(entry)
    alike = [
        Alike(groups=totals_by(found, by, zone), times=1)
        for found in messages.values()
        if any(entry.replaces is not None for entry in found)
    ]
    return Replaced(totals=totals_by(selected, by, zone), messages=alike)


def _says(entry: Entry, word: str, said: str | None) -> bool:
    value = _value(entry, field_of(word, "where"))
    if word == "kind" and said == SMS:
        return value == SMS or (value or "").startswith(f"{SMS}-")
    return value == said


def _value(entry: Entry, field: str) -> str | None:
    if field.startswith(TAG):
        return entry.context.tags.get(field.removeprefix(TAG))
    value = getattr(entry, field) if hasattr(entry, field) else getattr(entry.context, field)
    return None if value is None else str(value)
