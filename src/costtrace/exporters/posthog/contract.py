"""What an event is, and what the events are called. Names and meanings are a contract: reports are built on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

SCHEMA_VERSION: Final = 1

AI_GENERATION: Final = "$ai_generation"
"""One model call, or a correction of its cost."""
AI_EMBEDDING: Final = "$ai_embedding"
"""One request for embeddings, or a correction of its cost."""
TOOL_COST: Final = "tool_cost"
"""Anything else that cost something of its own, such as a search; or a correction of it."""
SMS_INBOUND: Final = "sms_inbound"
SMS_OUTBOUND: Final = "sms_outbound"
SMS_COST_UPDATE: Final = "sms_cost_update"
"""What is believed of the price of an SMS from here on: the whole price, by version."""
MESSAGE_COST: Final = "message_cost"
"""What a whole message came to, by version, once all of it is known; a convenience, never part of a sum."""

COSTED: Final = frozenset({AI_GENERATION, AI_EMBEDDING, TOOL_COST, SMS_INBOUND, SMS_OUTBOUND, SMS_COST_UPDATE})
"""The events whose ``cost_change_picousd`` adds up, over distinct uuids, to what the ledger says in US dollars."""


class Event(NamedTuple):
    """One event, before it is written in the form of an endpoint."""

    name: str
    uuid: str
    timestamp: str
    """ISO 8601 in UTC with milliseconds: when the entry occurred, so that a day's sum is that of the ledger's day."""
    distinct_id: str
    properties: dict[str, Any]
    """JSON scalars; what is not known is absent."""
    entry_id: str
    """The entry it comes from; for a `MESSAGE_COST`, the last one of its message that was delivered."""


def put_known(properties: dict[str, Any], name: str, value: str | int | None) -> None:
    """Put a property where its value is known: PostHog tells a null and an absent one apart, and only now and then."""
    if value is not None:
        properties[name] = value


def text_of(details: Mapping[str, Any], name: str) -> str | None:
    """The detail of that name where it is a text."""
    value = details.get(name)
    return value if isinstance(value, str) else None
