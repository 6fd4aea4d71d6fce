"""An SMS that a phone sends to the application: the form Twilio posts, and what it makes of the answer.

TwiML with `<Message>` sends replies; text/plain is sent as an SMS, word for word, which surprises whoever answers "OK".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from costtrace.sandbox.twilio_messages import Message
from costtrace.sandbox.twilio_webhooks import Delivery

NOT_ANSWERED: Final = 11200
"""The debugger's word for an application that did not answer 2xx."""
BROKEN_TWIML: Final = 12100
WRONG_CONTENT_TYPE: Final = 12300

_TWIML: Final = frozenset({"text/xml", "application/xml", "text/html"})
_PLACES: Final = ("City", "State", "Zip", "Country")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One message the application's answer asks for."""

    body: str
    to: str | None = None
    from_: str | None = None
    media: tuple[str, ...] = ()
    status_callback: str | None = None


class AnswerError(Exception):
    """An answer that sends nothing and shows up in Twilio's debugger under this code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the application's answer is error {code}")
        self.code = code


def form(message: Message, *, media: Sequence[str], api_version: str, opt_out: str | None) -> dict[str, str]:
    """The parameters of the inbound webhook. Where Twilio does not know a place it sends the name with no value."""
    params = {
        "ToCountry": "US",
        "ToState": "",
        "SmsMessageSid": message.sid,
        "NumMedia": str(message.num_media),
        "SmsSid": message.sid,
        "SmsStatus": "received",
        "Body": message.body,
        "To": message.to,
        "NumSegments": str(message.segments),
        "MessageSid": message.sid,
        "AccountSid": message.account_sid,
        "From": message.from_ or "",
        "ApiVersion": api_version,
    }
    params |= {f"{end}{place}": params.get(f"{end}{place}", "") for end in ("From", "To") for place in _PLACES}
    if message.messaging_service_sid:
        params["MessagingServiceSid"] = message.messaging_service_sid
    for number, url in enumerate(media):
        params |= {f"MediaUrl{number}": url, f"MediaContentType{number}": "image/jpeg"}
    return params | ({"OptOutType": opt_out} if opt_out else {})


def replies(delivery: Delivery) -> list[Reply]:
    """What the answer sends. Raises AnswerError for one that Twilio cannot use."""
    if delivery.status is None or not 200 <= delivery.status < 300:  # noqa: PLR2004 - HTTP: success
        raise AnswerError(NOT_ANSWERED)
    if not delivery.answer.strip():
        return []
    if delivery.content_type == "text/plain":
        return [Reply(body=delivery.answer.decode(errors="replace"))]
    if delivery.content_type not in _TWIML:
        raise AnswerError(WRONG_CONTENT_TYPE)
    try:
        response = ET.fromstring(delivery.answer)  # noqa: S314 - the answer of our own application, at most 64 KiB
    except ET.ParseError as broken:
        raise AnswerError(BROKEN_TWIML) from broken
    if response.tag != "Response":
        raise AnswerError(BROKEN_TWIML)
    return [_reply(element) for element in response.findall("Message")]


def _reply(element: ET.Element) -> Reply:
    body = element.find("Body")
    return Reply(
        body=((element.text if body is None else body.text) or "").strip(),
        to=element.get("to"),
        from_=element.get("from"),
        media=tuple((media.text or "").strip() for media in element.findall("Media")),
        status_callback=element.get("statusCallback"),
    )
