"""What a verified request becomes: every field that is kept, and every form that is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pytest

from costtrace.twilio.requests import Refused
from costtrace.twilio.signature import Verified
from costtrace.twilio.webhooks import InboundMessage, Media, StatusCallback

ACCOUNT: Final = "AC" + "a" * 32
SID: Final = "SM" + "0123456789abcdef" * 2
RETRY: Final = "4d1b6f5e-retry"
SERVICE: Final = "MG" + "c" * 32
UUID: Final = "019aab3f-2c6e-7d10-9a5b-3f0c2d1e4b5a"

SENT: Final = {"AccountSid": ACCOUNT, "MessageSid": SID, "MessageStatus": "sent"}
RECEIVED: Final = {"AccountSid": ACCOUNT, "MessageSid": SID, "From": "+15005550010", "To": "+15005550006", "Body": "hi"}


def _verified(
    fields: Mapping[str, str | Sequence[str]],
    query: Mapping[str, Sequence[str]] | None = None,
    retry: str | None = None,
) -> Verified:
    listed = {name: (value,) if isinstance(value, str) else tuple(value) for name, value in fields.items()}
    asked = {name: tuple(values) for name, values in (query or {}).items()}
    return Verified(fields=listed, query=asked, idempotency_token=retry)


def test_a_delivered_status_with_everything_twilio_sends() -> None:
    fields = {
        **SENT,
        "MessageStatus": "delivered",
        "SmsSid": SID,
        "SmsStatus": "delivered",
        "MessagingServiceSid": SERVICE,
        "From": "+15005550006",
        "To": "whatsapp:+15005550010",
        "ApiVersion": "2010-04-01",
        "ErrorCode": "",
        "RawDlrDoneDate": "2611221200",
        "ChannelStatusMessage": "whatever comes next year",
    }
    query = {"message_uuid": [UUID], "send": ["s-1"], "plan": ["the application's own"]}
    assert StatusCallback.of(_verified(fields, query, RETRY)) == StatusCallback(
        message_sid=SID,
        account_sid=ACCOUNT,
        status="delivered",
        messaging_service_sid=SERVICE,
        error_code=None,
        raw_dlr_done_date="2611221200",
        message_uuid=UUID,
        send_id="s-1",
        from_="+15005550006",
        to="whatsapp:+15005550010",
        idempotency_token=RETRY,
    )


def test_the_least_a_status_needs() -> None:
    assert StatusCallback.of(_verified(SENT)) == StatusCallback(message_sid=SID, account_sid=ACCOUNT, status="sent")


def test_a_failure_has_its_code() -> None:
    failed = StatusCallback.of(_verified({**SENT, "MessageStatus": "undelivered", "ErrorCode": "30007"}))
    assert (failed.status, failed.error_code) == ("undelivered", 30007)


@pytest.mark.parametrize("status", ["read", "partially_delivered", "invented_next_year"])
def test_a_status_we_have_not_heard_of_is_kept_as_it_is(status: str) -> None:
    assert StatusCallback.of(_verified({**SENT, "MessageStatus": status})).status == status


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MessageSid", None),
        ("MessageSid", ""),
        ("MessageSid", "CA" + "0" * 32),
        ("MessageSid", SID[:-1]),
        ("MessageSid", SID + "0"),
        ("MessageSid", SID + "\n"),
        ("MessageSid", "SM" + "g" * 32),
        ("MessageSid", (SID, SID)),
        ("AccountSid", None),
        ("AccountSid", "SK" + "a" * 32),
        ("MessageStatus", None),
        ("MessageStatus", ""),
        ("MessageStatus", "sentSmsSid"),
        ("MessageStatus", "s" * 33),
        ("MessageStatus", ("sent", "delivered")),
        ("ErrorCode", "30007To"),
        ("ErrorCode", "-1"),
        ("ErrorCode", "٣"),
        ("MessagingServiceSid", "MG"),
        ("ApiVersion", "2010-04-01ErrorCode30007"),
    ],
)
def test_a_status_whose_fields_have_not_their_form_is_refused(name: str, value: str | tuple[str, str] | None) -> None:
    fields: dict[str, str | Sequence[str]] = {key: kept for key, kept in SENT.items() if key != name}
    if value is not None:
        fields[name] = value
    with pytest.raises(Refused) as refused:
        StatusCallback.of(_verified(fields))
    assert (refused.value.status, refused.value.word) == (403, "field")


@pytest.mark.parametrize(
    "query",
    [
        {"message_uuid": [UUID, UUID]},
        {"message_uuid": ["a b"]},
        {"message_uuid": ["x" * 513]},
        {"message_uuid": ["\ufffd"]},
        {"send": ["a/b"]},
        {"send": ["1", "2"]},
    ],
)
def test_what_the_address_names_must_have_its_form(query: dict[str, list[str]]) -> None:
    with pytest.raises(Refused, match="403: field"):
        StatusCallback.of(_verified(SENT, query))


def test_what_nobody_decides_by_is_unknown_where_it_cannot_be_read() -> None:
    odd = StatusCallback.of(_verified({**SENT, "RawDlrDoneDate": "22/11/2026", "From": "a\nb", "To": "x" * 256}))
    assert (odd.raw_dlr_done_date, odd.from_, odd.to) == (None, None, None)


def test_an_mms_with_everything_twilio_sends() -> None:
    fields = {
        **RECEIVED,
        "MessageSid": "MM" + "0" * 32,
        "SmsMessageSid": "MM" + "0" * 32,
        "MessagingServiceSid": SERVICE,
        "NumMedia": "3",
        "NumSegments": "1",
        "MediaUrl0": "https://api.twilio.com/a",
        "MediaContentType0": "image/jpeg",
        "MediaUrl1": "https://api.twilio.com/b",
        "MediaContentType1": "not a type",
        "MediaUrl2": "file:///etc/passwd",
        "MediaUrl3": "https://api.twilio.com/uncounted",
        "OptOutType": "STOP",
        "FromCountry": "US",
        "ToCountry": "",
        "FromCity": "",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
    }
    assert InboundMessage.of(_verified(fields, {"message_uuid": ["of a caller"]}, RETRY)) == InboundMessage(
        message_sid="MM" + "0" * 32,
        account_sid=ACCOUNT,
        from_="+15005550010",
        to="+15005550006",
        body="hi",
        messaging_service_sid=SERVICE,
        num_media=3,
        num_segments=1,
        media=(
            Media(url="https://api.twilio.com/a", content_type="image/jpeg"),
            Media(url="https://api.twilio.com/b", content_type=None),
        ),
        opt_out_type="STOP",
        from_country="US",
        to_country=None,
        idempotency_token=RETRY,
    )


@pytest.mark.parametrize("absent", [None, "0", ""])
def test_segments_nobody_counted_are_unknown_and_not_none_at_all(absent: str | None) -> None:
    fields = RECEIVED if absent is None else {**RECEIVED, "NumSegments": absent}
    assert InboundMessage.of(_verified(fields)).num_segments is None


def test_a_body_stays_as_it_was_sent_and_may_be_empty() -> None:
    assert InboundMessage.of(_verified({**RECEIVED, "Body": " \n hi "})).body == " \n hi "
    assert InboundMessage.of(_verified({**RECEIVED, "Body": ""})).body == ""


@pytest.mark.parametrize("name", ["AccountSid", "MessageSid", "From", "To"])
def test_an_inbound_message_without_its_ends_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="403: field"):
        InboundMessage.of(_verified({**RECEIVED, name: ""}))


@pytest.mark.parametrize(("name", "value"), [("NumMedia", "-1"), ("NumMedia", "1e3"), ("NumSegments", "1.0")])
def test_a_count_that_is_none_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refused, match="403: field"):
        InboundMessage.of(_verified({**RECEIVED, name: value}))


def test_neither_value_shows_numbers_text_or_media() -> None:
    status = StatusCallback.of(_verified({**SENT, "From": "+15005550006", "To": "+15005550010"}))
    fields = {
        **RECEIVED,
        "NumMedia": "1",
        "MediaUrl0": "https://api.twilio.com/secret",
        "MediaContentType0": "image/png",
    }
    message = InboundMessage.of(_verified(fields))
    shown = f"{status!r}{message!r}{message.media!r}{_verified(fields, {'send': ['s-1']})!r}"
    for hidden in ("+1500", "hi'", "secret"):
        assert hidden not in shown
