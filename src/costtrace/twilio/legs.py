"""Legs: the SMS of one message, each with its delivery and its price, folded from the message's entries.

A reply may go out as several SMS, and an SMS is known by two names: the id we gave the attempt to send it, and the SID
that Twilio gave it. Entries with either name, or both, make one leg.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from costtrace.context import Context
from costtrace.entry import Entry, Standing
from costtrace.messages import Message
from costtrace.money import Money
from costtrace.quote import Quote, QuoteStatus
from costtrace.times import parse_moment
from costtrace.twilio import delivery
from costtrace.twilio.cost_states import CostState, Event, cost_state
from costtrace.twilio.delivery import Delivery, Report

SEND: Final = "sms-send"
"""Written down, before Twilio was asked."""
SMS: Final = "sms"
"""The MessageSid is known."""
END: Final = "sms-end"
"""The request was refused, or its outcome is unknown."""
STATUS: Final = "sms-status"
CHECK: Final = "sms-check"
"""The price was asked for and was not there."""
PRICE: Final = "sms-price"
"""What is believed of the price from here on."""

IDENTIFIED: Final = "identified"
"""The status of an entry that says no more than which SID an attempt has."""
KINDS: Final = frozenset({SEND, SMS, END, STATUS, CHECK, PRICE})
"""The kinds of entry that make legs."""
WAITING_KINDS: Final = (SEND, SMS)
"""The kinds of entry that can wait for a price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One SMS, MMS or channel message, sent or received."""

    message_uuid: str
    sid: str | None
    """Twilio's MessageSid; None until it is known."""
    send_id: str | None
    """Our name for the attempt to send it; None for what others sent, and for what came in."""
    direction: str | None
    """``inbound`` or ``outbound``; None where nobody said."""
    context: Context
    started_at: datetime
    """When it was written down, or else first heard of, UTC."""
    delivery: Delivery | None
    """None where nothing is known of it."""
    cost_state: CostState
    quote: Quote | None
    """What is believed of the price by now; None while it is only expected."""
    price: Money | None
    """What Twilio charges, as far as it has said; below zero for a credit."""
    estimate: Money | None
    """What it was expected to cost."""
    checks: tuple[Entry, ...]
    """When the price was asked for in vain, oldest first."""
    revisions: tuple[Entry, ...]
    """What was believed of the price, oldest first; each holds the difference to the one before."""
    refusal: Entry | None
    """The entry that says it was not sent."""
    waiting: tuple[Entry, ...]
    """The entries whose place no revision has taken yet. Money expected by them is pending."""
    details: Mapping[str, Any]
    """What is kept of the message: `Envelope.details`, as far as it is known."""

    @property
    def name(self) -> str:
        """Its SID, or else what we call the attempt to send it."""
        return self.sid or self.send_id or ""

    @property
    def revision(self) -> int:
        """The number of the last price entry; 0 where there is none."""
        return _revision(self.revisions[-1]) if self.revisions else 0

    @property
    def planned_for(self) -> datetime:
        """When it was to go out: at once, unless it was scheduled."""
        scheduled = self.details.get("scheduled_for")
        return parse_moment(scheduled, "scheduled_for") if isinstance(scheduled, str) else self.started_at

    @property
    def needs_price(self) -> bool:
        """Whether something still waits for Twilio to name the price."""
        return bool(self.waiting)


def legs(message: Message) -> tuple[Leg, ...]:
    """The SMS of that message, the earliest first; the order and repetition of entries never matter."""
    groups = _groups([entry for entry in message.entries if entry.kind in KINDS])
    found = [_leg(sid, send_id, entries) for (sid, send_id), entries in groups.items()]
    return tuple(sorted(found, key=lambda leg: (leg.started_at, leg.name)))


def leg_of(message: Message, *, sid: str | None = None, send_id: str | None = None) -> Leg | None:
    """The leg of that SID or that attempt; None where the message has no such leg."""
    for leg in legs(message):
        if (sid is not None and leg.sid == sid) or (send_id is not None and leg.send_id == send_id):
            return leg
    return None


