"""Who gets in: Twilio's own vectors through every adapter, and nobody else."""

from __future__ import annotations

import base64
import hmac
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from twilio.request_validator import HMAC_SHA256, RequestValidator

from costtrace.errors import InvalidValue
from costtrace.twilio.requests import MAX_BODY, Refused, WebhookRequest
from costtrace.twilio.signature import Verified, Verifier, _decoded
from costtrace.twilio.webhooks import InboundMessage, StatusCallback
from tests.twilio.deliveries import DELIVERIES, FORM, JSON, Delivery, by_asgi, escaped, form

TOKEN: Final = "12345"  # noqa: S105 - of the published vectors
ORIGIN: Final = "https://mycompany.com"
URL: Final = f"{ORIGIN}/myapp.php?foo=1&bar=2"
CALL: Final = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
SIGNED: Final = "RSOYDt4T1cUTdK1PDd93/VVr8B8="

MAIN: Final = "AC" + "a" * 32
SUB: Final = "AC" + "b" * 32
CALLBACK_URL: Final = "https://sms.example.com/sms/callback?message_uuid=019aab3f-2c6e-7d10-9a5b-3f0c2d1e4b5a&send=s-1"
CALLBACK: Final = {
    "AccountSid": MAIN,
    "ApiVersion": "2010-04-01",
    "ErrorCode": "30007",
    "From": "+15005550006",
    "MessageSid": "SM" + "0" * 32,
    "MessageStatus": "undelivered",
    "RawDlrDoneDate": "2611221200",
    "SmsSid": "SM" + "0" * 32,
    "SmsStatus": "undelivered",
    "To": "+15005550010",
}
INBOUND_URL: Final = "https://sms.example.com/sms/inbound"
INBOUND: Final = {
    "AccountSid": MAIN,
    "ApiVersion": "2010-04-01",
    "Body": " hello ",
    "From": "+15005550010",
    "FromCity": "",
    "MessageSid": "SM" + "1" * 32,
    "NumMedia": "0",
    "NumSegments": "1",
    "SmsStatus": "received",
    "To": "+15005550006",
}

deliveries = pytest.mark.parametrize("deliver", DELIVERIES.values(), ids=DELIVERIES.keys())


