"""The same webhook request as every server hands it over."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from costtrace.twilio.requests import WebhookRequest, from_api_gateway, from_asgi

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"

Delivery = Callable[[str, bytes, Mapping[str, str]], WebhookRequest]
"""Address, body and headers, as one server gives them to us."""


def form(pairs: Sequence[tuple[str, str]] | Mapping[str, str]) -> bytes:
    return urlencode(pairs).encode()


def by_asgi(url: str, body: bytes, headers: Mapping[str, str]) -> WebhookRequest:
    parts = urlsplit(url)
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": parts.scheme,
        "path": unquote(parts.path),
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in {"Host": parts.netloc, **headers}.items()
        ],
    }
    return from_asgi(scope, body)


def event_2(url: str, body: bytes, headers: Mapping[str, str], *, encoded: bool = False) -> dict[str, Any]:
    """An HTTP API or a function URL: format 2.0, names of headers in lower case."""
    parts = urlsplit(url)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.path,
        "rawQueryString": parts.query,
        "headers": {"host": parts.netloc, **{name.lower(): value for name, value in headers.items()}},
        "requestContext": {"domainName": parts.netloc, "stage": "$default", "http": {"method": "POST"}},
        "body": base64.b64encode(body).decode() if encoded else body.decode(),
        "isBase64Encoded": encoded,
    }


def event_1(
    url: str, body: bytes, headers: Mapping[str, str], *, encoded: bool = False, stage: str = ""
) -> dict[str, Any]:
    """A REST API: decoded query in any order, its path without the stage."""
    parts = urlsplit(url)
    by_name: dict[str, list[str]] = {}
    for name, value in sorted(parse_qsl(parts.query, keep_blank_values=True), key=lambda pair: pair[0]):
        by_name.setdefault(name, []).append(value)
    return {
        "resource": "/{proxy+}",
        "path": parts.path.removeprefix(stage),
        "httpMethod": "POST",
        "headers": {"Host": parts.netloc, **headers},
        "multiValueHeaders": {name: [value] for name, value in {"Host": parts.netloc, **headers}.items()},
        "queryStringParameters": {name: values[-1] for name, values in by_name.items()} or None,
        "multiValueQueryStringParameters": by_name or None,
        "requestContext": {"path": parts.path, "stage": stage.strip("/"), "domainName": parts.netloc},
        "body": base64.b64encode(body).decode() if encoded else body.decode(),
        "isBase64Encoded": encoded,
    }


DELIVERIES: Final[Mapping[str, Delivery]] = {
    "asgi": by_asgi,
    "event 1.0": lambda url, body, headers: from_api_gateway(event_1(url, body, headers)),
    "event 1.0, base64": lambda url, body, headers: from_api_gateway(event_1(url, body, headers, encoded=True)),
    "event 2.0": lambda url, body, headers: from_api_gateway(event_2(url, body, headers)),
    "event 2.0, base64": lambda url, body, headers: from_api_gateway(event_2(url, body, headers, encoded=True)),
}


def escaped(text: str) -> str:
    return quote(text, safe="")
