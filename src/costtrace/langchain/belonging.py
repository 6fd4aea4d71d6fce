"""Which message a run belongs to, and what else is known of it there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple, cast
from uuid import UUID

from costtrace.context import MESSAGE_UUID, NOTHING, TEXT_FIELDS, Context, current_message
from costtrace.langchain.runs import Chain
from costtrace.responses import text

_THREAD_KEYS: Final = ("thread_id", "conversation_id", "session_id")
_CONTEXT_KEYS: Final = frozenset({*TEXT_FIELDS, *_THREAD_KEYS})


class Belongs(NamedTuple):
    """The message of a run."""

    message_uuid: str
    context: Context
    source: str
    """Where that was learnt: metadata, scope, parent or run, the last of which means that nobody said."""


def message_of(metadata: Mapping[str, Any], parent: Chain | None, run_id: UUID) -> Belongs:
    """The message that the run belongs to; one of its own where none is known."""
    scope = current_message()
    named = metadata.get(MESSAGE_UUID)
    if named is not None:
        named = text(named)
    if named is not None and not (scope is not None and scope.inside(named)):  # metadata is inherited: see `message`
        known = NOTHING
        if scope is not None and scope.uuid == named:
            known = scope.context
        elif parent is not None and parent.message_uuid == named:
            known = parent.context
        return Belongs(named, _context(metadata, known), "metadata")
    if scope is not None:
        return Belongs(scope.uuid, _context(metadata, scope.context), "scope")
    if parent is not None:
        source = "run" if parent.source == "run" else "parent"
        return Belongs(parent.message_uuid, _context(metadata, parent.context), source)
    return Belongs(str(run_id), _context(metadata, NOTHING), "run")


def _context(metadata: Mapping[str, Any], known: Context) -> Context:
    """What the metadata says, and where it is silent what is known already."""
    if _CONTEXT_KEYS.isdisjoint(metadata):
        return known
    said = {name: text(metadata[name]) for name in TEXT_FIELDS if name in metadata}
    said["thread_id"] = next(filter(None, (text(metadata.get(key)) for key in _THREAD_KEYS)), None)
    for name, value in said.items():
        if value is not None and getattr(known, name) != value:
            return Context(**cast("dict[str, Any]", said)).over(known)
    return known
