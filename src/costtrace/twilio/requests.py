"""One plain value for a webhook request, whichever server took it, and the one way to say no to it.

A signature covers the address exactly as Twilio wrote it, so path and query are kept as they travelled. Which origin
they belong to is known to the deployment alone; what the server saw of it stands here. No forwarding header is read: a
server that trusts its proxy puts the scheme right itself, and everybody else configures the public address.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import permutations
from typing import Any, Final
from urllib.parse import quote

from costtrace.errors import CostTraceError

MAX_BODY: Final = 64 * 1024
"""Bytes of a body that is looked at. The longest message, every byte of it escaped, takes a third of that."""

_MAX_REORDERED: Final = 4
_BASE64_OF_MAX_BODY: Final = (MAX_BODY + 2) // 3 * 4
_ADDRESS: Final = re.compile(r"[\x21-\x7e]*")

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class Fault(StrEnum):
    """Why a request was refused: a word for counters and logs, never for the caller."""

    METHOD = "method"
    TOO_LARGE = "too_large"
    CONTENT_TYPE = "content_type"
    MALFORMED = "malformed"
    """The request, its address or its body cannot be read."""
    NO_SIGNATURE = "no_signature"
    ALGORITHM = "algorithm"
    """The signature settings name none that is allowed, or cannot be read."""
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_ACCOUNT = "unknown_account"
    BODY_HASH = "body_hash"
    SIGNATURE = "signature"
    FIELD = "field"
    """Signed, and yet a field is missing, given twice, or not of the form it always has."""


_STATUS: Final[Mapping[Fault, int]] = {Fault.METHOD: 405, Fault.TOO_LARGE: 413, Fault.CONTENT_TYPE: 415}


class Refused(CostTraceError):  # noqa: N818 - names what happened, as the other errors do
    """The request is answered with `status` and an empty body; nothing of it was kept."""

    def __init__(self, fault: Fault) -> None:
        self.status: int = _STATUS.get(fault, 403)
        """What to answer: 403, or 405, 413, 415 where that says no more than the request itself did."""
        self.word: str = fault.value
        """Why, for the operator. It quotes nothing of the request."""
        super().__init__(f"webhook refused with {self.status}: {self.word}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRequest:
    """What a server received, untouched. Raises Refused for an address that no HTTP request can have."""

    method: str
    origin: str
    """Scheme, host and port as the server saw them: ``https://example.com``."""
    path: str
    """As it travelled: percent-encoded, with every prefix."""
    queries: tuple[str, ...] = ("",)
    """The query as it travelled, without its question mark; every order it may have had, where the server lost it."""
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name; a repeated one joined with commas."""
    body: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not all(map(_ADDRESS.fullmatch, (self.origin, self.path, *self.queries))) or not self.queries:
            raise Refused(Fault.MALFORMED)


def from_asgi(scope: Mapping[str, Any], body: bytes) -> WebhookRequest:
    """The request of an ASGI ``http`` scope, whose body is `asgi_body`. Raises Refused."""
    with _refusing():
        headers = _joined((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        # Some servers give the query with the raw path; the specification has it without.
        path = (scope.get("raw_path") or quote(scope["path"]).encode()).partition(b"?")[0]
        return WebhookRequest(
            method=scope["method"],
            origin=f"{scope['scheme']}://{headers['host']}",
            path=path.decode("ascii"),
            queries=(scope.get("query_string", b"").decode("ascii"),),
            headers=headers,
            body=bytes(body),
        )


async def asgi_body(receive: Receive) -> bytes:
    """The whole body. Raises Refused as soon as it is too large, or when the caller has gone."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            raise Refused(Fault.MALFORMED)
        body += event.get("body", b"")
        if len(body) > MAX_BODY:
            raise Refused(Fault.TOO_LARGE)
        if not event.get("more_body", False):
            return bytes(body)


def from_api_gateway(event: Mapping[str, Any]) -> WebhookRequest:
    """The request of an AWS Lambda proxy event: REST API, HTTP API in both formats, function URL. Raises Refused.

    Only format 2.0 carries the query as it travelled. From the others it is built again, in every order up to four
    names; that fits where no value needed percent-encoding, as in the addresses costtrace itself makes.
    """
    with _refusing():
        return _from_event_2(event) if event.get("version") == "2.0" else _from_event_1(event)


def _from_event_2(event: Mapping[str, Any]) -> WebhookRequest:
    context = event["requestContext"]
    return WebhookRequest(
        method=context["http"]["method"],
        origin=f"https://{context['domainName']}",
        path=_path(event["rawPath"]),
        queries=(event.get("rawQueryString") or "",),
        headers=_joined(event["headers"].items()),
        body=_event_body(event),
    )


def _from_event_1(event: Mapping[str, Any]) -> WebhookRequest:
    context = event["requestContext"]
    headers = _joined(_pairs(event, "multiValueHeaders", "headers"))
    return WebhookRequest(
        method=event["httpMethod"],
        origin=f"https://{context.get('domainName') or headers['host']}",
        # The event's own path lacks the stage.
        path=_path(context["path"]),
        queries=_orders(_pairs(event, "multiValueQueryStringParameters", "queryStringParameters")),
        headers=headers,
        body=_event_body(event),
    )


def _path(path: str) -> str:
    """The gateway decodes some paths and leaves others: what is encoded stays, what cannot travel is encoded again."""
    return quote(path, safe="/%:@!$&'()*+,;=~")


def _pairs(event: Mapping[str, Any], all_values: str, last_values: str) -> Iterator[tuple[str, str]]:
    if several := event.get(all_values):
        return ((name, value) for name, values in several.items() for value in values)
    return iter((event.get(last_values) or {}).items())


def _orders(pairs: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The query of those pairs, in every order of its names; the values of one name keep theirs."""
    by_name: dict[str, list[str]] = {}
    for name, value in pairs:
        by_name.setdefault(name, []).append(f"{quote(name, safe='')}={quote(value, safe='')}")
    parts = ["&".join(values) for values in by_name.values()]
    return tuple(map("&".join, permutations(parts) if len(parts) <= _MAX_REORDERED else [parts]))


def _event_body(event: Mapping[str, Any]) -> bytes:
    text = event.get("body") or ""
    if len(text) > _BASE64_OF_MAX_BODY:
        raise Refused(Fault.TOO_LARGE)
    return base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text.encode()


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in pairs:
        if not isinstance(value, str):
            raise TypeError
        key = name.lower()
        headers[key] = f"{headers[key]},{value}" if key in headers else value
    return headers


@contextmanager
def _refusing() -> Iterator[None]:
    """What a server hands over is a stranger's work as well: whatever cannot be read is refused."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Refused(Fault.MALFORMED) from error
