"""Addresses of messages: which channel, whose kind of number, which country; and a hash that stands for the number.

No error made here quotes an address: it would carry a phone number into logs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import ModuleType
from typing import Final

from costtrace.errors import InvalidValue, MissingExtra

SMS: Final = "sms"
MMS: Final = "mms"
WHATSAPP: Final = "whatsapp"
RCS: Final = "rcs"

MIN_KEY_BYTES: Final = 16
"""A shorter key could be found by trying; then every number could be, too."""

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}")
_SENDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +&_-]{1,11}")
_CHANNEL: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*):(.+)", re.DOTALL)
_MANY: Final = 4_096


class NumberKind(StrEnum):
    """What kind of number an address is; prices differ by it."""

    LONG_CODE = "long_code"
    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    SENDER_ID = "sender_id"
    """Up to eleven letters and digits instead of a number; nobody can answer it."""
    OTHER = "other"
    """Another channel's own identifier."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One end of a message, as Twilio writes it: ``+14155550100``, ``whatsapp:+14155550100``, ``55555``, ``MYSHOP``."""

    channel: str
    """``sms``, ``whatsapp``, ``rcs``, or the prefix of another channel; never ``mms``, which is a matter of media."""
    identifier: str = field(repr=False)
    """What stands after the channel's prefix: for most, an E.164 number."""
    number_kind: NumberKind
    country: str | None
    """ISO 3166 code of the number's country; None where it has none or none is known."""
    assumption: str | None = None
    """What was assumed to name the country, if anything."""

    def kind(self, media: int) -> str:
        """What Twilio bills a message with that many media as: the channel, or ``mms`` for an SMS with media."""
        return MMS if media and self.channel == SMS else self.channel


def parse_address(text: object, field_name: str = "to") -> Address:
    """The address that Twilio means by a text. Raises InvalidValue naming the field, without the text itself.

    A number must be in E.164, except for short codes and alphanumeric sender IDs. Whether the number is in use nobody
    but its network knows; its country is that of its numbering plan.
    """
    if not isinstance(text, str):
        raise InvalidValue(field_name, type(text).__name__, "an address written as text")
    prefixed = _CHANNEL.fullmatch(text)
    if prefixed is None:
        return _sms(text, field_name)
    channel, identifier = prefixed[1].lower(), prefixed[2]
    if _E164.fullmatch(identifier):
        return _numbered(channel, identifier)
    if channel == WHATSAPP:
        raise _not_an_address(text, field_name, "an E.164 number after 'whatsapp:'")
    return Address(channel=channel, identifier=identifier, number_kind=NumberKind.OTHER, country=None)


def _sms(text: str, field_name: str) -> Address:
    if _E164.fullmatch(text):
        return _numbered(SMS, text)
    if _SHORT_CODE.fullmatch(text):
        return Address(channel=SMS, identifier=text, number_kind=NumberKind.SHORT_CODE, country=None)
    if _SENDER_ID.fullmatch(text):
        return Address(channel=SMS, identifier=text, number_kind=NumberKind.SENDER_ID, country=None)
    raise _not_an_address(text, field_name, "an E.164 number such as +14155550100, a short code or a sender ID")


def _not_an_address(text: str, field_name: str, expected: str) -> InvalidValue:
    return InvalidValue(field_name, f"{len(text)} characters", expected)


def _numbered(channel: str, number: str) -> Address:
    country, assumption, toll_free = _numbering_plan(number)
    kind = NumberKind.TOLL_FREE if toll_free else NumberKind.LONG_CODE
    return Address(channel=channel, identifier=number, number_kind=kind, country=country, assumption=assumption)


@lru_cache(maxsize=_MANY)
def _numbering_plan(number: str) -> tuple[str | None, str | None, bool]:
    """Country, what was assumed for it, and whether the number is free for its callers."""
    plan = _phonenumbers()
    try:
        parsed = plan.parse(number)
    except plan.NumberParseException:
        return None, None, False
    toll_free = plan.number_type(parsed) == plan.PhoneNumberType.TOLL_FREE
    country = plan.region_code_for_number(parsed)
    if country is not None:
        # 001 stands for networks of no country, such as satellite telephones.
        return (None if country == plan.REGION_CODE_FOR_NON_GEO_ENTITY else country), None, toll_free
    # In no known range, as the numbers kept for films and tests are: one of several countries with that calling code.
    main = plan.region_code_for_country_code(parsed.country_code)
    return main, f"country={main}, the main country of +{parsed.country_code}", toll_free


def _phonenumbers() -> ModuleType:
    try:
        import phonenumbers  # noqa: PLC0415 - 40 ms, and only needed where a number is priced
    except ImportError:
        raise MissingExtra(package="phonenumberslite", feature="the country of a number", extra="twilio") from None
    return phonenumbers


@dataclass(frozen=True, slots=True)
class NumberHasher:
    """Stands for a number where the number itself must not be: HMAC-SHA-256 under a key of your own.

    The numbers of a country can all be tried, so a hash without a key hides none. One key gives a number one hash on
    every channel. Raises InvalidValue, without the key, for one shorter than 16 bytes.
    """

    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        expected = f"at least {MIN_KEY_BYTES} random bytes"
        if not isinstance(self.key, bytes):
            raise InvalidValue("number hash key", type(self.key).__name__, expected)
        if len(self.key) < MIN_KEY_BYTES:
            raise InvalidValue("number hash key", f"{len(self.key)} bytes", expected)

    def __call__(self, address: str | None) -> str | None:
        """64 hex digits for an address; None for no address."""
        if address is None:
            return None
        prefixed = _CHANNEL.fullmatch(address)
        identifier = address if prefixed is None else prefixed[2]
        return hmac.new(self.key, identifier.encode(), hashlib.sha256).hexdigest()
