"""What HTTP API gives a function and wants back: events in, answers out."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from costtrace.aws.failures import ModelFailed, QueueUnavailable, shown
from costtrace.errors import InvalidValue, LedgerError
from costtrace.jsontext import encode
from costtrace.twilio.requests import Fault, Refused, WebhookRequest, from_api_gateway
from costtrace.twilio.webhooks import EMPTY_TWIML

_Request = TypeVar("_Request")

Answer = dict[str, Any]
"""``statusCode``, ``headers`` and ``body``, as HTTP API takes them."""

STORED: Final[Mapping[str, Any]] = {"statusCode": 204}
"""To a status callback."""
NO_REPLY: Final[Mapping[str, Any]] = {
    "statusCode": 200,
    "headers": {"content-type": "text/xml"},
    "body": EMPTY_TWIML.decode(),
}
"""To a message that came in. A text would be sent as an SMS."""

_log: Final = logging.getLogger("costtrace")
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
_refused: Final[Counter[str]] = Counter()


def twilio_answer(event: Mapping[str, Any], take: Callable[[WebhookRequest], Mapping[str, Any]]) -> Answer:
    """The answer to Twilio: that of `take`; a refusal's bare status; or 503, which it tries again, for a fault of ours.

    There is no 500, and a refusal says nothing about its reason.
    """
    try:
        return dict(take(from_api_gateway(event)))
    except Refused as refused:
        return _refusal(refused)
    except Exception as error:  # noqa: BLE001 - whatever is wrong here, Twilio shall come back with it
        _log.error("a webhook is answered with 503: %s", shown(error))
        return {"statusCode": HTTPStatus.SERVICE_UNAVAILABLE}


def _refusal(refused: Refused) -> Answer:
    _refused[refused.word] += 1
    count = _refused[refused.word]
    if count & (count - 1) == 0:  # 1, 2, 4, 8: a flood of forged requests must not fill the log
        advice = "; if Twilio sent it, check TWILIO_AUTH_TOKEN and COSTTRACE_PUBLIC_BASE_URL"
        _log.warning("%s (%d so far)%s", refused, count, advice if refused.word == Fault.SIGNATURE else "")
    return {"statusCode": refused.status}


def json_answer(
    event: Mapping[str, Any],
    read: Callable[[Mapping[str, Any]], _Request],
    take: Callable[[_Request], Mapping[str, Any]],
) -> Answer:
    """The answer to a client of ours: what `take` makes of the request in its JSON object, or what is wrong, as JSON.

    `read` raises InvalidValue for what the client can put right.
    """
    try:
        request = read(_object(event))
    except InvalidValue as error:
        wrong = {"field": error.field, "expected": error.expected, "got": _kind(error.value)}
        return _json(HTTPStatus.BAD_REQUEST, {"error": wrong})
    try:
        return _json(HTTPStatus.OK, take(request))
    except ModelFailed as error:
        _log.error("%s", error)
        return _json(HTTPStatus.BAD_GATEWAY, {"error": {"problem": "the model gave no answer", "fault": error.fault}})
    except Exception as error:  # noqa: BLE001 - the client gets JSON whatever is wrong here
        _log.error("a request could not be answered: %s", shown(error))
        passing = isinstance(error, LedgerError | QueueUnavailable)
        status = HTTPStatus.SERVICE_UNAVAILABLE if passing else HTTPStatus.INTERNAL_SERVER_ERROR
        return _json(status, {"error": {"problem": "the service cannot answer now"}})


def _object(event: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        body = json.loads(from_api_gateway(event).body)
    except Refused as refused:
        raise InvalidValue("body", refused.word, "a JSON object of at most 64 KiB") from None
    except (UnicodeDecodeError, RecursionError, ValueError):
        raise InvalidValue("body", "", "a JSON object in UTF-8") from None
    if not isinstance(body, dict):
        raise InvalidValue("body", body, "a JSON object")
    return body


def _kind(value: object) -> str:
    """What kind of value was refused; not the value, which may be what a person wrote."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return f"a text of {len(value)} characters"
    return _KINDS.get(type(value), "something else")


def _json(status: HTTPStatus, value: Mapping[str, Any]) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    return {"statusCode": int(status), "headers": headers, "body": encode(dict(value))}
