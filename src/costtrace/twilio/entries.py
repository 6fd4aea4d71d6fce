"""The entries of an SMS: what happened to it, as values in and an `Entry` out. No clock, no ledger, no Twilio.

The estimate stands with the first entry of an SMS and waits there. What Twilio says of the price later is a chain of
revisions, numbered from 1, each with the difference to what was believed before. A revision's id is its number, so two
processes that learn the same thing write it once, and of two that learned different things the first one's stands and
the other's next look goes on from there. The sum of a chain is always the last known price.

A revision belongs to the moment and the context of what it takes the place of, so that reports of a day, a user or a
message type come out right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

from costtrace.context import NOTHING, Context
from costtrace.entry import Entry, Standing, standing_of
from costtrace.errors import InvalidValue
from costtrace.money import ZERO, Money, check_currency, parse_amount
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.twilio import delivery
from costtrace.twilio.envelope import INBOUND, OUTBOUND, Envelope, Estimator, Hasher, envelope
from costtrace.twilio.estimates import PROVIDER, estimate
from costtrace.twilio.legs import CHECK, END, IDENTIFIED, PRICE, SEND, SMS, STATUS, Leg
from costtrace.twilio.webhooks import InboundMessage, StatusCallback

MESSAGE_FETCH: Final = "message_fetch"
"""The price was read from Twilio's record of the message."""
RECONCILE: Final = "reconcile"
"""The price was read from Twilio's list of messages."""

NOT_FOUND: Final = "not_found"
"""Twilio does not know the message."""
NO_PRICE: Final = "no_price"
"""Twilio knows the message and no price of it."""
DEADLINE: Final = "deadline"

_SCOPE: Final = "provider_reported"
"""Whether Twilio's price holds carriers' and channels' fees, Twilio does not say."""
_PRICE: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,12})?")
_SENT: Final = Context(direction=OUTBOUND)
"""What a status callback says of its message: only what was sent has one."""
_FOUND: Final = UUID("b0c2f1f4-3f43-5c5e-9d0e-5f1a6f0f7a11")


def message_uuid_of(sid: str) -> str:
    """The uuid of the message that an SMS nobody here sent makes: the same for the same SID, wherever it is found."""
    return str(uuid5(_FOUND, sid))


