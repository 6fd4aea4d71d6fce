"""Every server's request becomes the same value, and whatever is none is refused."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from costtrace.twilio.requests import MAX_BODY, Fault, Refused, asgi_body, from_api_gateway, from_asgi
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhooks import InboundMessage, StatusCallback
from tests.twilio.deliveries import DELIVERIES, FORM, Delivery, event_1, event_2, form

TOKEN: Final = "12345"  # noqa: S105 - what the tests sign with
VERIFIER: Final = Verifier(tokens=TOKEN)
FIELDS: Final = {"AccountSid": "AC" + "a" * 32, "MessageSid": "SM" + "0" * 32, "MessageStatus": "sent"}
URL: Final = "https://abc.execute-api.eu-west-1.amazonaws.com/prod/sms/callback?send=s-1&message_uuid=m-1"


def _headers(url: str = URL) -> dict[str, str]:
    return {"Content-Type": FORM, "X-Twilio-Signature": RequestValidator(TOKEN).compute_signature(url, FIELDS)}


@pytest.mark.parametrize("deliver", DELIVERIES.values(), ids=DELIVERIES.keys())
def test_every_server_gives_the_same_request(deliver: Delivery) -> None:
    request = deliver(URL, form(FIELDS), _headers())
    assert (request.method, request.origin, request.path, request.body) == (
        "POST",
        "https://abc.execute-api.eu-west-1.amazonaws.com",
        "/prod/sms/callback",
        form(FIELDS),
    )
    assert "send=s-1&message_uuid=m-1" in request.queries
    assert request.headers["x-twilio-signature"] == _headers()["X-Twilio-Signature"]


# ---- API Gateway


def test_a_rest_api_keeps_its_stage_in_the_address_and_finds_the_order_of_the_query() -> None:
    event = event_1(URL, form(FIELDS), _headers(), stage="/prod")
    assert event["path"] == "/sms/callback"
    request = from_api_gateway(event)
    assert request.queries == ("message_uuid=m-1&send=s-1", "send=s-1&message_uuid=m-1")
    status = StatusCallback.of(VERIFIER.verify(request))
    assert (status.message_uuid, status.send_id) == ("m-1", "s-1")


def test_a_rest_api_behind_a_public_base_that_names_the_stage_is_verified_too() -> None:
    request = from_api_gateway(event_1(URL, form(FIELDS), _headers(), stage="/prod"))
    base = "https://abc.execute-api.eu-west-1.amazonaws.com/prod"
    assert Verifier(tokens=TOKEN, public_base=base).verify(request)


def test_a_repeated_key_of_the_query_keeps_the_order_of_its_values() -> None:
    url = "https://a.com/cb?b=2&a=x&a=&b=1"
    request = from_api_gateway(event_1(url, form(FIELDS), _headers(url)))
    assert request.queries == ("a=x&a=&b=2&b=1", "b=2&b=1&a=x&a=")


def test_a_query_of_many_names_is_tried_in_one_order_only() -> None:
    url = "https://a.com/cb?a=1&b=2&c=3&d=4&e=5"
    request = from_api_gateway(event_1(url, form(FIELDS), _headers(url)))
    assert request.queries == ("a=1&b=2&c=3&d=4&e=5",)
    assert VERIFIER.verify(request)


def test_a_rest_api_event_without_multi_values_or_domain_is_read_from_what_there_is() -> None:
    event = event_1(URL, form(FIELDS), _headers(), stage="/prod")
    del event["multiValueHeaders"], event["multiValueQueryStringParameters"], event["requestContext"]["domainName"]
    assert VERIFIER.verify(from_api_gateway(event)).one("MessageStatus") == "sent"


def test_a_custom_domain_whose_mapping_is_lost_is_verified_through_the_public_base() -> None:
    """Format 2.0 leaves out the mapping's own path: it has /sms/callback where Twilio called /v1/sms/callback."""
    called = "https://api.example.com/v1/sms/callback?send=s-1"
    event = event_2("https://api.example.com/sms/callback?send=s-1", form(FIELDS), _headers(called))
    with pytest.raises(Refused):
        VERIFIER.verify(from_api_gateway(event))
    assert Verifier(tokens=TOKEN, public_base="https://api.example.com/v1").verify(from_api_gateway(event))


