"""What a message is expected to cost, before Twilio says what it did.

An estimate is never money owed: its quote is ``pending``, whatever is known. Where no rate is known it has no amount,
and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from costtrace.errors import InvalidValue
from costtrace.money import Money
from costtrace.quote import PriceBasis, Quote, QuoteLine, QuoteStatus
from costtrace.times import utc
from costtrace.twilio.addresses import SMS, Address, NumberKind, parse_address
from costtrace.twilio.segments import Encoding, Forcing, Segmentation, segment
from costtrace.twilio.sms_rates import ANY, DIRECTIONS, OUTBOUND, SmsRate, SmsRates

PROVIDER: Final = "twilio"


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierFee:
    """What carriers add to a message, as far as the rate table knows. Never part of an amount."""

    low: Money
    high: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one message is expected to cost, and how that was found. Made by `estimate`."""

    kind: str
    """What it is billed as: ``sms``, ``mms``, ``whatsapp``, ``rcs`` or another channel's name."""
    direction: str
    country: str | None
    """ISO 3166 code of the country whose rate holds, that of the number the message goes to; None if not known."""
    at: datetime
    """The moment whose rate was asked for, in UTC."""
    text: Segmentation
    """The body as an SMS; what it says of segments is billed for an SMS only."""
    media: int
    quantity: int
    """Units billed: the segments of an SMS, 1 for any other message."""
    rate: Money | None
    """Price of one unit."""
    amount: Money | None
    """Rate x quantity, exactly; None where no rate is known."""
    carrier_fee: CarrierFee | None
    """For the whole message; None where it is not known. Whether Twilio's own price holds it, Twilio does not say."""
    assumptions: tuple[str, ...]
    reason: str | None
    """Why there is no amount."""
    basis: PriceBasis | None
    """The row of the rate table, with its page and dates."""

    @property
    def segments(self) -> int:
        """What Twilio calls ``num_segments``: 1 for anything but an SMS."""
        return self.quantity

    @property
    def encoding(self) -> Encoding:
        """How the text would travel as an SMS."""
        return self.text.encoding

    @property
    def forces_ucs2(self) -> tuple[Forcing, ...]:
        """Which characters make it UCS-2. Parts of the body: not for logs."""
        return self.text.forces_ucs2

    @property
    def bucket(self) -> str:
        """The usage bucket that is billed: ``sms_segment``, ``mms_message``, ``whatsapp_message`` and so on."""
        return bucket_of(self.kind)

    def quote(self) -> Quote:
        """The estimate as a pending quote: nothing in it of body or numbers."""
        if self.rate is None or self.amount is None:
            return Quote(status=QuoteStatus.PENDING, amount=None, reason=self.reason, assumptions=self.assumptions)
        amount, fee = self.amount.amount, self.carrier_fee
        return Quote(
            status=QuoteStatus.PENDING,
            amount=amount,
            currency=self.amount.currency,
            low=None if fee is None else amount,
            high=None if fee is None else (self.amount + fee.high).amount,
            lines=(QuoteLine(self.bucket, self.quantity, self.rate.amount, 1),),
            assumptions=self.assumptions,
            basis=self.basis,
        )


def estimate(
    body: str,
    to: str,
    *,
    from_: str | None = None,
    media: int = 0,
    smart_encoding: bool = False,
    direction: str = OUTBOUND,
    at: datetime | None = None,
    rates: SmsRates | None = None,
) -> Estimate:
    """What that message is expected to cost, from the rate table alone: no request is made.

    `to` and `from_` are addresses as Twilio writes them, `media` how many files go along, `smart_encoding` as it is set
    in the Messaging Service, `at` the moment of sending (now), `rates` the table (Twilio's list prices).
    Raises InvalidValue for what cannot be a message, naming neither body nor number.
    """
    receiver = parse_address(to, "to")
    sender = None if from_ is None else _sender(from_, direction)
    if direction not in DIRECTIONS:
        raise InvalidValue("direction", direction, " or ".join(DIRECTIONS))
    if type(media) is not int or media < 0:
        raise InvalidValue("media", media, "how many files go along, 0 or more")
    return _estimate(
        receiver,
        sender,
        text=segment(body, smart_encoding=smart_encoding),
        media=media,
        direction=direction,
        at=datetime.now(UTC) if at is None else utc(at, "at"),
        rates=rates or SmsRates.published(),
    )


