"""An ASGI server in a few lines, and requests that Twilio might have made."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from starlette.types import ASGIApp

TOKEN: Final = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of no account
NOW_NS: Final = int(datetime(2026, 11, 20, 9, 30, tzinfo=UTC).timestamp()) * 1_000_000_000
ACCOUNT: Final = "AC" + "a" * 32
BASE: Final = "https://example.com"
PHONE: Final = "+14155550123"
OURS: Final = "+14155550199"
FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One request, ready to be sent; a test may change it first."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def sid(number: int) -> str:
    return f"SM{number:032x}"


def signed(url: str, fields: Mapping[str, str], *, token: str = TOKEN) -> Posted:
    """The form as Twilio posts it, signed by its own rule, written out here once more."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {
        "content-type": FORM,
        "x-twilio-signature": signature,
        "i-twilio-idempotency-token": hashlib.sha256(text.encode()).hexdigest()[:32],
    }
    return Posted(url=url, body=urlencode(fields).encode(), headers=headers)


def callback(
    number: int,
    status: str,
    *,
    message_uuid: str | None = None,
    send: str | None = None,
    token: str = TOKEN,
    base: str = BASE,
    **more: str,
) -> Posted:
    """The status callback of the message of that number."""
    known = {"message_uuid": message_uuid, "send": send}
    query = "&".join(f"{name}={quote(value)}" for name, value in known.items() if value)
    fields = {
        "MessageSid": sid(number),
        "SmsSid": sid(number),
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": ACCOUNT,
        "From": OURS,
        "To": PHONE,
        "ApiVersion": "2010-04-01",
        **more,
    }
    return signed(f"{base}/sms/callback" + (f"?{query}" if query else ""), fields, token=token)


def inbound(
    number: int, body: str = "Where is my parcel?", *, token: str = TOKEN, base: str = BASE, **more: str
) -> Posted:
    """The webhook of a message that somebody sent to us."""
    fields = {
        "MessageSid": sid(number),
        "SmsSid": sid(number),
        "SmsMessageSid": sid(number),
        "SmsStatus": "received",
        "AccountSid": ACCOUNT,
        "From": PHONE,
        "To": OURS,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
        "FromCity": "",
        "FromCountry": "US",
        "ToCountry": "US",
        "ApiVersion": "2010-04-01",
        **more,
    }
    return signed(f"{base}/sms/inbound", fields, token=token)


async def send(app: ASGIApp, request: Posted, *, pieces: Iterable[bytes] | None = None) -> Answer:
    """The request through the app as a server would hand it over; `pieces` are the chunks of a body without length."""
    parts = urlsplit(request.url)
    headers = {"host": parts.netloc, **request.headers}
    if pieces is None:
        headers["content-length"] = str(len(request.body))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme or "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "root_path": "",
        "query_string": parts.query.encode(),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    return await send_scope(app, scope, [request.body] if pieces is None else pieces)


async def send_scope(app: ASGIApp, scope: MutableMapping[str, Any], pieces: Iterable[bytes]) -> Answer:
    coming = _events(pieces)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(coming, {"type": "http.disconnect"})

    async def take(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    await app(scope, receive, take)
    start = sent[0]
    return Answer(
        start["status"],
        {name.decode().lower(): value.decode() for name, value in start["headers"]},
        b"".join(event.get("body", b"") for event in sent[1:]),
    )


def _events(pieces: Iterable[bytes]) -> Iterator[MutableMapping[str, Any]]:
    for piece in pieces:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


async def send_all(app: ASGIApp, requests: Iterable[Posted], *, at_once: int = 64) -> list[Answer]:
    """Every request, that many at a time; the answers in the order of the requests."""
    turn = asyncio.Semaphore(at_once)

    async def one(request: Posted) -> Answer:
        async with turn:
            return await send(app, request)

    return await asyncio.gather(*map(one, requests))


@asynccontextmanager
async def running(app: Any) -> AsyncIterator[None]:
    """The app's lifespan."""
    async with getattr(app, "router", app).lifespan_context(app):
        yield
