"""ChatMessage: one row of the chat table, as the application meets it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from costtrace.chat.attributes import Item, read_item, write
from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.times import from_micros, utc

THREAD: Final = "threadId"
TIMESTAMP: Final = "timestamp"
MESSAGE_ID: Final = "messageId"
ROLE: Final = "role"
CONTENT: Final = "content"
CHANNEL: Final = "channel"
COSTS: Final = "costs"

_NO_COSTS: Final[Mapping[str, Any]] = MappingProxyType({})
_NUMBER: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,9})?", re.ASCII)
_MICROS: Final = ((10**11, 6), (10**14, 3), (10**17, 0), (10**20, -3))
"""How many powers of ten turn a number below that into microseconds: seconds, milli-, micro-, nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One message of one conversation. What a row of an earlier system lacks is None."""

    thread_id: str = field(repr=False)
    """The conversation; hidden in texts, because it may be a phone number."""
    timestamp: str
    """When it was made, fixed then, so that saving it again is saving the same: ISO 8601 in UTC with microseconds,
    which sorts as time does. Rows of an earlier system keep the form they have."""
    message_uuid: str | None = None
    """The `Message` this is: what the ledger knows its cost by."""
    role: str | None = None
    """``user``, ``assistant`` or the application's own word."""
    content: str | None = field(default=None, repr=False)
    channel: str | None = None
    """``sms``, ``web`` or the application's own word."""
    costs: Mapping[str, Any] = field(default_factory=lambda: _NO_COSTS)
    """What the table shows of its cost, as it stands there: numbers are Decimals."""


def chat_message(item: Item) -> ChatMessage:
    """The message that a row holds, whoever wrote it."""
    known = read_item(item)
    costs = known.get(COSTS)
    return ChatMessage(
        thread_id=str(known[THREAD]),
        timestamp=str(known[TIMESTAMP]),
        message_uuid=_text(known.get(MESSAGE_ID)),
        role=_text(known.get(ROLE)),
        content=_text(known.get(CONTENT)),
        channel=_text(known.get(CHANNEL)),
        costs=costs if isinstance(costs, dict) else _NO_COSTS,
    )


def is_message(item: Item) -> bool:
    """Whether somebody said something there: an update of a message that does not exist leaves a row of costs alone."""
    return any(name in item for name in (MESSAGE_ID, ROLE, CONTENT))


def item_of(message: ChatMessage) -> dict[str, Any]:
    """The row of a new message.

    Raises InvalidValue for a cost that DynamoDB cannot hold exactly, and for what is no text; it never quotes that.
    """
    texts = {
        THREAD: message.thread_id,
        TIMESTAMP: message.timestamp,
        MESSAGE_ID: message.message_uuid,
        ROLE: message.role,
        CONTENT: message.content,
        CHANNEL: message.channel,
    }
    item = {name: {"S": _storable(text, name)} for name, text in texts.items() if text is not None}
    return {**item, COSTS: write(message.costs, COSTS)}


def moment_of(timestamp: object, field_name: str = TIMESTAMP) -> datetime:
    """The moment a row's timestamp means.

    ISO 8601, which without a zone is meant in UTC, and seconds, milliseconds, microseconds or nanoseconds since 1970,
    told apart by their size, as number or as text. Raises InvalidValue for anything else.
    """
    text = f"{timestamp:f}" if isinstance(timestamp, Decimal) else timestamp
    if not isinstance(text, str):
        raise InvalidValue(field_name, timestamp, "a time such as 2026-01-20T09:30:00.000000Z")
    if _NUMBER.fullmatch(text):
        return _since_1970(Decimal(text))
    try:
        moment = datetime.fromisoformat(text.strip())
        return utc(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC), field_name)
    except (ValueError, OverflowError):
        raise InvalidValue(field_name, timestamp, "a time such as 2026-01-20T09:30:00.000000Z") from None


def _since_1970(number: Decimal) -> datetime:
    power = next(power for below, power in _MICROS if number < below)
    return from_micros(int(number.scaleb(power)))


def _storable(text: object, name: str) -> str:
    if not isinstance(text, str):
        raise InvalidValue(name, type(text).__name__, "a text")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidValue(name, f"{len(text)} characters", "a text without lone surrogates") from None
    return text


def _text(value: object) -> str | None:
    """Text as it is; what an application stored as something else, such as content in blocks, as its JSON."""
    return value if value is None or isinstance(value, str) else encode(value)