@pytest.mark.parametrize("path", ["/sms%20x/%E2%82%AC", "/sms x/€"], ids=["encoded", "decoded"])
def test_a_path_is_encoded_once_whether_the_gateway_has_decoded_it_or_not(path: str) -> None:
    old, new = event_1(URL, form(FIELDS), _headers()), event_2(URL, form(FIELDS), _headers())
    old["requestContext"]["path"] = new["rawPath"] = path
    assert from_api_gateway(old).path == from_api_gateway(new).path == "/sms%20x/%E2%82%AC"


def test_a_header_that_is_no_text_is_refused() -> None:
    event = event_2(URL, form(FIELDS), {**_headers(), "X-Number": 1})  # type: ignore[dict-item]  # as a test console sends it
    with pytest.raises(Refused, match="403: malformed"):
        from_api_gateway(event)


@pytest.mark.parametrize("body", [form(FIELDS).decode(), "QUJD!", "QUJ"])
def test_a_body_that_is_not_base64_though_it_says_so_is_refused(body: str) -> None:
    event = {**event_2(URL, b"", _headers()), "body": body, "isBase64Encoded": True}
    with pytest.raises(Refused, match="403: malformed"):
        from_api_gateway(event)


@pytest.mark.parametrize("encoded", [True, False])
def test_an_event_with_too_large_a_body_is_refused_before_it_is_decoded(encoded: bool) -> None:  # noqa: FBT001 - the case
    body = b"A" * MAX_BODY
    event = event_2(URL, body, _headers(), encoded=encoded)
    assert from_api_gateway(event).body == body
    event["body"] = base64.b64encode(b"A" * (MAX_BODY + 3)).decode()
    with pytest.raises(Refused, match="413: too_large"):
        from_api_gateway(event)


# ---- ASGI


def _scope(**changes: Any) -> dict[str, Any]:
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": "/sms/€",
        "raw_path": b"/sms/%E2%82%AC",
        "query_string": b"a=%2B&a=",
        "headers": [(b"host", b"a.com"), (b"accept", b"*/*"), (b"x-a", b"1"), (b"X-A", b"\xe9")],
    }
    return {name: value for name, value in {**scope, **changes}.items() if value is not None}


def test_path_and_query_stay_as_they_travelled_and_repeated_headers_are_joined() -> None:
    request = from_asgi(_scope(), b"x")
    assert (request.origin, request.path, request.queries) == ("https://a.com", "/sms/%E2%82%AC", ("a=%2B&a=",))
    assert request.headers["x-a"] == "1,\xe9"


def test_a_server_without_a_raw_path_has_it_encoded_again_and_one_with_the_query_in_it_is_understood() -> None:
    assert from_asgi(_scope(raw_path=None), b"").path == "/sms/%E2%82%AC"
    assert from_asgi(_scope(raw_path=b"/sms/x?a=1"), b"").path == "/sms/x"


def test_forwarding_headers_change_nothing() -> None:
    forged = [
        (b"host", b"a.com"),
        (b"x-forwarded-host", b"evil.com"),
        (b"x-forwarded-proto", b"http"),
        (b"forwarded", b"host=e"),
    ]
    assert from_asgi(_scope(headers=forged), b"").origin == "https://a.com"


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": []},
        {"headers": [(b"host", b"a b")]},
        {"headers": [(b"host", b"\xe9.com")]},
        {"raw_path": b"/\xff"},
        {"raw_path": b"/a\nb"},
        {"query_string": b"\xff"},
        {"method": None},
    ],
)
def test_a_scope_that_no_request_has_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="403: malformed"):
        from_asgi(_scope(**changes), b"")