def bucket_of(kind: str) -> str:
    """The usage bucket in which a message of that kind is counted."""
    return "sms_segment" if kind == SMS else f"{kind}_message"


def _sender(text: str, direction: str) -> Address | None:
    try:
        return parse_address(text, "from_")
    except InvalidValue:
        if direction == OUTBOUND:
            raise
        # Whoever writes to us may bear any name; it is our own number that has the price.
        return None


def _estimate(
    receiver: Address,
    sender: Address | None,
    *,
    text: Segmentation,
    media: int,
    direction: str,
    at: datetime,
    rates: SmsRates,
) -> Estimate:
    kind, (country, assumed) = receiver.kind(media), _country(receiver, sender)
    own = sender if direction == OUTBOUND else receiver
    number = None if own is None else own.number_kind
    row = rates.rate(kind=kind, direction=direction, country=country, number=number, at=at)
    quantity = text.segments if kind == SMS else 1
    rate = None if row is None else Money(row.price, row.currency)
    return Estimate(
        kind=kind,
        direction=direction,
        country=country,
        at=at,
        text=text,
        media=media,
        quantity=quantity,
        rate=rate,
        amount=None if rate is None else rate * quantity,
        carrier_fee=None if row is None else _fee(row, quantity),
        assumptions=() if row is None else _assumptions(row, assumed, at),
        reason=_reason(kind, direction, country, at) if row is None else None,
        basis=None if row is None else _basis(row, country, number),
    )


def _fee(row: SmsRate, quantity: int) -> CarrierFee | None:
    if row.carrier_fee is None:
        return None
    low, high = (Money(fee, row.currency) * quantity for fee in row.carrier_fee)
    return CarrierFee(low=low, high=high)


def _country(receiver: Address, sender: Address | None) -> tuple[str | None, str | None]:
    """The receiver's country, and what was assumed to name it."""
    if receiver.number_kind is NumberKind.SHORT_CODE and sender is not None and sender.country is not None:
        return sender.country, f"country={sender.country}, the sender's: a short code works in one country only"
    return receiver.country, receiver.assumption


def _assumptions(row: SmsRate, assumed: str | None, at: datetime) -> tuple[str, ...]:
    assumptions = []
    if assumed is not None and row.country != ANY:
        assumptions.append(assumed)
    if row.ended(at.date()):
        assumptions.append(f"rate of {row.source or row.file} held until {row.effective_until}")
    if row.beside is not None:
        assumptions.append(f"left_out={row.beside}")
    return tuple(assumptions)


def _reason(kind: str, direction: str, country: str | None, at: datetime) -> str:
    where = "a number of no known country" if country is None else country
    return f"no rate for {direction} {kind} to {where} on {at.date()}; name yours in a rates file"


@lru_cache(maxsize=1_024)
def _basis(row: SmsRate, country: str | None, number: NumberKind | None) -> PriceBasis:
    published = row.source is not None and row.source.startswith("https://")
    used = {} if row.number is None or number is None else {"number": str(number)}
    return PriceBasis(
        provider=PROVIDER,
        model=f"{row.kind} {row.direction} {row.country}",
        rule=("own rates" if row.own else "list price") + (" for any country" if row.country == ANY else ""),
        source=row.file if row.source is None or published else row.source,
        version=row.version,
        data_hash=row.data_hash,
        url=row.source if published else None,
        effective_from=None if row.effective_from == date.min else row.effective_from,
        effective_until=None if row.effective_until == date.max else row.effective_until,
        checked_on=row.checked_on,
        context_used=MappingProxyType({**({} if country is None else {"country": country}), **used}),
        rates=MappingProxyType({bucket_of(row.kind): f"{row.file}, line {row.line}"}),
    )
