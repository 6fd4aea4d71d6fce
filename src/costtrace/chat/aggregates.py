"""What a row of the chat table says of a message's cost, as entries. Values in, values out: no table, no ledger.

``costs.gpt`` becomes one entry, an *aggregate*: however many calls there were, the table has one sum of them, or only
the last. Its ``costUsd`` was worked out by the earlier system, mostly in floats, at rates that the table does not name,
from input tokens of which some were cached at a lower rate. The provider never named it, and nobody can check it. So it
is an *estimate*, exact to the last digit that the table holds, and never added to money that is known to be owed.
``costtrace reprice`` may replace it by what the price lists say, which stays an estimate, because of the cached tokens.

``costs.twilio`` is another matter: its price is Twilio's own text, copied from Twilio's record of the message. So it
settles the SMS as a price from Twilio does. One that has no price yet waits for it as every SMS does.

An SMS is known by its MessageSid, whoever writes it down. So its entries have the names that Twilio's webhooks, the
settlement and the reconciliation would give them, and none of these can count it a second time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID, uuid5

from costtrace.chat.attributes import Item, read_item
from costtrace.chat.message import CHANNEL, COSTS, MESSAGE_ID, ROLE, THREAD, TIMESTAMP, moment_of
from costtrace.chat.personal import holds_number
from costtrace.chat.projection import AGGREGATE, GPT, TWILIO, VERSION
from costtrace.context import Context
from costtrace.entry import Entry, Kind, Status
from costtrace.errors import InvalidValue
from costtrace.jsontext import encode
from costtrace.money import amount_text, check_amount, check_currency, parse_amount
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.twilio.entries import found_entry
from costtrace.twilio.envelope import INBOUND, OUTBOUND, Envelope
from costtrace.twilio.legs import IDENTIFIED, Leg
from costtrace.twilio.revisions import price_entries, price_of
from costtrace.usage import FLAG_DETAILS_LOST, Usage, check_count

ATTRIBUTES: Final = (THREAD, TIMESTAMP, MESSAGE_ID, ROLE, CHANNEL, COSTS)
"""What of a row is read; never what somebody said."""
SOURCE: Final = "import"

_ROWS: Final = UUID("5f0a2a54-2f0e-5d7e-8a5e-1c7c3f0d9b21")
_SID: Final = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_DIRECTIONS: Final = {"user": INBOUND, "human": INBOUND, "assistant": OUTBOUND, "ai": OUTBOUND}
_CAME_IN: Final = frozenset({"receiving", "received"})
_CLAIM: Final = "calculated_by=an earlier system"
_NO_CLAIM: Final = "the table names no cost for this message"
_TOKENS: Final = {"inputTokens": "input", "outputTokens": "output"}

Hasher = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is kept of one row."""

    message_uuid: str
    """Its ``messageId``; where it has none, one that follows from its key."""
    occurred_at: datetime
    context: Context
    gpt: object
    """``costs.gpt`` as it stands there, a map unless it is damaged; None where the row has nothing of the kind."""
    twilio: object
    """``costs.twilio``, likewise."""


def row_of(item: Item, *, hasher: Hasher | None = None) -> Row:
    """Read a row, whoever wrote it. Raises InvalidValue naming the attribute that cannot be read, never its content.

    A conversation that is named by a phone number gets the number's hash for its name, or none without a `hasher`.
    """
    known = read_item(item)
    costs = _map(known.get(COSTS), COSTS) or {}
    message_id = known.get(MESSAGE_ID)
    if not message_id:
        message_id = str(uuid5(_ROWS, f"{known[THREAD]}/{known[TIMESTAMP]}"))
    role = known.get(ROLE)
    return Row(
        message_uuid=message_id,
        occurred_at=moment_of(known[TIMESTAMP]),
        context=Context(
            thread_id=_thread(known[THREAD], hasher),
            channel=known.get(CHANNEL) or None,
            role=role or None,
            direction=_DIRECTIONS.get(str(role)),
        ),
        gpt=costs.get(GPT),
        twilio=costs.get(TWILIO),
    )


def key_text(item: Item) -> str:
    """The row's key for people, with a phone number written out of it."""
    known = read_item({name: item[name] for name in (THREAD, TIMESTAMP)})
    thread = str(known[THREAD])
    return f"{'(a phone number)' if holds_number(thread) else thread} {known[TIMESTAMP]}"


def has_costs(item: Item) -> bool:
    """Whether the row says anything of a cost, or holds something in its place that cannot be read."""
    costs = read_item({name: item[name] for name in (COSTS,) if name in item}).get(COSTS)
    return bool(costs.get(GPT) or costs.get(TWILIO)) if isinstance(costs, dict) else costs is not None


def is_projected(costs: object) -> bool:
    """Whether a ledger's projection stands there: what it shows, that ledger knows already."""
    return isinstance(costs, dict) and VERSION in costs


def gpt_entry(row: Row, *, table: str, now: datetime) -> Entry | None:
    """The model calls of that message as one entry; None where the row has none. Raises InvalidValue."""
    gpt = _map(row.gpt, f"{COSTS}.{GPT}")
    if not gpt:
        return None
    model, moment = gpt.get("model"), gpt.get("timestamp")
    quote = _claimed(gpt.get("costUsd"))
    return Entry(
        entry_id=f"{SOURCE}/{row.message_uuid}/{GPT}",
        message_uuid=row.message_uuid,
        kind=Kind.LLM,
        status=Status.COMPLETED,
        occurred_at=row.occurred_at if moment is None else moment_of(moment, "costs.gpt.timestamp"),
        recorded_at=now,
        model=model or None,
        usage=_usage(gpt),
        quote=quote,
        estimate=quote.money,
        context=row.context,
        details={AGGREGATE: True, "source": SOURCE, "table": table},
    )


