"""What is kept of a message: where it goes, how large it is, what it should cost. Never its text or a number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final, Protocol

from costtrace.errors import ConfigurationError, InvalidValue
from costtrace.quote import Quote, QuoteStatus, no_quote
from costtrace.twilio.addresses import SMS, parse_address
from costtrace.twilio.estimates import Estimate, estimate

Hasher = Callable[[str], str | None]
"""A phone number's keyed hash: `NumberHasher`."""

OUTBOUND: Final = "outbound"
INBOUND: Final = "inbound"


class Estimator(Protocol):
    """What a message is expected to cost, as `costtrace.twilio.estimate` says."""

    def __call__(
        self,
        body: str,
        to: str,
        *,
        from_: str | None,
        media: int,
        smart_encoding: bool,
        direction: str,
        at: datetime,
    ) -> Estimate:
        """The estimate for that text and address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One message without its content."""

    quote: Quote
    """What it is expected to cost: pending, with or without an amount."""
    address_kind: str
    """``sms``, ``mms``, ``whatsapp`` or another channel's name."""
    to_country: str | None = None
    """ISO 3166 code; None where the number names none."""
    to_hash: str | None = None
    """Keyed hash of the number; None where no key is configured."""
    from_hash: str | None = None
    segments: int | None = None
    """As we count them; None where the text is not known here."""
    encoding: str | None = None
    """How the text travels, for an SMS."""
    smart_encoded: bool | None = None
    """Whether Twilio was asked to replace characters that would make it longer; None where nobody said."""
    num_media: int = 0
    body_length: int | None = None
    """In characters; None where the text is not known here."""

    def details(self) -> dict[str, Any]:
        """What is known, for an entry's details."""
        known = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "quote"}
        return {name: value for name, value in known.items() if value is not None}


def envelope(
    *,
    to: str,
    from_: str | None,
    body: str | None,
    num_media: int = 0,
    smart_encoded: bool | None = None,
    direction: str = OUTBOUND,
    at: datetime,
    estimator: Estimator = estimate,
    hasher: Hasher | None = None,
) -> Envelope:
    """The envelope of that message, as Twilio writes its addresses.

    `body` is None where it is not known: a template kept at Twilio, or what another sender sent.

    Whatever the estimator raises, there is an envelope; its quote says why it has no amount.
    """
    expected, reason = None, "the text is not known here; Twilio names the price later"
    if body is not None or num_media:
        expected, reason = _expected(
            estimator,
            body or "",
            to,
            from_=from_,
            media=num_media,
            smart_encoding=bool(smart_encoded),
            direction=direction,
            at=at,
        )
    kind, country = (expected.kind, expected.country) if expected is not None else _destination(to, num_media)
    return Envelope(
        quote=no_quote(QuoteStatus.PENDING, reason) if expected is None else expected.quote(),
        address_kind=kind,
        to_country=country,
        to_hash=None if hasher is None else hasher(to),
        from_hash=None if hasher is None or from_ is None else hasher(from_),
        segments=None if expected is None else expected.segments,
        encoding=expected.encoding.value if expected is not None and kind == SMS else None,
        smart_encoded=smart_encoded,
        num_media=num_media,
        body_length=None if body is None else len(body),
    )


def _expected(estimator: Estimator, *words: str, **known: Any) -> tuple[Estimate | None, str]:
    try:
        return estimator(*words, **known), ""
    except ConfigurationError as error:
        return None, f"no estimate: {error}"
    except Exception as error:  # noqa: BLE001 - an estimator may be anybody's, and no message waits for its price
        return None, f"no estimate: the estimator failed with {type(error).__name__}"


def _destination(to: str, num_media: int) -> tuple[str, str | None]:
    try:
        address = parse_address(to)
    except (InvalidValue, ConfigurationError):  # Twilio will say what it thinks of it
        return SMS, None
    return address.kind(num_media), address.country
