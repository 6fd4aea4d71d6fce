"""What Twilio tells about a message, as frozen values: a delivery status, or a message that came in.

Neither ever carries a price; it is asked for afterwards. Twilio adds parameters without notice, so everything is
verified and only what stands here is kept. A field that decides which message is meant, or what became of it, must have
its form; any other that cannot be read is unknown, because Twilio does not repeat a request that was refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self

from costtrace.twilio.requests import Fault, Refused
from costtrace.twilio.signature import Verified

MESSAGE_UUID_KEY: Final = "message_uuid"
"""The key in the status-callback address that names the message."""
SEND_KEY: Final = "send"
"""The key in the status-callback address that names the attempt to send it."""
EMPTY_TWIML: Final = b'<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""The answer to an inbound message, as ``text/xml``: no reply. Twilio would send a plain text back as an SMS."""

_MESSAGE: Final = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_STATUS: Final = re.compile(r"[a-z][a-z_-]{0,31}")
_ADDRESS: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_UUID: Final = re.compile(r"[\x21-\x7e]{1,512}")
_SEND: Final = re.compile(r"[0-9A-Za-z_-]{1,64}")
_ERROR_CODE: Final = re.compile(r"[0-9]{1,9}")
_API_VERSION: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CARRIER_TIME: Final = re.compile(r"[0-9]{10}")
_COUNT: Final = re.compile(r"[0-9]{1,3}")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_OPT_OUT: Final = re.compile(r"[A-Z]{1,16}")
_MEDIA_TYPE: Final = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}", re.ASCII)
_MEDIA_URL: Final = re.compile(r"https://[\x21-\x7e]{1,2000}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusCallback:
    """One delivery status of one message. Repeated and out of order by contract; it carries no time of its own."""

    message_sid: str
    account_sid: str
    status: str
    """Twilio's word, known to us or not: ``sent``, ``delivered``, ``undelivered``."""
    messaging_service_sid: str | None = None
    error_code: int | None = None
    """To be stored and shown, not to be decided by: Twilio changes what the codes stand for."""
    raw_dlr_done_date: str | None = None
    """When the carrier says it was done: YYMMDDhhmm by the carrier's clock, in no known time zone."""
    message_uuid: str | None = None
    """From the address that costtrace gave to Twilio."""
    send_id: str | None = None
    """Likewise."""
    from_: str | None = field(default=None, repr=False)
    """To be hashed, never kept as it is."""
    to: str | None = field(default=None, repr=False)
    """Likewise."""
    idempotency_token: str | None = None
    """The same for every retry of one request. Not signed: a hint, no key."""

    @classmethod
    def of(cls, request: Verified) -> Self:
        """The status in that request. Raises Refused."""
        _refuse_swallowed(request)
        error_code = _bound(request, "ErrorCode", _ERROR_CODE)
        return cls(
            message_sid=_required(request, "MessageSid", _MESSAGE),
            account_sid=_required(request, "AccountSid", _ACCOUNT),
            status=_required(request, "MessageStatus", _STATUS),
            messaging_service_sid=_bound(request, "MessagingServiceSid", _SERVICE),
            error_code=None if error_code is None else int(error_code),
            raw_dlr_done_date=_known(request, "RawDlrDoneDate", _CARRIER_TIME),
            message_uuid=_checked(request.asked(MESSAGE_UUID_KEY), _UUID),
            send_id=_checked(request.asked(SEND_KEY), _SEND),
            from_=_known(request, "From", _ADDRESS),
            to=_known(request, "To", _ADDRESS),
            idempotency_token=request.idempotency_token,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A picture or another file that came with a message. Behind the address stands what a person sent."""

    url: str = field(repr=False)
    content_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundMessage:
    """A message that somebody sent to one of our numbers."""

    message_sid: str
    account_sid: str
    from_: str = field(repr=False)
    """To be hashed outside the application's own conversation."""
    to: str = field(repr=False)
    """Likewise."""
    body: str = field(repr=False)
    """As it was sent, spaces included; empty beside media alone."""
    messaging_service_sid: str | None = None
    num_media: int = 0
    num_segments: int | None = None
    """None where Twilio has not said."""
    media: tuple[Media, ...] = field(default=(), repr=False)
    opt_out_type: str | None = None
    """``STOP``, ``START`` or ``HELP`` where Twilio itself has answered such a word."""
    from_country: str | None = None
    """Two letters, where Twilio knows it."""
    to_country: str | None = None
    """Likewise."""
    idempotency_token: str | None = None
    """The same for every retry of one request. Not signed: a hint, no key."""

    @classmethod
    def of(cls, request: Verified) -> Self:
        """The message in that request. Raises Refused."""
        _refuse_swallowed(request)
        num_media = int(_bound(request, "NumMedia", _COUNT) or 0)
        return cls(
            message_sid=_required(request, "MessageSid", _MESSAGE),
            account_sid=_required(request, "AccountSid", _ACCOUNT),
            from_=_required(request, "From", _ADDRESS),
            to=_required(request, "To", _ADDRESS),
            body=request.one("Body") or "",
            messaging_service_sid=_bound(request, "MessagingServiceSid", _SERVICE),
            num_media=num_media,
            num_segments=int(_bound(request, "NumSegments", _COUNT) or 0) or None,
            media=tuple(media for media in (_media(request, n) for n in range(num_media)) if media is not None),
            opt_out_type=_known(request, "OptOutType", _OPT_OUT),
            from_country=_known(request, "FromCountry", _COUNTRY),
            to_country=_known(request, "ToCountry", _COUNTRY),
            idempotency_token=request.idempotency_token,
        )


def _media(request: Verified, number: int) -> Media | None:
    url = _known(request, f"MediaUrl{number}", _MEDIA_URL)
    content_type = _known(request, f"MediaContentType{number}", _MEDIA_TYPE)
    return None if url is None else Media(url=url, content_type=content_type)


def _refuse_swallowed(request: Verified) -> None:
    """ApiVersion is of no interest, but it stands where it could take ErrorCode or Body into itself unnoticed."""
    _bound(request, "ApiVersion", _API_VERSION)


def _required(request: Verified, name: str, form: re.Pattern[str]) -> str:
    value = _bound(request, name, form)
    if value is None:
        raise Refused(Fault.FIELD)
    return value


def _bound(request: Verified, name: str, form: re.Pattern[str]) -> str | None:
    return _checked(request.one(name), form)


def _checked(value: str | None, form: re.Pattern[str]) -> str | None:
    if value is not None and not form.fullmatch(value):
        raise Refused(Fault.FIELD)
    return value


def _known(request: Verified, name: str, form: re.Pattern[str]) -> str | None:
    value = request.one(name)
    return value if value is not None and form.fullmatch(value) else None