def _claimed(cost: object) -> Quote:
    if cost is None or cost == "":
        return no_quote(QuoteStatus.UNPRICED, _NO_CLAIM)
    amount = _decimal(cost, "costs.gpt.costUsd")
    if amount < 0:
        raise InvalidValue("costs.gpt.costUsd", amount, "an amount of zero or more")
    return Quote(status=QuoteStatus.ESTIMATED, amount=amount, assumptions=(_CLAIM,))


def _usage(gpt: Mapping[str, Any]) -> Usage | None:
    """Input and output as they stand there; which of the input was cached the table does not say."""
    counts = {name: _count(gpt[name], f"costs.gpt.{name}") for name in _TOKENS if gpt.get(name) is not None}
    if not counts:
        return None
    raw = {name: str(value) for name in (*_TOKENS, "totalTokens", "costUsd") if (value := gpt.get(name)) is not None}
    return Usage(
        buckets={_TOKENS[name]: count for name, count in counts.items()},
        raw_json=encode(raw),
        flags=(FLAG_DETAILS_LOST,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms:
    """The SMS of one row: that there is one, and what Twilio charged for it."""

    sid: str
    entry: Entry
    """Names the SMS; waits for its price."""
    price_raw: str | None
    """Twilio's own text; None where the row has no price."""
    price_unit: str
    num_segments: int | None

    def price(self, leg: Leg, *, now: datetime) -> tuple[Entry, ...]:
        """What has to be appended so that the leg costs what the row says; nothing where the row does not say."""
        if self.price_raw is None:
            return ()
        entries = price_entries(
            leg,
            price_raw=self.price_raw,
            price_unit=self.price_unit,
            source=SOURCE,
            now=now,
            num_segments=self.num_segments,
        )
        return tuple(replace(entry, details={**entry.details, AGGREGATE: True}) for entry in entries)


def sms_of(row: Row, *, table: str, now: datetime, unsigned: bool = False) -> Sms | None:
    """The SMS of that message; None where the row has none.

    Twilio writes what it charges below zero. With `unsigned` the table holds its prices without that sign; without, one
    above zero is refused, because it could be a credit or have lost its sign. Raises InvalidValue.
    """
    twilio = _map(row.twilio, f"{COSTS}.{TWILIO}")
    if not twilio:
        return None
    sid, status = twilio.get("messageSid"), twilio.get("status")
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise InvalidValue("costs.twilio.messageSid", sid, "Twilio's MessageSid, by which an SMS is known")
    segments = twilio.get("numSegments")
    count = None if segments is None else _count(segments, "costs.twilio.numSegments") or None
    raw = _price_raw(twilio.get("price"), unsigned=unsigned)
    unit = twilio.get("priceUnit")
    if raw is not None:
        unit = check_currency(unit.upper() if isinstance(unit, str) else unit, "costs.twilio.priceUnit")
    kept = Envelope(
        quote=no_quote(QuoteStatus.PENDING, "Twilio names the price later"),
        address_kind="mms" if sid.startswith("MM") else "sms",
    )
    entry = found_entry(
        sid,
        status or IDENTIFIED,
        direction=INBOUND if str(status) in _CAME_IN else row.context.direction or OUTBOUND,
        kept=kept,
        source=SOURCE,
        occurred_at=row.occurred_at,
        now=now,
        context=row.context,
        message_uuid=row.message_uuid,
        details={AGGREGATE: True, "table": table, "num_segments": count},
    )
    return Sms(sid=sid, entry=entry, price_raw=raw, price_unit=unit or "", num_segments=count)


def _price_raw(price: object, *, unsigned: bool) -> str | None:
    """The price as Twilio writes it; None for none."""
    if price is None or price == "":
        return None
    text = price.strip() if isinstance(price, str) else f"{_decimal(price, 'costs.twilio.price'):f}"
    owed = price_of(text)
    if owed > 0 if unsigned else owed < 0:
        expected = "above zero, as the option says" if unsigned else "below zero, as Twilio writes what it charges"
        raise InvalidValue("costs.twilio.price", text, f"a price {expected}")
    return f"-{text}" if unsigned and owed else text


def _map(value: object, field: str) -> Mapping[str, Any] | None:
    if value is None or isinstance(value, dict):
        return value
    raise InvalidValue(field, type(value).__name__, "a map")


def _thread(value: object, hasher: Hasher | None) -> str | None:
    thread = str(value)
    if not holds_number(thread):
        return thread
    return None if hasher is None else hasher(thread)


def _decimal(value: object, field: str) -> Decimal:
    """A number or a text that is one, with every digit it has."""
    return parse_amount(value, field) if isinstance(value, str) else check_amount(value, field)


def _count(value: object, field: str) -> int:
    number = _decimal(value, field)
    if number != number.to_integral_value():
        raise InvalidValue(field, amount_text(number), "a whole number of zero or more")
    return check_count(int(number), field)
