"""Selecting and grouping in Python, for ledgers that no query language does it for."""

from __future__ import annotations

from collections.abc import Sequence

from costtrace.entry import Entry
from costtrace.ledger.protocol import Selection


def is_selected(entry: Entry, selection: Selection) -> bool:
    """Whether the entry occurred within the selection."""
    return (selection.since is None or entry.occurred_at >= selection.since) and (
        selection.until is None or entry.occurred_at < selection.until
    )


def group_of(entry: Entry, fields: Sequence[str]) -> tuple[str | None, ...]:
    """The group the entry belongs to by those fields, which are values of `GROUPS`."""
    return tuple(_value(entry, field) for field in fields)


def _value(entry: Entry, field: str) -> str | None:
    if field == "day":
        return entry.occurred_at.date().isoformat()
    if field == "cost_status":
        return entry.cost_status
    if field in ("kind", "message_uuid", "model", "provider"):
        return str(getattr(entry, field)) if getattr(entry, field) is not None else None
    value: str | None = getattr(entry.context, field)
    return value
