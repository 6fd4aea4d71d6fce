"""The HTTP API on loopback: what a function is given, and what its caller gets for its answer."""

from __future__ import annotations

import base64
import http.client
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from costtrace.sandbox.lambda_gateway import FunctionContext, LambdaGateway
from costtrace.sandbox.twilio import TwilioServer
from costtrace.twilio.requests import from_api_gateway
from costtrace.twilio.signature import Verifier
from costtrace.twilio.webhooks import StatusCallback
from tests.bars import within

FORM = "application/x-www-form-urlencoded"
TEXTS = ("application/json", "application/json; charset=utf-8", "text/plain", "application/xml")


class Api:
    """A gateway with one function, which answers `answer` and keeps what it was given."""

    def __init__(self, gateway: LambdaGateway) -> None:
        self.gateway = gateway
        self.answer: Any = {"statusCode": 204}
        self.events: list[dict[str, Any]] = []
        self.contexts: list[FunctionContext] = []
        gateway.route("POST /hook", self._take)

    def _take(self, event: dict[str, Any], context: FunctionContext) -> Any:
        self.events.append(event)
        self.contexts.append(context)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer

    def ask(
        self, path: str = "/hook", body: bytes = b"", method: str = "POST", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(urlsplit(self.gateway.address).netloc, timeout=10)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        got = response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
        connection.close()
        return got


@pytest.fixture
def api() -> Iterator[Api]:
    with LambdaGateway(limit_s=0.3) as gateway:
        yield Api(gateway)


def test_a_form_comes_in_base64_and_everything_else_as_it_travelled(api: Api) -> None:
    api.ask("/hook?m=a%2Fb&m=c&empty=", b"Body=Hi%21", Content_Type=FORM, Cookie="a=1; b=2", X_Two="yes")

    (event,) = api.events
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "POST /hook", "/hook")
    assert event["rawQueryString"] == "m=a%2Fb&m=c&empty="
    assert event["queryStringParameters"] == {"m": "a/b,c", "empty": ""}
    assert (event["isBase64Encoded"], base64.b64decode(event["body"])) == (True, b"Body=Hi%21")
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-two"] == "yes"
    assert "cookie" not in event["headers"]
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["stage"] == "$default"


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "text/plain", "application/xml"]
)
def test_json_text_and_xml_come_as_text(api: Api, kind: str) -> None:
    api.ask(body='{"a": "ä"}'.encode(), Content_Type=kind)

    assert (api.events[0]["body"], api.events[0]["isBase64Encoded"]) == ('{"a": "ä"}', False)


def test_a_request_without_a_body_has_none(api: Api) -> None:
    api.ask()

    assert "body" not in api.events[0]
    assert "queryStringParameters" not in api.events[0]


def test_an_answer_is_sent_as_it_says(api: Api) -> None:
    api.answer = {"statusCode": 201, "headers": {"X-Made": "yes", "Content-Type": "text/xml"}, "body": "<a/>"}
    status, headers, body = api.ask()
    assert (status, headers["x-made"], headers["content-type"], body) == (201, "yes", "text/xml", b"<a/>")

    api.answer = {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert api.ask()[2] == b"\x00\xff"


def test_an_answer_without_a_status_is_json_by_itself(api: Api) -> None:
    api.answer = {"priced": 2}
    status, headers, body = api.ask()

    assert (status, headers["content-type"], body) == (200, "application/json", b'{"priced": 2}')


@pytest.mark.parametrize("answer", [ValueError("no"), {"statusCode": "none"}, {"statusCode": 200, "body": 5}])
def test_a_function_that_fails_is_answered_with_500(api: Api, answer: Any) -> None:
    api.answer = answer

    assert api.ask()[::2] == (500, b'{"message": "Internal Server Error"}')
    api.answer = {"statusCode": 204}
    assert api.ask()[0] == 204


def test_a_function_that_takes_too_long_is_answered_with_503(api: Api) -> None:
    ended = threading.Event()
    api.answer = lambda: ended.wait(5)

    begun = time.monotonic()
    assert api.ask()[0] == 503
    assert time.monotonic() - begun < within(3)
    ended.set()


@pytest.mark.parametrize(("method", "path"), [("GET", "/hook"), ("POST", "/other"), ("POST", "/hook/")])
def test_what_has_no_route_is_not_found(api: Api, method: str, path: str) -> None:
    assert api.ask(path, method=method)[::2] == (404, b'{"message": "Not Found"}')
    assert api.events == []


def test_a_function_is_told_its_own_id_and_how_much_time_is_left(api: Api) -> None:
    api.ask()
    api.ask()

    first, second = api.contexts
    assert first.aws_request_id != second.aws_request_id
    assert FunctionContext(limit_s=10).get_remaining_time_in_millis() in range(9_000, 10_001)
    assert FunctionContext(limit_s=0).get_remaining_time_in_millis() == 0


def test_a_webhook_that_twilio_signed_for_the_public_address_is_verified_behind_the_gateway(api: Api) -> None:
    public = "https://api.example.com"
    with TwilioServer(manual=True, forward={public: api.gateway.address}) as twilio:
        form = {"MessageSid": "SM" + "1" * 32, "AccountSid": twilio.account_sid, "MessageStatus": "sent"}
        twilio.post(twilio.sign(f"{public}/hook?message_uuid=m%2F1&send=s", form))
        verifier = Verifier(tokens=twilio.auth_token, public_base=public)

    callback = StatusCallback.of(verifier.verify(from_api_gateway(api.events[0])))
    assert (callback.status, callback.message_uuid) == ("sent", "m/1")
