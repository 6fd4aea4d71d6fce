"""The entries of one SMS, made with what a test does not care about filled in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.messages import Message, fold
from costtrace.quote import Quote, QuoteStatus
from costtrace.twilio.entries import bound_entry, send_entry, status_entry
from costtrace.twilio.envelope import Envelope
from costtrace.twilio.legs import Leg, legs
from costtrace.twilio.revisions import price_entries

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
UUID = "0199d3a0-0000-7000-8000-000000000001"
SID = "SM" + "1" * 32
SEND_ID = "5e4d" * 8
CONTEXT = Context(user_id="u1", channel="sms", direction="outbound", message_type="welcome")


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def kept(estimate: str | None = "0.0083", **changes: Any) -> Envelope:
    """One SMS to the United States."""
    amount = None if estimate is None else Decimal(estimate)
    quote = Quote(status=QuoteStatus.PENDING, amount=amount)
    return Envelope(**{"quote": quote, "address_kind": "sms", "to_country": "US", "segments": 1, **changes})


def sent(estimate: str | None = "0.0083", *, send_id: str = SEND_ID) -> Entry:
    return send_entry(send_id, message_uuid=UUID, context=CONTEXT, kept=kept(estimate), now=NOON)


def bound(sid: str = SID, *, send_id: str = SEND_ID) -> Entry:
    return bound_entry(sid, send_id=send_id, message_uuid=UUID, now=later(1), context=CONTEXT)


def status(word: str, seconds: float = 5, *, source: str = "callback", **changes: Any) -> Entry:
    return status_entry(SID, word, message_uuid=UUID, source=source, now=later(seconds), **changes)


def message(*entries: Entry) -> Message:
    return fold(entries)


def leg(entries: Iterable[Entry]) -> Leg:
    """The only leg of those entries."""
    (only,) = legs(fold(entries))
    return only


def price(of: Leg, raw: str, unit: str = "USD", *, seconds: float = 60) -> tuple[Entry, ...]:
    return price_entries(of, price_raw=raw, price_unit=unit, source="message_fetch", now=later(seconds))
