"""An HTTP API of AWS on loopback: requests become events of payload format 2.0, functions answer them.

What a function is given and what may be made of its answer follows "Create AWS Lambda proxy integrations for HTTP APIs
in API Gateway" of AWS's developer guide: names of headers are in lower case, cookies stand apart, a body that is
neither text nor JSON nor XML comes in base64, and an answer without a status code is a JSON body by itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self
from urllib.parse import parse_qsl
from uuid import uuid4

from costtrace.sandbox.loopback import LoopbackServer, Request, Response

LIMIT_S: Final = 30.0
"""How long HTTP API waits for a function."""

_STAGE: Final = "$default"
_ACCOUNT: Final = "000000000000"
_NOT_FOUND: Final = 404
_FAULT: Final = 500
_TOO_LATE: Final = 503
_AS_TEXT: Final = frozenset({"application/json", "application/xml", "application/javascript"})
_JSON: Final = {"content-type": "application/json"}
_log: Final = logging.getLogger("costtrace")


class FunctionContext:
    """What Lambda says of one call of a function."""

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self.aws_request_id = str(uuid4())
        self._ends = time.monotonic() + limit_s

    def get_remaining_time_in_millis(self) -> int:
        """How long until the call is ended."""
        return max(0, int((self._ends - time.monotonic()) * 1000))


Function = Callable[[dict[str, Any], FunctionContext], Any]
"""A Lambda function: an event and a context in, its answer out."""


class LambdaGateway:
    """One HTTP API as a context manager: listening on a free loopback port inside, gone after.

    Routes are added with `route`, before or after the start. A function runs in a thread of its own, and one that
    raises is answered with 500, as AWS does it; one that takes longer than `limit_s` with 503.
    """

    def __init__(self, *, limit_s: float = LIMIT_S) -> None:
        self._limit_s = limit_s
        self._routes: dict[str, Function] = {}
        self._http = LoopbackServer(self._answer, name="http api")

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``; RuntimeError before the first start."""
        return self._http.address

    def route(self, key: str, function: Function) -> None:
        """Requests of that route, such as ``POST /sms/callback``, go to that function."""
        self._routes[key] = function

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.stop()

    async def _answer(self, request: Request) -> Response:
        key = f"{request.method} {request.path}"
        function = self._routes.get(key)
        if function is None:
            return _message(_NOT_FOUND, "Not Found")
        event, context = http_event(request, key), FunctionContext(limit_s=self._limit_s)
        try:
            answer = await asyncio.wait_for(asyncio.to_thread(function, event, context), self._limit_s)
            return http_answer(answer)
        except TimeoutError:
            return _message(_TOO_LATE, "Service Unavailable")
        except Exception:  # noqa: BLE001 - whatever a function raises, its caller gets the same answer
            _log.exception("the function of %s failed", key)
            return _message(_FAULT, "Internal Server Error")


def http_event(request: Request, route: str) -> dict[str, Any]:
    """The request as a function is given it."""
    headers = {name: value for name, value in request.headers.items() if name != "cookie"}
    now = datetime.now(UTC)
    host = headers.get("host", "")
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": route,
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": {
            "accountId": _ACCOUNT,
            "apiId": "sandbox",
            "domainName": host,
            "domainPrefix": host.partition(".")[0],
            "http": {
                "method": request.method,
                "path": request.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent", ""),
            },
            "requestId": str(uuid4()),
            "routeKey": route,
            "stage": _STAGE,
            "time": f"{now:%d/%b/%Y:%H:%M:%S +0000}",
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if request.query:
        event["queryStringParameters"] = _parameters(request.query)
    if "cookie" in request.headers:
        event["cookies"] = [part.strip() for part in request.headers["cookie"].split(";")]
    if request.body:
        event |= _body(request.body, headers.get("content-type", ""))
    return event


def http_answer(answer: Any) -> Response:
    """What a client gets for that answer of a function. Raises TypeError or ValueError for one that cannot be used."""
    if not (isinstance(answer, Mapping) and "statusCode" in answer):
        return Response(status=200, body=json.dumps(answer).encode(), headers=_JSON)
    body = answer.get("body") or ""
    if not isinstance(body, str):
        raise TypeError(f"body: expected text, got {type(body).__name__}")
    content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    headers = {str(name).lower(): str(value) for name, value in (answer.get("headers") or {}).items()}
    if content:
        headers.setdefault("content-type", "text/plain;charset=UTF-8")
    return Response(status=int(answer["statusCode"]), body=content, headers=headers)


def _parameters(query: str) -> dict[str, str]:
    """The values of each name, decoded and joined with commas."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(several) for name, several in values.items()}


def _body(content: bytes, content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _AS_TEXT:
        return {"body": content.decode(errors="replace"), "isBase64Encoded": False}
    return {"body": base64.b64encode(content).decode(), "isBase64Encoded": True}


def _message(status: int, text: str) -> Response:
    return Response(status=status, body=json.dumps({"message": text}).encode(), headers=_JSON)