def send_entry(
    send_id: str,
    *,
    message_uuid: str,
    context: Context,
    kept: Envelope,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """An SMS that is about to be sent; its estimate waits here for the price."""
    return Entry(
        entry_id=f"{SEND}/{send_id}",
        message_uuid=message_uuid,
        kind=SEND,
        status=delivery.CREATED,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        model=kept.address_kind,
        quote=kept.quote,
        estimate=kept.quote.money,
        context=context,
        details={"send_id": send_id, **kept.details(), **(details or {})},
    )


def refused_entry(send: Entry, *, error: str, now: datetime) -> Entry:
    """The request for that SMS was turned down, or never left: nothing was bought. `error` is class and code."""
    reason = f"not sent: {error}"
    return Entry(
        entry_id=f"{END}/{send.details['send_id']}",
        message_uuid=send.message_uuid,
        kind=END,
        status=delivery.REJECTED,
        occurred_at=send.occurred_at,
        recorded_at=now,
        provider=PROVIDER,
        model=send.model,
        quote=Quote(status=QuoteStatus.NOT_BILLED, amount=ZERO, reason=reason),
        cost=Money(0),
        estimate=_taken_away(send),
        replaces=Standing.PENDING,
        context=send.context,
        error=error,
        details={"send_id": send.details["send_id"], "corrects": send.entry_id},
    )


def unknown_entry(send: Entry, *, error: str, now: datetime) -> Entry:
    """Nobody knows whether Twilio took that SMS. It goes on waiting for a price. `error` is class and code."""
    return Entry(
        entry_id=f"{END}/{send.details['send_id']}",
        message_uuid=send.message_uuid,
        kind=END,
        status=delivery.SEND_UNKNOWN,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        model=send.model,
        context=send.context,
        error=error,
        details={"send_id": send.details["send_id"]},
    )


def bound_entry(
    sid: str,
    *,
    send_id: str,
    message_uuid: str,
    now: datetime,
    context: Context = NOTHING,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """The SMS of that attempt is the one that Twilio calls `sid`. It carries no money and no status."""
    return Entry(
        entry_id=f"{SMS}/{sid}",
        message_uuid=message_uuid,
        kind=SMS,
        status=IDENTIFIED,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        source_id=sid,
        context=context,
        details={"send_id": send_id, **(details or {})},
    )


def inbound_entry(
    value: InboundMessage,
    *,
    now: datetime,
    context: Context = NOTHING,
    hasher: Hasher | None = None,
    estimator: Estimator = estimate,
    message_uuid: str | None = None,
) -> Entry:
    """A message that came in; what it is expected to cost waits here for the price.

    Its uuid follows from its SID, unless one is given.
    """
    kept = envelope(
        to=value.to,
        from_=value.from_,
        body=value.body,
        num_media=value.num_media,
        direction=INBOUND,
        at=now,
        estimator=estimator,
        hasher=hasher,
    )
    return found_entry(
        value.message_sid,
        "received",
        direction=INBOUND,
        kept=kept,
        context=context,
        source=delivery.WEBHOOK,
        occurred_at=now,
        now=now,
        message_uuid=message_uuid,
        details={
            "account_sid": value.account_sid,
            "messaging_service_sid": value.messaging_service_sid,
            "num_segments": value.num_segments,
            "from_country": value.from_country,
            "opt_out_type": value.opt_out_type,
        },
    )


def found_entry(
    sid: str,
    status: str,
    *,
    direction: str,
    kept: Envelope,
    source: str,
    occurred_at: datetime,
    now: datetime,
    context: Context = NOTHING,
    message_uuid: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> Entry:
    """An SMS that no attempt of ours is known for: it came in, was found in Twilio's list, or a callback names it.

    `source` is ``webhook``, ``fetch`` or ``callback``; `occurred_at` when Twilio sent or received it. Its uuid follows
    from its SID, unless one is given.
    """
    known = {name: value for name, value in (details or {}).items() if value is not None}
    role = "user" if direction == INBOUND else None
    return Entry(
        entry_id=f"{SMS}/{sid}",
        message_uuid=message_uuid or message_uuid_of(sid),
        kind=SMS,
        status=status,
        occurred_at=occurred_at,
        recorded_at=now,
        provider=PROVIDER,
        model=kept.address_kind,
        source_id=sid,
        quote=kept.quote,
        estimate=kept.quote.money,
        context=Context(direction=direction).over(context).over(Context(channel=channel_of(kept), role=role)),
        details={**kept.details(), "source": source, **known},
    )


def channel_of(kept: Envelope) -> str:
    """The channel of a message, for its context: MMS travel as SMS do."""
    return "sms" if kept.address_kind == "mms" else kept.address_kind


def status_entry(
    sid: str,
    status: str,
    *,
    message_uuid: str,
    source: str,
    now: datetime,
    context: Context = NOTHING,
    send_id: str | None = None,
    error_code: int | None = None,
    raw_dlr_done_date: str | None = None,
) -> Entry:
    """One delivery status. `source` is ``create``, ``callback`` or ``fetch``; a fetch has an entry of its own.

    Repeated, it is the same entry: of one status from one kind of source the first report is kept.
    """
    known = {"send_id": send_id, "error_code": error_code, "raw_dlr_done_date": raw_dlr_done_date}
    suffix = f"/{source}" if source == delivery.FETCH else ""
    return Entry(
        entry_id=f"{STATUS}/{sid}/{status}{suffix}",
        message_uuid=message_uuid,
        kind=STATUS,
        status=status,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        source_id=sid,
        context=context,
        details={"source": source, **{name: value for name, value in known.items() if value is not None}},
    )


def callback_entries(
    callback: StatusCallback,
    *,
    now: datetime,
    message_uuid: str | None = None,
    context: Context = _SENT,
    identified: bool = False,
) -> tuple[Entry, ...]:
    """What a status callback says: the status, and which SID the attempt has, where the address names the attempt.

    `message_uuid` is for a callback whose address does not name the attempt: the message that the ledger knows its SID
    by (``sms/<MessageSid>``), whatever the address says. Without, it is the one the address names, or else the one
    whose uuid follows from the SID. `identified` says that the ledger has the attempt's SID already.
    """
    uuid = message_uuid or callback.message_uuid or message_uuid_of(callback.message_sid)
    status = status_entry(
        callback.message_sid,
        callback.status,
        message_uuid=uuid,
        source=delivery.CALLBACK,
        now=now,
        context=context,
        send_id=callback.send_id,
        error_code=callback.error_code,
        raw_dlr_done_date=callback.raw_dlr_done_date,
    )
    if identified or callback.message_uuid is None or callback.send_id is None:
        return (status,)
    details = {"account_sid": callback.account_sid, "messaging_service_sid": callback.messaging_service_sid}
    bound = bound_entry(
        callback.message_sid,
        send_id=callback.send_id,
        message_uuid=uuid,
        now=now,
        context=context,
        details={name: value for name, value in details.items() if value is not None},
    )
    return bound, status


def claimed_entry(
    callback: StatusCallback,
    *,
    message_uuid: str,
    now: datetime,
    context: Context = NOTHING,
    hasher: Hasher | None = None,
    estimator: Estimator = estimate,
) -> Entry:
    """An SMS that another sender made part of that message, by the address it gave to Twilio; it waits for its price.

    Its text is not known here, so that mostly nothing can be estimated.
    """
    kept = envelope(
        to=callback.to or "",
        from_=callback.from_,
        body=None,
        num_media=int(callback.message_sid.startswith("MM")),
        at=now,
        estimator=estimator,
        hasher=None if callback.to is None else hasher,
    )
    return found_entry(
        callback.message_sid,
        IDENTIFIED,
        direction=OUTBOUND,
        kept=kept,
        context=context,
        source=delivery.CALLBACK,
        occurred_at=now,
        now=now,
        message_uuid=message_uuid,
        details={"account_sid": callback.account_sid, "messaging_service_sid": callback.messaging_service_sid},
    )


def check_entry(leg: Leg, *, outcome: str, now: datetime) -> Entry:
    """The price was asked for and was not there; `outcome` is ``no_price`` or ``not_found``."""
    number = len(leg.checks) + 1
    return Entry(
        entry_id=f"{CHECK}/{leg.name}/{number}",
        message_uuid=leg.message_uuid,
        kind=CHECK,
        status=outcome,
        occurred_at=now,
        recorded_at=now,
        provider=PROVIDER,
        source_id=leg.sid,
        context=leg.context,
        details={"number": number, **_send(leg)},
    )


def price_entries(
    leg: Leg,
    *,
    price_raw: str,
    price_unit: str,
    source: str,
    now: datetime,
    num_segments: int | None = None,
) -> tuple[Entry, ...]:
    """What has to be written so that the leg costs what Twilio says; nothing where it does already.

    `price_raw` and `price_unit` are Twilio's own texts, such as ``-0.00750`` and ``USD``; `source` is ``message_fetch``
    or ``reconcile``. Mostly it is one entry; where Twilio changed the currency, what was owed in the old one is taken
    back first. Append one after the other: each goes on from the one before, so where one is not new to the ledger
    somebody else came first, and the leg has to be looked at again.

    Raises InvalidValue for what is no price, such as a missing one, and for a leg whose SID is not known.
    """
    if leg.sid is None:
        raise InvalidValue("leg", leg.name, "a leg whose MessageSid is known: append its bound_entry first")
    amount = price_of(price_raw)
    currency = check_currency(price_unit.upper() if isinstance(price_unit, str) else price_unit, "price_unit")
    quote = Quote(status=QuoteStatus.PROVIDER_REPORTED, amount=amount, currency=currency)
    details = {
        "source": source,
        "price_raw": price_raw,
        "price_unit": price_unit,
        "num_segments": num_segments,
        "cost_scope": _SCOPE,
        "credit": True if amount < 0 else None,
    }
    return tuple(_revisions(leg, quote, status="final", details=details, now=now))


def unavailable_entries(leg: Leg, *, reason: str, now: datetime) -> tuple[Entry, ...]:
    """What has to be written where Twilio names no price: the cost is unknown, which is not zero.

    `reason` is a word such as ``deadline`` or ``not_found``. A price that is known stays; a later one takes this place.
    To be appended as `price_entries` are. A leg whose SID is not known is to be looked at right before: its revisions
    are named by the attempt, so who learned its SID meanwhile would not notice that this one came first.
    """
    quote = _kept_price(leg) or no_quote(QuoteStatus.UNPRICED, f"Twilio named no price: {reason}")
    return tuple(_revisions(leg, quote, status="unavailable", details={"reason": reason}, now=now))


def not_billable_entries(leg: Leg, *, reason: str, source: str, now: datetime) -> tuple[Entry, ...]:
    """What has to be written where nothing was bought, as for a canceled message without a price.

    A price that is known stays. To be appended as `price_entries` are.
    """
    quote = _kept_price(leg) or Quote(status=QuoteStatus.NOT_BILLED, amount=ZERO, reason=reason)
    return tuple(_revisions(leg, quote, status="not_billable", details={"reason": reason, "source": source}, now=now))


def price_of(price_raw: object) -> Decimal:
    """What is owed for a message whose price Twilio gives as that text: ``-0.00750`` is 0.00750, owed by us.

    Raises InvalidValue for None, for another type and for an exponent: no price is not the price zero.
    """
    if not isinstance(price_raw, str) or not _PRICE.fullmatch(price_raw):
        raise InvalidValue("price", price_raw, "a decimal number as text, such as '-0.00750'")
    price = parse_amount(price_raw, "price")
    return price.copy_negate() if price else price.copy_abs()


def _kept_price(leg: Leg) -> Quote | None:
    return leg.quote if leg.price is not None else None


def _revisions(leg: Leg, quote: Quote, *, status: str, details: Mapping[str, Any], now: datetime) -> Iterator[Entry]:
    """One for each entry whose place has to be taken; none where nothing waits and the belief is the same."""
    known = {name: value for name, value in details.items() if value is not None}
    before, last, number = leg.quote, _last(leg), leg.revision
    news = not _is_same(before, quote)
    if before is not None and before.is_actual and quote.is_actual and before.currency != quote.currency:
        number += 1
        reason = f"priced in {quote.currency} instead of {before.currency}"
        taken_back = no_quote(QuoteStatus.UNPRICED, reason)
        last = _revision(leg, number, last, before, taken_back, status="taken_back", details=known, now=now)
        yield last
        before = taken_back
    places = [last] if news and (last is not None or not leg.waiting) else []
    for place in (*places, *leg.waiting):
        number += 1
        yield _revision(leg, number, place, before, quote, status=status, details=known, now=now)
        before = quote


def _revision(
    leg: Leg,
    number: int,
    place: Entry | None,
    before: Quote | None,
    quote: Quote,
    *,
    status: str,
    details: Mapping[str, Any],
    now: datetime,
) -> Entry:
    return Entry(
        entry_id=f"{PRICE}/{leg.name}/{number}",
        message_uuid=leg.message_uuid,
        kind=PRICE,
        status=status,
        occurred_at=leg.started_at if place is None else place.occurred_at,
        recorded_at=now,
        provider=PROVIDER,
        model=_model(leg) if place is None else place.model,
        source_id=leg.sid,
        quote=quote,
        cost=_difference(_cost(before), _cost(quote)),
        estimate=None if place is None else _taken_away(place),
        replaces=None if place is None else _standing(place),
        context=leg.context if place is None else place.context,
        details={
            **details,
            "revision": number,
            **_send(leg),
            **({} if place is None else {"corrects": place.entry_id}),
        },
    )


def _last(leg: Leg) -> Entry | None:
    """The last entry that said something of the price, whose place the next one takes."""
    return leg.revisions[-1] if leg.revisions else leg.refusal


def _model(leg: Leg) -> str | None:
    kind = leg.details.get("address_kind")
    return kind if isinstance(kind, str) else None


def _send(leg: Leg) -> dict[str, str]:
    return {} if leg.send_id is None else {"send_id": leg.send_id}


def _standing(place: Entry) -> str | None:
    if place.replaces is None:
        return place.standing
    return None if place.quote is None else standing_of(place.quote)


def _taken_away(place: Entry) -> Money | None:
    return -place.estimate if place.replaces is None and place.estimate is not None else None


def _is_same(before: Quote | None, after: Quote) -> bool:
    return before is not None and (before.status, before.amount, before.currency) == (
        after.status,
        after.amount,
        after.currency,
    )


def _cost(quote: Quote | None) -> Money | None:
    return quote.money if quote is not None and quote.is_actual else None


def _difference(before: Money | None, after: Money | None) -> Money | None:
    if before is None or after is None:
        return after if before is None else -before
    return None if before == after else after - before
