"""Whatever arrives is answered, and never with a fault of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Router

from costtrace.ledger import SqliteLedger
from costtrace.recorder import Recorder
from costtrace.twilio import NumberHasher
from costtrace.twilio.signature import Verifier
from costtrace.web import SmsWebhooks, create_app
from tests.web.conftest import KEY
from tests.web.parts import ACCOUNT, BASE, OURS, PHONE, TOKEN, send, send_scope, sid, signed

_FIELDS = st.sampled_from(
    ["MessageSid", "MessageStatus", "AccountSid", "From", "To", "Body", "NumMedia", "NumSegments", "ErrorCode"]
)
_MORE_FIELDS = st.sampled_from(
    ["MediaUrl0", "MediaContentType0", "OptOutType", "RawDlrDoneDate", "ApiVersion", "MessagingServiceSid"]
)
_WORDS = st.one_of(
    st.sampled_from(
        ["", "0", "999", "-1", "sent", "delivered", sid(1), ACCOUNT, PHONE, "whatsapp:" + PHONE, "rcs:x_agent"]
    )
    | st.sampled_from(["55555", "MYSHOP", "messenger:123", "2010-04-01", "https://api.twilio.com/m", "image/png"]),
    st.text(max_size=40),
)
_CHANGES = st.dictionaries(_FIELDS | _MORE_FIELDS, _WORDS | st.none(), max_size=8)
_VALID = {"MessageSid": sid(1), "MessageStatus": "sent", "AccountSid": ACCOUNT, "From": PHONE, "To": OURS, "Body": "x"}
_PATHS = st.sampled_from(["/sms/inbound", "/sms/callback"])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    path: Path = tmp_path_factory.mktemp("fuzz") / "costs.db"
    recorder = Recorder(SqliteLedger(path))
    verifier = Verifier(tokens=TOKEN, public_base=BASE)
    yield create_app(recorder, SmsWebhooks(recorder, verifier, hasher=NumberHasher(KEY), on_inbound=lambda *_: None))
    recorder.close()


@given(
    path=_PATHS,
    changes=st.dictionaries(_FIELDS | _MORE_FIELDS, _WORDS | st.none(), max_size=8),
    query=st.text(max_size=40),
)
def test_what_twilio_itself_signs_is_stored_or_refused(
    app: Router, path: str, changes: dict[str, str | None], query: str
) -> None:
    fields = {name: value for name, value in {**_VALID, **changes}.items() if value is not None}
    request = signed(f"{BASE}{path}?message_uuid={query.encode().hex()}", fields)

    answer = asyncio.run(send(app, request))

    assert answer.status in {200, 204, 403}
    assert answer.body == b"" or answer.status == 200


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", ""])
    | st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8),
    path=st.sampled_from(["/sms/inbound", "/sms/callback", "/healthz", "/sms", "/sms/callback/", "/"])
    | st.text(max_size=20),
    query=st.binary(max_size=40),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"content-type", b"x-twilio-signature", b"content-length", b"host", b"x-forwarded-host"])
            | st.sampled_from([b"x-twilio-webhooks-signature-settings", b"transfer-encoding", b"expect"])
            | st.binary(max_size=10),
            st.sampled_from([b"application/json", b"application/x-www-form-urlencoded", b"key=a,algorithm=none"])
            | st.binary(max_size=30),
        ),
        max_size=8,
    ),
    pieces=st.lists(st.binary(max_size=200), max_size=4),
    raw_path=st.none() | st.binary(max_size=20),
    scheme=st.sampled_from(["http", "https", "", "ws"]),
)
def test_any_request_is_answered(  # noqa: PLR0917 - hypothesis gives them by name
    app: Router,
    method: str,
    path: str,
    query: bytes,
    headers: list[tuple[bytes, bytes]],
    pieces: list[bytes],
    raw_path: bytes | None,
    scheme: str,
) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": raw_path,
        "root_path": "",
        "scheme": scheme,
        "query_string": query,
        "headers": headers,
    }
    answer = asyncio.run(send_scope(app, scope, pieces))
    assert answer.status in {200, 403, 404, 405, 413, 415}
    assert path == "/healthz" or answer.status != 200
