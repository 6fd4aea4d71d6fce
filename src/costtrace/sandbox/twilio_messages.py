"""The messages of the stand-in: one frozen value per state, what each is charged, and when that shows.

A price is a negative decimal string, and null until Twilio has worked it out. Usage Records are sums of the same
charges, positive, with the carriers' fees on lines of their own.
"""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import smsutil

from costtrace.errors import InvalidValue

Direction = Literal["inbound", "outbound-api", "outbound-reply"]
Kind = Literal["sms", "mms", "whatsapp"]

STATUSES: Final = frozenset(
    {
        "accepted",
        "canceled",
        "delivered",
        "failed",
        "partially_delivered",
        "queued",
        "read",
        "received",
        "receiving",
        "scheduled",
        "sending",
        "sent",
        "undelivered",
    }
)
"""Every status the API knows."""

SMALLEST_PRICE: Final = Decimal("0.00001")
"""Twilio writes message prices with five decimals."""

_PRICE: Final = re.compile(r"-?\d+(\.\d+)?")
_ON_ITS_WAY: Final = frozenset({"sent", "delivered", "undelivered", "failed", "partially_delivered", "read"})
_CHARGED: Final = frozenset({"sent", "delivered", "undelivered", "partially_delivered", "read", "received"})

_CHARGED_WHATSAPP: Final = frozenset({"delivered", "read", "received"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What the account pays, in its own currency: an SMS per segment, everything else per message.

    The rates are positive, as on a price list, with at most five decimals. `carrier_fee` comes on top, per segment or
    MMS sent. Whether the Message's price holds it is not documented by Twilio: `fees_in_price` decides; Usage Records
    always list it apart. An SMS is charged once it was sent, delivered or not, a WhatsApp message once it was
    delivered; failed ones are not, unless their fate names a price.
    """

    unit: str = "USD"
    sms_outbound: str = "0.0083"
    sms_inbound: str = "0.0083"
    mms_outbound: str = "0.022"
    mms_inbound: str = "0.0165"
    whatsapp: str = "0.005"
    carrier_fee: str = "0"
    fees_in_price: bool = False

    def __post_init__(self) -> None:
        for name in ("sms_outbound", "sms_inbound", "mms_outbound", "mms_inbound", "whatsapp", "carrier_fee"):
            rate = Decimal(getattr(self, name))
            if rate < 0 or rate % SMALLEST_PRICE:
                raise InvalidValue(f"tariff.{name}", getattr(self, name), "a positive rate with up to five decimals")

    def rate(self, kind: Kind, direction: Direction) -> Decimal:
        """Of one segment or one message, without the carrier's fee."""
        if kind == "whatsapp":
            return Decimal(self.whatsapp)
        inbound = direction == "inbound"
        if kind == "mms":
            return Decimal(self.mms_inbound if inbound else self.mms_outbound)
        return Decimal(self.sms_inbound if inbound else self.sms_outbound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as Twilio has it. Times are UTC.

    `num_segments` is 0 where the API would not say yet; `segments` is what will be billed. `charge` and `fee` are what
    the account owes, None before the message went out; `null_reads` says how many more reads do not show the price
    (None: none ever will), `price_from` when it appears at the earliest.
    """

    sid: str
    account_sid: str
    direction: Direction
    status: str
    to: str
    from_: str | None
    body: str
    created: datetime
    updated: datetime
    sent: datetime | None = None
    send_at: datetime | None = None
    messaging_service_sid: str | None = None
    num_media: int = 0
    segments: int = 1
    num_segments: int = 1
    error_code: int | None = None
    status_callback: str | None = None
    charge: Decimal | None = None
    fee: Decimal = Decimal(0)
    price: str | None = None
    price_unit: str = "USD"
    null_reads: int | None = 0
    price_after: timedelta = timedelta(0)

    @property
    def kind(self) -> Kind:
        """How it travels, which decides what it costs."""
        if self.to.startswith("whatsapp:"):
            return "whatsapp"
        return "mms" if self.num_media else "sms"

    @property
    def units(self) -> int:
        """What is counted on the bill: segments of an SMS, otherwise the message."""
        return self.segments if self.kind == "sms" else 1

    def shown_price(self, now: datetime) -> str | None:
        """The price a read at that time answers; null while it is withheld."""
        if self.null_reads != 0 or self.sent is None or now < self.sent + self.price_after:
            return None
        return self.price


def segments(body: str) -> int:
    """How many SMS the body takes; an empty one still takes one."""
    return max(1, len(smsutil.split(body).parts))


def known_status(status: str) -> None:
    """Raises InvalidValue for a status the API does not have."""
    if status not in STATUSES:
        raise InvalidValue("status", status, f"one of {', '.join(sorted(STATUSES))}")


def known_price(price: str) -> None:
    """Raises InvalidValue for a text that is no decimal number."""
    if not _PRICE.fullmatch(price):
        raise InvalidValue("price", price, "a decimal text as Twilio writes it, such as '-0.00750'")


class MessageLog:
    """All messages of the account in order of creation, safe to use from any thread."""

    def __init__(self, tariff: Tariff, clock: Callable[[], datetime]) -> None:
        self._tariff = tariff
        self._clock = clock
        self._lock = threading.Lock()
        self._messages: dict[str, Message] = {}

    def add(self, message: Message) -> Message:
        """Takes it in, with its charge where it has one at once."""
        with self._lock:
            return self._keep(self._charged(replace(message, price_unit=self._tariff.unit)))

    def all(self) -> list[Message]:
        """Oldest first."""
        with self._lock:
            return list(self._messages.values())

    def get(self, sid: str) -> Message | None:
        """The message as it is now."""
        with self._lock:
            return self._messages.get(sid)

    def change(self, sid: str, **changes: Any) -> Message:
        """The message with those fields replaced. InvalidValue when there is none."""
        with self._lock:
            return self._keep(replace(self._known(sid), updated=self._clock(), **changes))

    def advance(self, sid: str, status: str, *, error_code: int | None = None) -> Message:
        """The message in its next status; what is charged for is charged here. Any order is taken."""
        known_status(status)
        with self._lock:
            now, message = self._clock(), self._known(sid)
            message = replace(
                message,
                status=status,
                updated=now,
                sent=message.sent or (now if status in _ON_ITS_WAY else None),
                num_segments=message.segments,
                error_code=error_code if error_code is not None else message.error_code,
            )
            return self._keep(self._charged(message))

    def reprice(self, sid: str, price: str, unit: str | None = None) -> Message:
        """From now on every read shows this price, and the account owes it."""
        known_price(price)
        with self._lock:
            message = self._known(sid)
            unit = unit or message.price_unit
            message = replace(message, price=price, price_unit=unit, null_reads=0, price_after=timedelta(0))
            return self._keep(replace(self._owed(message), updated=self._clock()))

    def delete(self, sid: str) -> None:
        """The message is gone; what was charged for it is not listed any more either."""
        with self._lock:
            self._messages.pop(sid, None)

    def read(self, *sids: str) -> list[tuple[Message, str | None]]:
        """Each message with the price this read shows; a withheld price comes one read closer."""
        with self._lock:
            now = self._clock()
            found = [self._messages[sid] for sid in sids if sid in self._messages]
            for message in found:
                if message.null_reads:
                    self._keep(replace(message, null_reads=message.null_reads - 1))
            return [(message, message.shown_price(now)) for message in found]

    def _known(self, sid: str) -> Message:
        if sid not in self._messages:
            raise InvalidValue("sid", sid, "a message of this stand-in")
        return self._messages[sid]

    def _keep(self, message: Message) -> Message:
        self._messages[message.sid] = message
        return message

    def _charged(self, message: Message) -> Message:
        """A price its fate names is owed once it went out, even as failed; the tariff only for what is charged for."""
        if message.charge is not None or message.sent is None:
            return message
        if message.price is not None:
            return self._owed(message)
        if message.status not in (_CHARGED_WHATSAPP if message.kind == "whatsapp" else _CHARGED):
            return message
        charge = self._tariff.rate(message.kind, message.direction) * message.units
        fee = self._fee(message)
        shown = charge + fee if self._tariff.fees_in_price else charge
        return replace(message, charge=charge, fee=fee, price=format(-shown, ".5f"))

    def _owed(self, message: Message) -> Message:
        fee = self._fee(message)
        charge = -Decimal(message.price or 0) - (fee if self._tariff.fees_in_price else 0)
        return replace(message, charge=charge, fee=fee)

    def _fee(self, message: Message) -> Decimal:
        carried = message.direction != "inbound" and message.kind != "whatsapp"
        return Decimal(self._tariff.carrier_fee) * message.units if carried else Decimal(0)
