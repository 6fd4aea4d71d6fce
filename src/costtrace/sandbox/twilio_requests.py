"""What Twilio accepts when a message is created, and the numbered refusals for everything else."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl, urlsplit

MAX_BODY: Final = 1600
"""Characters of a body, before it is cut into segments: error 21617 above."""

_MAX_MEDIA: Final = 10
_MAX_CALLBACK_URL: Final = 4000
_SOONEST: Final = timedelta(minutes=15)
_LATEST: Final = timedelta(days=35)

_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_SHORT_CODE: Final = re.compile(r"\d{3,8}")
_ALPHANUMERIC: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_CHANNEL: Final = re.compile(r"[a-z]+:(?=.)")

Form = Mapping[str, Sequence[str]]
"""A decoded form: every value of a name, in order."""


class Refusal(Exception):  # noqa: N818 - it names what is wrong, as Twilio does
    """An answer of 400 or above: the error code Twilio documents, and its HTTP status."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


# The numbers of Twilio's test credentials, https://www.twilio.com/docs/iam/test-credentials. There they are the only
# ones that work; here they fail beside all others.
_MAGIC_FROM: Final[Mapping[str, tuple[int, str]]] = {
    "+15005550001": (21212, "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    "+15005550007": (21606, "The 'From' number {} is not a valid, message-capable Twilio phone number."),
    "+15005550008": (21611, "This 'From' number {} has exceeded the maximum number of queued messages."),
}
_MAGIC_TO: Final[Mapping[str, tuple[int, str]]] = {
    "+15005550001": (21211, "Invalid 'To' Phone Number: {}"),
    "+15005550002": (21612, "Message cannot be sent with the current combination of 'To' ({}) and 'From' parameters."),
    "+15005550003": (21408, "Permission to send an SMS has not been enabled for the region indicated by 'To': {}."),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient {}."),
    "+15005550009": (21614, "'To' number {} is not a valid mobile number."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRequest:
    """One accepted request to create a message. Without `from_` the Messaging Service chooses the sender."""

    to: str
    from_: str | None
    messaging_service_sid: str | None
    body: str
    media: tuple[str, ...]
    status_callback: str | None
    send_at: datetime | None


def decoded(text: str) -> dict[str, list[str]]:
    """A form or a query, blank values included."""
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        fields.setdefault(name, []).append(value)
    return fields


def one(form: Form, name: str) -> str | None:
    """The last value of that name; a blank one counts as absent."""
    values = form.get(name) or [""]
    return values[-1] or None


def message_request(form: Form, *, now: datetime) -> MessageRequest:
    """The request in that form. Raises Refusal as Twilio would; `now` decides what may be scheduled."""
    service = one(form, "MessagingServiceSid")
    media = tuple(url for url in form.get("MediaUrl", ()) if url)
    asked = MessageRequest(
        to=_recipient(one(form, "To")),
        from_=_sender(one(form, "From"), service),
        messaging_service_sid=_known_service(service),
        body=_body(one(form, "Body"), media),
        media=_media(media),
        status_callback=_callback_url(one(form, "StatusCallback")),
        # Twilio drops the schedule when no Messaging Service is named, and sends at once.
        send_at=_send_at(form, now) if service and one(form, "ScheduleType") else None,
    )
    if asked.to == asked.from_:
        raise Refusal(21266, f"'To' and 'From' number cannot be the same: {asked.to}")
    return asked


def _recipient(to: str | None) -> str:
    if to is None:
        raise Refusal(21604, "A 'To' phone number is required.")
    if refused := _MAGIC_TO.get(to):
        raise Refusal(refused[0], refused[1].format(to))
    if not (_CHANNEL.match(to) or _E164.fullmatch(to)):
        raise Refusal(21211, f"Invalid 'To' Phone Number: {to}")
    return to


def _sender(sender: str | None, service: str | None) -> str | None:
    if sender is None:
        if service is None:
            raise Refusal(21603, "A 'From' phone number is required.")
        return None
    if refused := _MAGIC_FROM.get(sender):
        raise Refusal(refused[0], refused[1].format(sender))
    if not (_CHANNEL.match(sender) or any(p.fullmatch(sender) for p in (_E164, _SHORT_CODE, _ALPHANUMERIC))):
        code, message = _MAGIC_FROM["+15005550001"]
        raise Refusal(code, message.format(sender))
    return sender


def _known_service(service: str | None) -> str | None:
    if service is not None and not _SERVICE.fullmatch(service):
        raise Refusal(21701, "The Messaging Service does not exist.")
    return service


def _body(body: str | None, media: tuple[str, ...]) -> str:
    if body is None and not media:
        raise Refusal(21602, "Message body is required.")
    if len(body or "") > MAX_BODY:
        raise Refusal(21617, f"The concatenated message body exceeds the {MAX_BODY} character limit.")
    return body or ""


def _media(media: tuple[str, ...]) -> tuple[str, ...]:
    if len(media) > _MAX_MEDIA:
        raise Refusal(21623, "Number of media files exceeds allowed limit")
    for url in media:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Refusal(21620, f"Invalid media URL(s): {url}")
    return media


def _callback_url(url: str | None) -> str | None:
    if url is not None and not is_callback_url(url):
        raise Refusal(21609, f"The 'StatusCallback' URL {url} is not a valid URL.")
    return url


def is_callback_url(url: str) -> bool:
    """Whether Twilio would take this address for its callbacks."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError:
        return False
    named = bool(parts.hostname) and "_" not in (parts.hostname or "")
    printable = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme in {"http", "https"} and named and printable and len(url) <= _MAX_CALLBACK_URL


def _send_at(form: Form, now: datetime) -> datetime:
    try:
        send_at = datetime.fromisoformat(one(form, "SendAt") or "")
    except ValueError:
        send_at = None
    if send_at is None or send_at.tzinfo is None or not _SOONEST <= send_at - now <= _LATEST:
        raise Refusal(35114, "SendAt must be an ISO 8601 UTC time 15 minutes to 35 days ahead.")
    return send_at