def _receiving(*events: MutableMapping[str, Any]) -> Callable[[], Awaitable[MutableMapping[str, Any]]]:
    remaining = iter(events)

    async def receive() -> MutableMapping[str, Any]:
        return next(remaining)

    return receive


async def test_a_body_arrives_in_pieces() -> None:
    pieces = _receiving(
        {"type": "http.request", "body": b"a=1", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"&b=2"},
    )
    assert await asgi_body(pieces) == b"a=1&b=2"


async def test_an_endless_body_is_refused_at_the_cap() -> None:
    read = 0

    async def receive() -> MutableMapping[str, Any]:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

    with pytest.raises(Refused, match="413: too_large"):
        await asgi_body(receive)
    assert read == MAX_BODY // 1024 + 1


async def test_a_caller_who_hangs_up_is_refused() -> None:
    with pytest.raises(Refused, match="403: malformed"):
        await asgi_body(
            _receiving({"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"})
        )


# ---- anything at all

JSONS: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WHOLE: Final = (event_1(URL, form(FIELDS), _headers()), event_2(URL, form(FIELDS), _headers()))
CONTEXTS: Final = st.fixed_dictionaries({"http": JSONS, "domainName": JSONS, "path": JSONS})
EVENTS: Final = st.builds(
    lambda whole, changes, context: {**whole, **changes, **context},
    st.sampled_from([*WHOLE, {}]),
    st.dictionaries(st.sampled_from(sorted({*WHOLE[0], *WHOLE[1]})), JSONS, max_size=3),
    st.just({}) | st.fixed_dictionaries({"requestContext": CONTEXTS}),
)


def _read(make: Callable[[], Any]) -> None:
    """Reads it as both kinds; nothing but the refusal may come out."""
    for kind in (StatusCallback, InboundMessage):
        try:
            kind.of(VERIFIER.verify(make()))
        except Refused as refused:
            answer = (refused.status, refused.word)
            statuses = {Fault.METHOD: 405, Fault.TOO_LARGE: 413, Fault.CONTENT_TYPE: 415}
            assert answer == (statuses.get(Fault(refused.word), 403), refused.word)  # noqa: PT017 - any refusal will do


@given(EVENTS)
def test_no_event_raises_anything_but_the_refusal(event: dict[str, Any]) -> None:
    _read(lambda: from_api_gateway(event))


HEADERS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"host",
                b"content-type",
                b"x-twilio-signature",
                b"x-twilio-webhooks-signature-settings",
                b"i-twilio-idempotency-token",
            ]
        ),
        st.sampled_from([b"", b"a.com", FORM.encode(), b"application/json", b"key=k,algorithm=HMAC_SHA256"])
        | st.binary(max_size=12),
    ),
    max_size=8,
)


@given(
    HEADERS,
    st.binary(max_size=64) | st.text(max_size=32).map(str.encode),
    st.binary(max_size=16),
    st.binary(max_size=16),
)
def test_no_bytes_raise_anything_but_the_refusal(
    headers: list[tuple[bytes, bytes]], body: bytes, path: bytes, query: bytes
) -> None:
    _read(
        lambda: from_asgi(
            _scope(headers=[(b"host", b"a.com"), *headers], raw_path=b"/" + path, query_string=query), body
        )
    )


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z]{1,8}|MessageSid|NumMedia|ErrorCode", fullmatch=True), st.text(max_size=8))
)
def test_no_signed_form_raises_anything_but_the_refusal(changes: dict[str, str]) -> None:
    fields = {**FIELDS, "From": "+1", "To": "+2", **{name: value for name, value in changes.items() if _encodes(value)}}
    signature = RequestValidator(TOKEN).compute_signature(URL, fields)
    headers = {"Content-Type": FORM, "X-Twilio-Signature": signature}
    _read(lambda: DELIVERIES["asgi"](URL, form(fields), headers))


def _encodes(text: str) -> bool:
    return all(not 0xD800 <= ord(character) <= 0xDFFF for character in text)
