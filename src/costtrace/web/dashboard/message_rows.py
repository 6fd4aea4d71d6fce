"""Messages as rows of a list, of a file and of JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

from costtrace.csvtext import safe_cell
from costtrace.messages import Message
from costtrace.money import amount_text
from costtrace.times import moment_text
from costtrace.view.amounts import actual_column, pending_cell
from costtrace.view.blocks import Cell
from costtrace.view.sms import leg_name, leg_outcome, legs_of
from costtrace.web.dashboard.figures import Share, coverage_shares

_COUNTED: Final = ("llm", "embedding", "tool")
_CSV_HEAD: Final = (
    "message_uuid",
    "began",
    "user",
    "channel",
    "thread",
    "direction",
    "role",
    "currency",
    "actual",
    "pending",
    "settled",
    "calculated",
    "pending_entries",
    "unpriced_entries",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """One message of the list."""

    uuid: str
    query: str
    began: datetime
    user: str | None
    whence: str
    """Channel, direction and role, as far as they are known."""
    made_of: str
    """What happened in it: ``2 llm, 1 sms``."""
    sms: Sequence[tuple[str, Cell]]
    """Its SMS and what became of them."""
    actual: Cell
    pending: Cell
    coverage: Sequence[Share]


def message_rows(found: Sequence[Message]) -> list[MessageRow]:
    """The rows, their amounts lined up."""
    _, actual = actual_column([message.total for message in found])
    return [_row(message, cell) for message, cell in zip(found, actual, strict=True)]


def _row(message: Message, actual: Cell) -> MessageRow:
    context, legs = message.context, legs_of(message)
    counts = Counter(entry.kind for entry in message.entries if entry.kind in _COUNTED and entry.replaces is None)
    counts.update({"sms": len(legs)} if legs else {})
    return MessageRow(
        uuid=message.uuid,
        query=urlencode({"uuid": message.uuid}, quote_via=quote),
        began=message.started_at,
        user=context.user_id,
        whence=" · ".join(word for word in (context.channel, context.direction, context.role) if word),
        made_of=", ".join(f"{count} {kind}" for kind, count in counts.items()),
        sms=[(leg_name(leg), leg_outcome(leg)) for leg in legs],
        actual=actual,
        pending=pending_cell(message.total),
        coverage=coverage_shares(message.total),
    )


def message_record(message: Message) -> dict[str, Any]:
    """The message as JSON objects, without its entries."""
    return {
        "message_uuid": message.uuid,
        "began": moment_text(message.started_at),
        "context": message.context.to_dict(),
        "total": message.total.to_dict(),
    }


def message_csv(found: Sequence[Message]) -> Iterator[list[str]]:
    """A head, then a row per message and currency; counts stand in the first row of a message only."""
    yield list(_CSV_HEAD)
    for message in found:
        context, total = message.context, message.total
        whose = (context.user_id, context.channel, context.thread_id, context.direction, context.role)
        texts = [safe_cell(message.uuid), moment_text(message.started_at), *(safe_cell(word or "") for word in whose)]
        counts = [str(count) for count in total.coverage.values()]
        for currency in sorted({*total.known, *total.pending}) or [""]:
            amounts = [total.known.get(currency), total.pending.get(currency)]
            yield [*texts, currency, *("" if amount is None else amount_text(amount) for amount in amounts), *counts]
            counts = [""] * len(counts)