def _groups(entries: Sequence[Entry]) -> dict[tuple[str | None, str | None], list[Entry]]:
    """Entries by the two names of their leg. One attempt makes one SMS: it goes with the first SID it is named with."""
    sid_of: dict[str, str] = {}
    send_of: dict[str, str] = {}
    for entry in entries:
        sid, send_id = _names(entry)
        if sid and send_id and send_id not in sid_of and sid not in send_of:
            sid_of[send_id], send_of[sid] = sid, send_id
    groups: dict[tuple[str | None, str | None], list[Entry]] = {}
    for entry in entries:
        sid, send_id = _names(entry)
        key = (sid, send_of.get(sid)) if sid else (sid_of.get(send_id or ""), send_id)
        groups.setdefault(key, []).append(entry)
    return groups


def _names(entry: Entry) -> tuple[str | None, str | None]:
    send_id = entry.details.get("send_id")
    return entry.source_id, send_id if isinstance(send_id, str) else None


def _leg(sid: str | None, send_id: str | None, entries: Sequence[Entry]) -> Leg:
    first = min(entries, key=lambda entry: (_ORIGINS.get(entry.kind, len(_ORIGINS)), entry.occurred_at, entry.entry_id))
    revisions = tuple(sorted(_kind(entries, PRICE), key=_revision))
    refusal = next((entry for entry in _kind(entries, END) if entry.quote is not None), None)
    settled = revisions if refusal is None else (refusal, *revisions)
    replaced = {entry.details.get("corrects") for entry in settled}
    pending = [entry for entry in entries if entry.replaces is None and entry.standing is Standing.PENDING]
    quote = settled[-1].quote if settled else None
    context = Context()
    for entry in sorted(entries, key=lambda entry: entry is not first):
        context = context.over(entry.context)
    return Leg(
        message_uuid=first.message_uuid,
        sid=sid,
        send_id=send_id,
        direction=context.direction,
        context=context,
        started_at=first.occurred_at,
        delivery=delivery.delivery(_reports(entries)),
        cost_state=cost_state(_events(sid, settled)),
        quote=quote,
        price=None if quote is None or not quote.is_actual else quote.money,
        estimate=next((entry.estimate for entry in pending if entry.estimate is not None), None),
        checks=tuple(_kind(entries, CHECK)),
        revisions=revisions,
        refusal=refusal,
        waiting=tuple(entry for entry in pending if entry.entry_id not in replaced),
        details=_details([*reversed(revisions), *entries]),
    )


_ORIGINS: Final[Mapping[str, int]] = {SEND: 0, SMS: 1}
_REPORTING: Final[Mapping[str, str]] = {SEND: "local", END: "local", SMS: delivery.WEBHOOK, STATUS: delivery.CALLBACK}
_KEPT: Final = (
    "address_kind",
    "to_country",
    "from_country",
    "to_hash",
    "from_hash",
    "segments",
    "encoding",
    "smart_encoded",
    "num_media",
    "body_length",
    "num_segments",
    "messaging_service_sid",
    "account_sid",
    "scheduled_for",
    "traceparent",
    "links",
)


def _kind(entries: Iterable[Entry], kind: str) -> list[Entry]:
    return [entry for entry in entries if entry.kind == kind]


def _reports(entries: Iterable[Entry]) -> Iterator[Report]:
    for entry in entries:
        source = _REPORTING.get(entry.kind)
        if source is None or entry.status == IDENTIFIED:
            continue
        yield Report(
            status=entry.status,
            source=str(entry.details.get("source", source)),
            reported_at=entry.recorded_at,
            error_code=_number(entry.details.get("error_code")),
            raw_dlr_done_date=entry.details.get("raw_dlr_done_date"),
        )


def _revision(entry: Entry) -> int:
    return _number(entry.details.get("revision")) or 0


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _events(sid: str | None, settled: Iterable[Entry]) -> Iterator[Event]:
    if sid is not None:
        yield Event.IDENTIFIED
    for entry in settled:
        status = None if entry.quote is None else entry.quote.status
        if entry.kind == END:
            yield Event.REFUSED
        elif status is QuoteStatus.NOT_BILLED:
            yield Event.NOT_CHARGED
        else:
            yield Event.PRICED if entry.quote is not None and entry.quote.is_actual else Event.GIVEN_UP


def _details(entries: Iterable[Entry]) -> dict[str, Any]:
    """What the entries together know; of what several of them say, the first is kept."""
    known: dict[str, Any] = {}
    for entry in entries:
        for name in _KEPT:
            if name not in known and entry.details.get(name) is not None:
                known[name] = entry.details[name]
    return known
