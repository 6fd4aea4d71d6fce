"""A total in words, and how complete it is; and whose message it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.messages import Totals
from costtrace.view.amounts import actual_cell, coverage_cell, pending_cell
from costtrace.view.blocks import Cell
from costtrace.view.entries import is_unpriced, last_words, reason_of

_LABELS: Final = {"user_id": "user", "thread_id": "thread", "message_type": "type", "reply_to": "replies to"}


def total_facts(total: Totals, entries: tuple[Entry, ...]) -> Iterator[tuple[str, Cell]]:
    """A total, and how complete it is."""
    actual = actual_cell(total)
    yield "actual", Cell(actual.text, actual.tone or "good")
    if total.estimated or total.pending:
        yield "pending", Cell(f"{pending_cell(total).text}, not in the actual amount", "warn")
    for reason in unpriced_reasons(total, entries):
        yield "unpriced", Cell(reason, "bad")
    complete = "" if total.complete else ": the actual amount is not the whole cost"
    if any(total.coverage.values()):
        yield "coverage", Cell(coverage_cell(total).text + complete, "" if total.complete else "warn")
    yield "tokens", Cell(f"{total.input_tokens} in, {total.output_tokens} out")


def unpriced_reasons(total: Totals, entries: tuple[Entry, ...]) -> list[str]:
    """Why something in that total has no price, each reason once."""
    unpriced = [entry for entry in last_words(entries) if is_unpriced(entry)] if total.unpriced > 0 else []
    return list(dict.fromkeys(reason_of(entry) for entry in unpriced))


def context_facts(context: Context) -> Iterator[tuple[str, Cell]]:
    """Whose message it is, as far as that is known."""
    for name, value in context.to_dict().items():
        if name == "tags":
            yield "tags", Cell(", ".join(f"{key}={tag}" for key, tag in value.items()))
        else:
            yield _LABELS.get(name, name), Cell(value)
