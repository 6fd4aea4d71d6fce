"""``sms_inbound``, ``sms_outbound`` and ``sms_cost_update``: an SMS, and what is believed of its price.

Twilio names a price minutes after the SMS, and may name another one later. Each time, an event says the whole price
anew, with a version; the newest version of a MessageSid is what the SMS costs. What it adds to the sum of all events is
the difference, ``cost_change_picousd``.
"""

from __future__ import annotations

import re
from typing import Any, Final

from costtrace.entry import Entry
from costtrace.exporters.posthog.contract import put_known, text_of
from costtrace.exporters.posthog.money import USD, cost_status, put_change, put_cost
from costtrace.exporters.posthog.personal import identifier, word
from costtrace.money import ZERO, Money
from costtrace.times import moment_text
from costtrace.twilio.legs import IDENTIFIED, Leg

TAKEN_BACK: Final = "taken_back"
"""The status of a price that was named in another currency since: nothing is owed in the old one any more."""
_RAW_PRICE: Final = re.compile(r"-?[0-9]{1,6}(\.[0-9]{1,12})?")
_COUNTS: Final = ("segments", "num_segments", "num_media")


def put_sms(properties: dict[str, Any], entry: Entry, leg: Leg | None) -> None:
    """The properties of an SMS as such; its cost comes with `put_price`."""
    _put_leg(properties, entry, leg)
    details = entry.details if leg is None else leg.details
    for name in _COUNTS:
        count = details.get(name)
        if type(count) is int:
            properties[name] = count
    if "segments" not in properties and "num_segments" in properties:
        properties["segments"] = properties["num_segments"]
    put_known(properties, "to_country", word(text_of(details, "to_country")))
    status = entry.status
    if status == IDENTIFIED:
        status = "" if leg is None or leg.delivery is None else leg.delivery.status
    put_known(properties, "status", word(status or None))


def put_price(properties: dict[str, Any], entry: Entry, leg: Leg | None) -> None:
    """What is believed of the price: the whole of it, not the difference that the entry carries."""
    _put_leg(properties, entry, leg)
    details = entry.details
    raw = text_of(details, "price_raw")
    if raw is not None and _RAW_PRICE.fullmatch(raw) and entry.status != TAKEN_BACK:
        properties["price"] = properties["twilio_price"] = raw
    price = _price(entry)
    if price is not None:
        properties["price_unit"] = price.currency
        put_cost(properties, price, added=False)
        if price.currency == USD and "cost_picousd" in properties:
            properties["cost_native_pico"] = properties["cost_picousd"]
    put_change(properties, entry.cost)
    revision = details.get("revision")
    properties["cost_status"] = cost_status(entry.standing, entry.quote)
    properties["price_version"] = revision if type(revision) is int else 0
    put_known(properties, "status", word(entry.status))
    put_known(properties, "cost_reason", word(text_of(details, "reason")))
    segments = details.get("num_segments")
    if type(segments) is int:
        properties["num_segments"] = segments
    properties["observed_at"] = moment_text(entry.recorded_at)


def _price(entry: Entry) -> Money | None:
    """The whole price; zero in the old currency where it was taken back, because nothing is owed there now."""
    if entry.status == TAKEN_BACK and entry.cost is not None:
        return Money(ZERO, entry.cost.currency)
    if entry.quote is None:
        return entry.cost
    return entry.quote.money if entry.quote.is_actual else None


def _put_leg(properties: dict[str, Any], entry: Entry, leg: Leg | None) -> None:
    if "conversation_id" in properties:
        properties["thread_id"] = properties["conversation_id"]
    put_known(properties, "twilio_sid", identifier(entry.source_id or (None if leg is None else leg.sid)))
    send_id = text_of(entry.details, "send_id") or (None if leg is None else leg.send_id)
    put_known(properties, "send_id", identifier(send_id))