class _Multi(dict[str, list[str]]):
    """A multi-dict as the official validator takes it."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


def _multi(pairs: Sequence[tuple[str, str]]) -> _Multi:
    multi = _Multi()
    for name, value in pairs:
        multi.setdefault(name, []).append(value)
    return multi


def _sign(url: str, pairs: Any, token: str = TOKEN, algorithm: str | None = None) -> str:
    params = pairs if isinstance(pairs, dict) else _multi(pairs)
    return str(RequestValidator(token).compute_signature(url, params, algorithm))


def _accepts(url: str, pairs: Any, signature: str, token: str, algorithm: str | None = None) -> bool:
    return bool(RequestValidator(token).validate(url, _multi(pairs), signature, algorithm))


def _headers(signature: str, content_type: str = FORM, **more: str) -> dict[str, str]:
    return {"Content-Type": content_type, "X-Twilio-Signature": signature, **more}


def _signed(
    url: str = CALLBACK_URL, fields: Mapping[str, str] = CALLBACK, signed_by: str = TOKEN, deliver: Delivery = by_asgi
) -> WebhookRequest:
    return deliver(url, form(fields), _headers(_sign(url, dict(fields), signed_by)))


def _refused(verifier: Verifier, request: WebhookRequest) -> tuple[int, str]:
    with pytest.raises(Refused) as refused:
        verifier.verify(request)
    return refused.value.status, refused.value.word


VERIFIER: Final = Verifier(tokens=TOKEN)


# ---- Twilio's own vectors, published with its Python library


@deliveries
def test_the_official_vector_is_accepted(deliver: Delivery) -> None:
    verified = VERIFIER.verify(deliver(URL, form(CALL), _headers(SIGNED)))
    assert {name: verified.one(name) for name in verified.fields} == CALL
    assert (verified.asked("foo"), verified.asked("bar")) == ("1", "2")


@deliveries
def test_the_official_vector_with_a_repeated_parameter_is_accepted(deliver: Delivery) -> None:
    pairs = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234")]
    verified = VERIFIER.verify(deliver(URL, form(pairs), _headers("IK+Dwps556ElfBT0I3Rgjkr1wJU=")))
    assert tuple(verified.fields["Digits"]) == ("5678", "1234")


@deliveries
@pytest.mark.parametrize(
    ("origin", "signature"),
    [
        ("https://mycompany.com:1234", SIGNED),
        ("http://mycompany.com:1234", "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        ("https://mycompany.com", "kvajT1Ptam85bY51eRf/AJRuM3w="),
        ("http://mycompany.com", "0ZXoZLH/DfblKGATFgpif+LLRf4="),
    ],
    ids=["https removed", "http kept", "443 added", "80 added"],
)
def test_the_official_vectors_of_ports_are_accepted(deliver: Delivery, origin: str, signature: str) -> None:
    request = deliver(URL.replace(ORIGIN, origin), form(CALL), _headers(signature))
    assert Verifier(tokens=TOKEN, public_base=origin).verify(request).one("Digits") == "1234"


@deliveries
def test_the_official_vector_of_a_json_body_is_accepted(deliver: Delivery) -> None:
    body = b'{"property": "value", "boolean": true}'
    url = f"{URL}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
    verified = VERIFIER.verify(deliver(url, body, _headers("a9nBmqA0ju/hNViExpshrM61xv4=", JSON)))
    assert {name: tuple(values) for name, values in verified.fields.items()} == {
        "property": ("value",),
        "boolean": ("true",),
    }


@deliveries
@pytest.mark.parametrize("algorithm", ["HMAC_SHA256", "hmac_sha256", "HMAC_SHA1"])
def test_a_shared_key_signs_with_the_algorithm_its_header_names(deliver: Delivery, algorithm: str) -> None:
    signature = _sign(CALLBACK_URL, CALLBACK, "shared secret", algorithm)
    settings = f"key=webhooks_sharedkey_1, algorithm={algorithm}"
    headers = _headers(signature, **{"X-Twilio-Webhooks-Signature-Settings": settings})
    verifier = Verifier(shared_keys={"webhooks_sharedkey_1": "shared secret"})
    assert verifier.verify(deliver(CALLBACK_URL, form(CALLBACK), headers)).one("ErrorCode") == "30007"


def test_sha_256_is_what_the_standard_library_computes_of_the_text_written_out() -> None:
    text = b"https://example.com/cb" + b"AccountSid" + MAIN.encode() + b"Body" + b"" + b"To" + b"+1"
    signature = base64.b64encode(hmac.new(b"secret", text, sha256).digest()).decode()
    headers = _headers(signature, **{"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"})
    body = f"To=%2B1&Body=&AccountSid={MAIN}".encode()
    assert Verifier(shared_keys={"k": "secret"}).verify(by_asgi("https://example.com/cb", body, headers))


# ---- the same answer as the official validator

NAMES: Final = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
VALUES: Final = st.text(st.characters(codec="utf-8"), max_size=12)
PAIRS: Final = st.lists(st.tuples(NAMES, VALUES), max_size=8)
ADDRESSES: Final = st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "https"]),
    st.sampled_from(["example.com", "sms-1.example.co.uk", "127.0.0.1", "Example.COM"]),
    st.sampled_from(["", ":80", ":443", ":8443"]),
    st.sampled_from(["/", "/sms/callback", "/prod/sms%20x/a+b", "/%E2%82%AC"]),
    st.sampled_from(["", "?message_uuid=1", "?a=1&b=&a=%2B", "?plan=a%20b&x=%ff", "?x=1&&y==2"]),
)
SECRETS: Final = st.from_regex(r"[0-9a-f]{8}", fullmatch=True)


@given(ADDRESSES, ADDRESSES, PAIRS, PAIRS, SECRETS, SECRETS, st.sampled_from([None, HMAC_SHA256]), st.integers(0, 15))
def test_the_verdict_is_the_official_validators(  # noqa: PLR0917 - one strategy each
    url: str,
    other_url: str,
    pairs: list[tuple[str, str]],
    other_pairs: list[tuple[str, str]],
    token: str,
    other_token: str,
    algorithm: str | None,
    changed: int,
) -> None:
    """Whatever is signed and whatever of it arrives changed: address, parameters, token, algorithm."""
    signature = _sign(
        other_url if changed & 1 else url,
        other_pairs if changed & 2 else pairs,
        other_token if changed & 4 else token,
        HMAC_SHA256 if changed & 8 else algorithm,
    )
    assume(all(name != "AccountSid" for name, _ in pairs))
    settings = {} if algorithm is None else {"X-Twilio-Webhooks-Signature-Settings": f"key=k,algorithm={algorithm}"}
    verifier = Verifier(tokens=token, shared_keys={"k": token})
    request = by_asgi(url, form(pairs), _headers(signature, **settings))
    if _accepts(url, pairs, signature, token, algorithm):
        assert verifier.verify(request)
    else:
        assert _refused(verifier, request) == (403, "signature")


@given(st.text(st.characters(codec="utf-8"), max_size=40) | st.text("ab&=+%2fe9;", max_size=40))
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    expected: dict[str, list[str]] = {}
    try:
        for name, value in parse_qsl(text, keep_blank_values=True, errors="strict"):
            expected.setdefault(name, []).append(value)
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            _decoded(text, errors="strict")
    else:
        assert {name: list(values) for name, values in _decoded(text, errors="strict").items()} == expected


# ---- whoever is not Twilio


def _mutated(text: str, at: int, by: str) -> str:
    at %= len(text)
    return text[:at] + by + text[at + 1 :]


@given(st.integers(0, 500), st.sampled_from("0aZ-%./&=?~"))
def test_any_change_of_the_address_is_refused(at: int, by: str) -> None:
    path = CALLBACK_URL.removeprefix("https://sms.example.com/")
    url = f"https://sms.example.com/{_mutated(path, at, by)}"
    assume(url != CALLBACK_URL)
    request = by_asgi(url, form(CALLBACK), _headers(_sign(CALLBACK_URL, CALLBACK)))
    assert _refused(VERIFIER, request) == (403, "signature")


@given(st.sampled_from(sorted(CALLBACK)), st.integers(0, 40), st.sampled_from("0aZ + é"), st.integers(0, 2))
def test_any_change_of_a_parameter_is_refused(name: str, at: int, by: str, how: int) -> None:
    changes: dict[int, dict[str, str]] = {
        0: {**CALLBACK, name: _mutated(CALLBACK[name], at, by)},
        1: {key: value for key, value in CALLBACK.items() if key != name},
        2: {**CALLBACK, f"{name}{by.strip() or 'X'}".replace("+", "Y").replace("é", "Z"): CALLBACK[name]},
    }
    assume(changes[how] != CALLBACK)
    request = by_asgi(CALLBACK_URL, form(changes[how]), _headers(_sign(CALLBACK_URL, CALLBACK)))
    assert _refused(VERIFIER, request)[0] == 403


@given(
    st.text(st.characters(codec="latin-1"), max_size=40) | st.integers(0, 27).map(lambda at: _mutated(SIGNED, at, "0"))
)
def test_any_other_signature_is_refused(signature: str) -> None:
    assume(signature != SIGNED)
    status, word = _refused(VERIFIER, by_asgi(URL, form(CALL), _headers(signature)))
    assert (status, word) == (403, "signature" if signature else "no_signature")


@given(st.text(min_size=1, max_size=20))
def test_any_other_token_is_refused(token: str) -> None:
    assume(token not in {TOKEN, ""} and token == token.strip() and token.isprintable())
    assert _refused(Verifier(tokens=token), _signed()) == (403, "signature")


@deliveries
def test_blank_parameters_and_outer_spaces_are_signed_too(deliver: Delivery) -> None:
    verified = VERIFIER.verify(_signed(INBOUND_URL, INBOUND, deliver=deliver))
    assert (verified.fields["FromCity"], InboundMessage.of(verified).body) == (("",), " hello ")
    without = {name: value for name, value in INBOUND.items() if value}
    stripped = {name: value.strip() for name, value in INBOUND.items()}
    for changed in (without, stripped):
        request = deliver(INBOUND_URL, form(changed), _headers(_sign(INBOUND_URL, INBOUND)))
        assert _refused(VERIFIER, request) == (403, "signature")


@deliveries
@pytest.mark.parametrize("text", ["Grüße 👋 €", "a b+c&d=e;f", "%41", "", "\u2028\x00"])
def test_every_text_survives_its_way_through_the_form(deliver: Delivery, text: str) -> None:
    verified = VERIFIER.verify(_signed(INBOUND_URL, {**INBOUND, "Body": text}, deliver=deliver))
    assert InboundMessage.of(verified).body == text


# ---- several secrets


def test_old_and_new_token_stand_side_by_side_during_a_rotation() -> None:
    rotating = Verifier(tokens=("new", "old"))
    for token in ("old", "new"):
        assert rotating.verify(_signed(signed_by=token)).one("AccountSid") == MAIN
    assert _refused(Verifier(tokens=("new",)), _signed(signed_by="old")) == (403, "signature")


def test_a_sub_account_signs_with_its_own_token_and_never_with_its_parents() -> None:
    verifier = Verifier(accounts={MAIN: "main token", SUB: ("sub token", "next sub token")})
    of_sub = {**CALLBACK, "AccountSid": SUB}
    assert verifier.verify(_signed(fields=CALLBACK, signed_by="main token"))
    for token in ("sub token", "next sub token"):
        assert verifier.verify(_signed(fields=of_sub, signed_by=token)).one("AccountSid") == SUB
    assert _refused(verifier, _signed(fields=of_sub, signed_by="main token")) == (403, "signature")
    assert _refused(verifier, _signed(fields=CALLBACK, signed_by="sub token")) == (403, "signature")


def test_an_account_without_a_token_is_refused_and_one_of_its_own_takes_no_other() -> None:
    unknown = _signed(fields={**CALLBACK, "AccountSid": SUB}, signed_by="main token")
    assert _refused(Verifier(accounts={MAIN: "main token"}), unknown) == (403, "unknown_account")
    both = Verifier(tokens="any", accounts={MAIN: "main token"})
    assert both.verify(_signed(fields={**CALLBACK, "AccountSid": SUB}, signed_by="any"))
    assert _refused(both, _signed(signed_by="any")) == (403, "signature")


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ("key=k,algorithm=HMAC_MD5", "algorithm"),
        ("key=k,algorithm=", "algorithm"),
        ("key=k", "algorithm"),
        ("nonsense", "algorithm"),
        ("key=k,algorithm=HMAC_SHA256,algorithm=HMAC_SHA1", "algorithm"),
        ("key=k,key=k,algorithm=HMAC_SHA256", "algorithm"),
        ("key=other,algorithm=HMAC_SHA256", "unknown_key"),
        ("key=,algorithm=HMAC_SHA256", "unknown_key"),
        ("algorithm=HMAC_SHA1", "unknown_key"),
    ],
)
def test_signature_settings_that_are_not_exactly_known_are_refused(settings: str, word: str) -> None:
    verifier = Verifier(tokens=TOKEN, shared_keys={"k": TOKEN})
    headers = _headers(_sign(CALLBACK_URL, CALLBACK), **{"X-Twilio-Webhooks-Signature-Settings": settings})
    assert _refused(verifier, by_asgi(CALLBACK_URL, form(CALLBACK), headers)) == (403, word)


def test_a_shared_key_and_a_token_are_not_interchangeable() -> None:
    verifier = Verifier(tokens="token", shared_keys={"k": "secret"})
    named = {"X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}
    by_token = _headers(_sign(CALLBACK_URL, CALLBACK, "token", HMAC_SHA256), **named)
    by_key_without_header = _headers(_sign(CALLBACK_URL, CALLBACK, "secret"))
    for headers in (by_token, by_key_without_header):
        assert _refused(verifier, by_asgi(CALLBACK_URL, form(CALLBACK), headers)) == (403, "signature")


# ---- what refuses before anything is compared


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"method": "GET"}, (405, "method")),
        ({"method": "post"}, (405, "method")),
        ({"body": b"A=" + b"x" * MAX_BODY}, (413, "too_large")),
        ({"content_type": "text/plain"}, (415, "content_type")),
        ({"content_type": "multipart/form-data; boundary=x"}, (415, "content_type")),
        ({"content_type": f"{FORM}; charset=iso-8859-1"}, (415, "content_type")),
        ({"content_type": None}, (415, "content_type")),
        ({"signature": None}, (403, "no_signature")),
        ({"signature": ""}, (403, "no_signature")),
        ({"body": b"Body=%ff"}, (403, "malformed")),
        ({"body": b"Body=\xff"}, (403, "malformed")),
        ({"body": b"&".join([b"A=1"] * 600)}, (403, "malformed")),
        ({"body": b"%3Fa=1"}, (403, "malformed")),
        ({"body": b"AccountSid=a&AccountSid=b"}, (403, "field")),
        ({"body": b""}, (403, "signature")),
    ],
)
def test_what_no_webhook_looks_like_is_refused(changes: dict[str, Any], answer: tuple[int, str]) -> None:
    named = {"content-type": changes.get("content_type", FORM), "x-twilio-signature": changes.get("signature", "x")}
    request = WebhookRequest(
        method=changes.get("method", "POST"),
        origin="https://example.com",
        path="/sms/callback",
        headers={name: value for name, value in named.items() if value is not None},
        body=changes.get("body", b"AccountSid=x"),
    )
    assert _refused(VERIFIER, request) == answer


def test_the_largest_body_is_still_read() -> None:
    fields = {"Body": "x" * (MAX_BODY - len("Body="))}
    assert len(form(fields)) == MAX_BODY
    assert VERIFIER.verify(_signed(INBOUND_URL, fields))


@pytest.mark.parametrize("given_type", ["Application/X-WWW-Form-Urlencoded", f'{FORM}; charset="UTF-8"', f"{FORM};"])
def test_the_content_type_may_be_written_as_http_allows(given_type: str) -> None:
    request = by_asgi(CALLBACK_URL, form(CALLBACK), _headers(_sign(CALLBACK_URL, CALLBACK), given_type))
    assert VERIFIER.verify(request)


@pytest.mark.parametrize(
    "origin", ["ftp://a.com", "https://", "https://a.com:", "https://a.com:x", "https://u@a.com", "//a.com"]
)
def test_an_origin_no_server_has_is_refused(origin: str) -> None:
    headers = {"content-type": FORM, "x-twilio-signature": SIGNED}
    request = WebhookRequest(method="POST", origin=origin, path="/", headers=headers, body=form(CALL))
    assert _refused(VERIFIER, request) == (403, "malformed")


@pytest.mark.parametrize(
    ("sent", "kept"), [("4d1b6f5e-0", "4d1b6f5e-0"), ("", None), ("a b", None), ("\xe9", None), ("x" * 129, None)]
)
def test_the_retry_token_is_kept_where_it_looks_like_one(sent: str, kept: str | None) -> None:
    headers = _headers(_sign(CALLBACK_URL, CALLBACK), **{"I-Twilio-Idempotency-Token": sent})
    assert VERIFIER.verify(by_asgi(CALLBACK_URL, form(CALLBACK), headers)).idempotency_token == kept


def test_two_signatures_are_none() -> None:
    scope_headers = {"X-Twilio-Signature": f"{SIGNED},{SIGNED}", "Content-Type": FORM}
    assert _refused(VERIFIER, by_asgi(URL, form(CALL), scope_headers)) == (403, "signature")


# ---- JSON


def _json_request(
    body: bytes, *, hashed: bytes | None = None, query: str = "?a=1&", sign: bool = True
) -> WebhookRequest:
    url = f"{INBOUND_URL}{query}bodySHA256={sha256(body if hashed is None else hashed).hexdigest()}"
    return by_asgi(url, body, _headers(_sign(url if sign else INBOUND_URL, {}), JSON))


def test_a_json_body_is_covered_by_its_hash_in_the_signed_address() -> None:
    body = json.dumps({**INBOUND, "NumMedia": 0, "Nested": {"Body": "no"}, "None": None}).encode()
    message = InboundMessage.of(VERIFIER.verify(_json_request(body)))
    assert (message.message_sid, message.body, message.num_media) == (INBOUND["MessageSid"], " hello ", 0)
    assert _refused(VERIFIER, _json_request(body + b" ", hashed=body)) == (403, "body_hash")
    assert _refused(VERIFIER, _json_request(body, sign=False)) == (403, "signature")
    twice = f"?bodySHA256={sha256(body).hexdigest()}&"
    assert _refused(VERIFIER, _json_request(body, query=twice)) == (403, "body_hash")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'[["AccountSid", "x"]]',
        b"1",
        b"\xff",
        b"[" * 60_000,
        b'{"Body": "\\ud800"}',
        b'{"a":1e999999}x',
    ],
    ids=["empty", "open", "list", "pairs", "number", "bytes", "deep", "half a pair", "trailing"],
)
def test_json_that_is_no_object_of_texts_is_refused(body: bytes) -> None:
    assert _refused(VERIFIER, _json_request(body)) == (403, "malformed")


def test_json_of_more_fields_than_any_message_has_is_refused() -> None:
    fields = {f"Name{number}": "" for number in range(512)}
    assert VERIFIER.verify(_json_request(json.dumps(fields).encode()))
    assert _refused(VERIFIER, _json_request(json.dumps({**fields, "More": ""}).encode())) == (403, "malformed")


def test_a_form_cannot_pass_as_json_nor_json_as_a_form() -> None:
    signature = _sign(CALLBACK_URL, CALLBACK)
    assert _refused(VERIFIER, by_asgi(CALLBACK_URL, form(CALLBACK), _headers(signature, JSON))) == (403, "body_hash")
    body = json.dumps(CALLBACK).encode()
    url = f"{CALLBACK_URL}&bodySHA256={sha256(body).hexdigest()}"
    as_form = by_asgi(url, form(CALLBACK), _headers(_sign(url, {})))
    assert _refused(VERIFIER, as_form) == (403, "signature")


# ---- one signature, several readings: what the validator alone would let through


def _status(url: str, pairs: Sequence[tuple[str, str]], signature: str) -> StatusCallback:
    return StatusCallback.of(VERIFIER.verify(by_asgi(url, form(pairs), _headers(signature))))


def test_no_parameter_can_move_into_the_address() -> None:
    signature = _sign(CALLBACK_URL, CALLBACK)
    pairs = sorted(CALLBACK.items())
    for moved in range(1, len(pairs) + 1):
        url = CALLBACK_URL + "".join(name + value for name, value in pairs[:moved])
        assert _accepts(url, pairs[moved:], signature, TOKEN)
        with pytest.raises(Refused):
            _status(url, pairs[moved:], signature)


def test_no_part_of_the_address_can_move_into_the_parameters() -> None:
    signature = _sign(CALLBACK_URL, CALLBACK)
    for cut in range(len("https://sms.example.com"), len(CALLBACK_URL)):
        url, tail = CALLBACK_URL[:cut], CALLBACK_URL[cut:]
        with pytest.raises(Refused):
            _status(url, [(tail, ""), *CALLBACK.items()], signature)


def test_no_parameter_can_swallow_the_next_one_and_change_what_is_read() -> None:
    signature = _sign(CALLBACK_URL, CALLBACK)
    genuine = _status(CALLBACK_URL, list(CALLBACK.items()), signature)
    pairs = sorted(CALLBACK.items())
    for at in range(len(pairs) - 1):
        (name, value), (next_name, next_value) = pairs[at], pairs[at + 1]
        merged = [*pairs[:at], (name, value + next_name + next_value), *pairs[at + 2 :]]
        assert _accepts(CALLBACK_URL, merged, signature, TOKEN)
        try:
            read = _status(CALLBACK_URL, merged, signature)
        except Refused:
            continue
        # Only what nobody decides by can be lost: the carrier's date and numbers that nobody stores.
        for field in ("message_sid", "account_sid", "status", "error_code", "message_uuid", "send_id"):
            assert getattr(read, field) == getattr(genuine, field), (name, next_name)


def test_one_parameter_cannot_be_split_into_two_of_the_same_name() -> None:
    sent = {**INBOUND, "Body": "helloFrom+10000000000"}
    signature = _sign(INBOUND_URL, sent)
    split = [pair for pair in sent.items() if pair[0] != "Body"]
    split += [("Body", "hello"), ("From", "+10000000000")]
    assert _accepts(INBOUND_URL, split, signature, TOKEN)
    with pytest.raises(Refused) as refused:
        InboundMessage.of(VERIFIER.verify(by_asgi(INBOUND_URL, form(split), _headers(signature))))
    assert (refused.value.status, refused.value.word) == (403, "field")


# ---- the public address


def _via(public_base: str | None, seen: str, signed: str) -> Verified:
    request = by_asgi(seen, form(CALLBACK), _headers(_sign(signed, CALLBACK)))
    return Verifier(tokens=TOKEN, public_base=public_base).verify(request)


@pytest.mark.parametrize(
    ("public_base", "seen", "signed"),
    [
        (None, "https://a.com/cb?x=1", "https://a.com/cb?x=1"),
        (None, "http://a.com:8080/cb", "http://a.com:8080/cb"),
        (None, "http://[::1]:8080/cb", "http://[::1]:8080/cb"),
        ("https://a.com", "http://10.0.0.1:8000/cb?x=%2F", "https://a.com/cb?x=%2F"),
        ("https://a.com/", "http://10.0.0.1:8000/cb", "https://a.com/cb"),
        ("https://a.com:8443", "http://10.0.0.1:8000/cb", "https://a.com:8443/cb"),
        ("https://a.com:8443", "http://10.0.0.1:8000/cb", "https://a.com/cb"),
        ("https://a.com", "http://10.0.0.1:8000/cb", "https://a.com:443/cb"),
        ("https://a.com/prod", "http://10.0.0.1:8000/cb", "https://a.com/prod/cb"),
        ("https://a.com/prod", "http://10.0.0.1:8000/prod/cb", "https://a.com/prod/cb"),
        ("https://a.com/prod", "http://10.0.0.1:8000/prod?x=1", "https://a.com/prod?x=1"),
        ("https://a.com/prod/", "http://10.0.0.1:8000/production/cb", "https://a.com/prod/production/cb"),
    ],
)
def test_the_address_twilio_called_is_found(public_base: str | None, seen: str, signed: str) -> None:
    assert _via(public_base, seen, signed)


@pytest.mark.parametrize(
    ("public_base", "seen", "signed"),
    [
        (None, "http://a.com/cb", "https://a.com/cb"),
        (None, "https://A.com/cb", "https://a.com/cb"),
        (None, "https://a.com/cb", "https://a.com:8443/cb"),
        (None, "https://a.com/c%62", "https://a.com/cb"),
        (None, "https://a.com/cb?b=2&a=1", "https://a.com/cb?a=1&b=2"),
        (None, "https://a.com/cb?a=%41", "https://a.com/cb?a=A"),
        ("https://a.com", "https://b.com/cb", "https://b.com/cb"),
    ],
)
def test_any_other_address_is_refused(public_base: str | None, seen: str, signed: str) -> None:
    with pytest.raises(Refused, match="403: signature"):
        _via(public_base, seen, signed)


# ---- what cannot be constructed


@pytest.mark.parametrize(
    "secrets",
    [
        {},
        {"tokens": ""},
        {"tokens": ("good", "")},
        {"tokens": " padded "},
        {"tokens": "line\n"},
        {"tokens": (b"bytes",)},
        {"accounts": {MAIN: ()}},
        {"accounts": {MAIN: ""}},
        {"accounts": {"SK" + "a" * 32: "token"}},
        {"shared_keys": {"k": ""}},
    ],
)
def test_a_verifier_without_a_secret_cannot_be_made(secrets: dict[str, Any]) -> None:
    """The official validator takes the empty token, and then everybody can sign."""
    with pytest.raises(InvalidValue) as refused:
        Verifier(**secrets)
    assert "padded" not in str(refused.value)
    assert "good" not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://user:pw@example.com",
        "https://a.com?x",
        "https://a b",
    ],
)
def test_a_public_address_that_cannot_be_one_is_refused(address: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        Verifier(tokens=TOKEN, public_base=address)
    assert "pw" not in str(refused.value)


# ---- what is shown, and what is loaded


def test_neither_refusal_nor_value_shows_secret_number_text_or_signature() -> None:
    secret = "5f2b0c7e" * 4
    verifier = Verifier(tokens=secret, accounts={SUB: secret}, shared_keys={"k": secret})
    request = _signed(INBOUND_URL, {**INBOUND, "Body": "our secret plan"}, secret)
    verified = verifier.verify(request)
    forged = by_asgi(INBOUND_URL, form(INBOUND), _headers(SIGNED))
    with pytest.raises(Refused) as refused:
        verifier.verify(forged)
    shown = "".join(map(repr, (verifier, request, verified, InboundMessage.of(verified), refused.value)))
    shown += str(refused.value)
    for hidden in (secret, "+1500", "our secret plan", SIGNED, request.headers["x-twilio-signature"], escaped("+1500")):
        assert hidden not in shown


def test_a_function_that_only_answers_callbacks_loads_no_sdk() -> None:
    code = (
        "import sys, costtrace.twilio.webhooks\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'twilio', 'requests', 'aiohttp', 'jwt', 'starlette', 'langchain_core'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
