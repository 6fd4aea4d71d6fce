"""The step of one entry that tells of no SMS: a model call, a tool, a correction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from costtrace.entry import Entry, Kind, Status
from costtrace.times import from_micros, moment_text, to_micros
from costtrace.view.blocks import Block, Cell, Facts, Note
from costtrace.view.entries import correction_facts, is_unpriced, outcome, reason_of, took, tool_of, unquoted, word
from costtrace.view.items import EntryItem, item_cost
from costtrace.view.quotes import verdict, working
from costtrace.view.steps import Lane, Link, LinkType, Step

_LANES: Final[Mapping[str, Lane]] = {
    Kind.LLM: Lane.MODEL,
    Kind.EMBEDDING: Lane.EMBEDDING,
    Kind.TOOL: Lane.TOOL,
    Kind.TOOL_RUN: Lane.TOOL,
    Kind.CORRECTION: Lane.CORRECTION,
    "sms": Lane.SMS,
}
_NAMES: Final[Mapping[str, str]] = {Kind.LLM: "model call", Kind.TOOL_RUN: "tool"}
_QUIET: Final = Cell("")
_LAST: Final = to_micros(datetime.max.replace(tzinfo=UTC))


def entry_step(item: EntryItem, *, number: int, depth: int, corrects: int | None, explained: dict[str, int]) -> Step:
    """The step of that entry.

    `corrects` is the number of the step it corrects. `explained` are the price lists that were named already, with the
    step that names them; this one is added.
    """
    entry = item.entry
    is_correction = corrects is not None
    return Step(
        number=number,
        lane=_LANES.get(entry.kind, Lane.OTHER),
        name=f"correction of {corrects}" if is_correction else _name(entry),
        by=entry.provider,
        starts=entry.recorded_at if is_correction else entry.occurred_at,
        ends=None if is_correction else _end(entry),
        outcome=Cell(word(entry)) if is_correction else _outcome(entry),
        money=_QUIET if entry.kind == Kind.TOOL_RUN else item_cost(item),
        cost=entry.cost,
        estimate=entry.estimate,
        reason=reason_of(entry) if is_unpriced(entry) and not item.replaced else None,
        tokens=None if entry.usage is None else (entry.usage.input_tokens, entry.usage.output_tokens),
        depth=depth,
        links=() if corrects is None else (Link(to=corrects, type=LinkType.CORRECTION_OF),),
        working=tuple(_working(item, number, explained)),
    )


def _end(entry: Entry) -> datetime | None:
    if entry.duration_us is None:
        return None
    return from_micros(min(to_micros(entry.occurred_at) + entry.duration_us, _LAST))


def _name(entry: Entry) -> str:
    return entry.model or tool_of(entry) or _NAMES.get(entry.kind, entry.kind)


def _outcome(entry: Entry) -> Cell:
    """Nothing where it ended as it should."""
    return _QUIET if entry.status == Status.COMPLETED and entry.error is None else outcome(entry)


def _working(item: EntryItem, number: int, explained: dict[str, int]) -> Iterator[Block]:
    entry, quote = item.entry, item.entry.quote
    if quote is not None:
        said = verdict(quote)
        yield Note(said.text, said.tone)
        first = explained.setdefault(quote.basis.json_text, number) if quote.basis else number
        yield from working(quote, item.usage, rates_as_for=first if first != number else None)
    elif entry.kind != Kind.TOOL_RUN:
        yield Note(unquoted(entry), "dim")
    if item.believed is not None:
        yield Facts(list(correction_facts(entry, item.believed)))
    yield Facts(list(_facts(entry)))


def _facts(entry: Entry) -> Iterator[tuple[str, Cell]]:
    asked = entry.requested_model
    if asked and asked != entry.model:
        yield "asked for", Cell(asked)
    if entry.error:
        yield "failed with", Cell(entry.error, "bad")
    if entry.usage is not None:
        yield "tokens", Cell(f"{entry.usage.input_tokens} in, {entry.usage.output_tokens} out")
    yield "began", Cell(moment_text(entry.occurred_at))
    if entry.duration_us is not None:
        yield "took", Cell(took(entry.duration_us))
    yield "recorded", Cell(f"{moment_text(entry.recorded_at)} as {entry.entry_id}", "dim")
    if entry.span is not None:
        sampled = "" if entry.span.sampled else ", not sampled"
        yield "trace", Cell(f"{entry.span.trace_id}, span {entry.span.span_id}{sampled}", "dim")
