"""What Twilio says of the price of an SMS: checks that found none, and the chain of revisions. No clock, no ledger.

Revisions are numbered from 1, each with the difference to what was believed before. A revision's id is its number, so
two processes that learn the same thing write it once, and of two that learned different things the first one's stands
and the other's next look goes on from there. The sum of a chain is always the last known price.

A revision belongs to the moment and the context of what it takes the place of, so that reports of a day, a user or a
message type come out right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from costtrace.entry import Entry, standing_of
from costtrace.errors import InvalidValue
from costtrace.money import ZERO, Money, check_currency, parse_amount
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.twilio.estimates import PROVIDER
from costtrace.twilio.legs import CHECK, PRICE, Leg

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
        estimate=None if place is None else taken_away(place),
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


def taken_away(place: Entry) -> Money | None:
    """The difference that removes the estimate waiting at that entry; None where it holds none."""
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
