"""``POST /sms/callback`` under AWS's own runtime client: stored, parked or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import pytest
from twilio.request_validator import RequestValidator

from costtrace.context import Context
from costtrace.times import from_micros
from costtrace.twilio.entries import bound_entry
from tests.integrations.aws_runtime.runtime import FunctionFailed, http_event, queue_event
from tests.integrations.aws_runtime.stack import Stack, jobs
from tests.web.parts import FORM, NOW_NS, PHONE, callback, sid

NOON = from_micros(NOW_NS // 1000)


def called_back(stack: Stack, number: int, status: str, **more: str | None) -> Mapping[str, Any]:
    posted = callback(number, status, token=stack.twilio.auth_token, **more)  # type: ignore[arg-type]
    answer: Mapping[str, Any] = stack.function("sms_callback")(http_event(posted))
    return answer


def test_a_status_is_stored_once_under_the_message_its_address_names(stack: Stack) -> None:
    uuid = str(uuid4())
    for status in ("delivered", "sent", "delivered"):
        assert called_back(stack, 1, status, message_uuid=uuid, send="s-1") == {"statusCode": 204}

    found = sorted(entry.entry_id for entry in stack.ledger.message(uuid).entries)
    assert found == [f"sms-status/{sid(1)}/delivered", f"sms-status/{sid(1)}/sent", f"sms/{sid(1)}"]


def test_twilios_own_validator_signs_what_is_taken(stack: Stack) -> None:
    """Header names in Twilio's spelling, and a query that HTTP API gives as it travelled."""
    uuid = str(uuid4())
    posted = callback(11, "sent", message_uuid=uuid, send="s-11")
    fields = dict(parse_qsl(posted.body.decode(), keep_blank_values=True))
    signature = RequestValidator(stack.twilio.auth_token).compute_signature(posted.url, fields)
    headers = {"Content-Type": posted.headers["content-type"], "X-Twilio-Signature": signature}

    assert stack.function("sms_callback")(http_event(replace(posted, headers=headers))) == {"statusCode": 204}

    assert {entry.kind for entry in stack.ledger.message(uuid).entries} == {"sms", "sms-status"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"headers": {"content-type": FORM}}, 403),
        ({"method": "GET"}, 405),
        ({"headers": {"content-type": "text/plain", "x-twilio-signature": "x"}}, 415),
        ({"body": b"x" * 70_000}, 413),
    ],
)
def test_what_is_no_webhook_is_refused_with_its_bare_status(stack: Stack, change: dict[str, Any], status: int) -> None:
    posted = replace(callback(12, "sent", token=stack.twilio.auth_token), **change)
    assert stack.function("sms_callback")(http_event(posted)) == {"statusCode": status}


def test_an_event_that_is_no_request_is_refused(stack: Stack) -> None:
    assert stack.function("sms_callback")({"hello": "world"}) == {"statusCode": 403}


def test_an_unsigned_status_is_refused_and_not_stored(stack: Stack) -> None:
    uuid = str(uuid4())
    posted = callback(2, "sent", message_uuid=uuid, send="s-2", token="another")  # noqa: S106 - a wrong one

    assert stack.function("sms_callback")(http_event(posted)) == {"statusCode": 403}

    assert stack.ledger.find(f"sms/{sid(2)}") is None
    assert stack.received("parked", timeout_s=0.3) == []


def test_a_status_without_names_goes_to_the_message_that_has_the_sid(stack: Stack) -> None:
    uuid = str(uuid4())
    bound = bound_entry(sid(3), send_id="s-3", message_uuid=uuid, now=NOON, context=Context(user_id="u1"))
    stack.ledger.append([bound])

    assert called_back(stack, 3, "delivered") == {"statusCode": 204}

    assert f"sms-status/{sid(3)}/delivered" in {entry.entry_id for entry in stack.ledger.message(uuid).entries}


def test_a_status_that_nobody_knows_is_parked_until_somebody_does(stack: Stack) -> None:
    assert called_back(stack, 4, "undelivered", ErrorCode="30003", RawDlrDoneDate="2611200930") == {"statusCode": 204}

    parked = stack.received("parked")
    (job,) = jobs(parked)
    assert {**job, "parked_at": None} == {
        "message_sid": sid(4),
        "account_sid": "AC" + "a" * 32,
        "status": "undelivered",
        "error_code": 30003,
        "raw_dlr_done_date": "2611200930",
        "parked_at": None,
    }
    take = stack.function("parked")
    (item,) = parked
    assert take(queue_event(parked)) == {"batchItemFailures": [{"itemIdentifier": item["MessageId"]}]}

    uuid = str(uuid4())
    stack.ledger.append([bound_entry(sid(4), send_id="s-4", message_uuid=uuid, now=NOON)])
    assert take(queue_event(parked)) == {"batchItemFailures": []}

    (status,) = (entry for entry in stack.ledger.message(uuid).entries if entry.kind == "sms-status")
    assert (status.status, status.details["error_code"]) == ("undelivered", 30003)
    assert status.occurred_at < status.recorded_at


def test_parked_jobs_that_are_none_fail_alone(stack: Stack) -> None:
    uuid = str(uuid4())
    called_back(stack, 5, "sent")
    (good,) = stack.received("parked")
    stack.ledger.append([bound_entry(sid(5), send_id="s-5", message_uuid=uuid, now=NOON)])
    bodies = ["no JSON", "[]", "{}", '{"message_sid": 7}', json.dumps({"message_sid": sid(5)})]
    bad = [{"MessageId": f"bad-{n}", "ReceiptHandle": "bad", "Body": body} for n, body in enumerate(bodies)]

    answer = stack.function("parked")(queue_event([*bad, good]))

    assert answer == {"batchItemFailures": [{"itemIdentifier": item["MessageId"]} for item in bad]}
    assert f"sms-status/{sid(5)}/sent" in {entry.entry_id for entry in stack.ledger.message(uuid).entries}


def test_what_could_be_neither_stored_nor_parked_is_answered_with_503(stack: Stack) -> None:
    dead = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    function = stack.function("sms_callback", **dead)
    for names in ({"message_uuid": str(uuid4()), "send": "s-7"}, {}):
        posted = callback(7, "sent", token=stack.twilio.auth_token, **names)
        assert function(http_event(posted)) == {"statusCode": 503}


def test_a_token_by_reference_is_read_when_the_function_is_initialised(stack: Stack) -> None:
    ssm = stack.account.client("ssm")
    ssm.put_parameter(Name="/token", Value=stack.twilio.auth_token, Type="SecureString")
    function = stack.function("sms_callback", TWILIO_AUTH_TOKEN="ssm:/token")  # noqa: S106 - a reference
    uuid = str(uuid4())
    posted = callback(10, "sent", message_uuid=uuid, send="s-10", token=stack.twilio.auth_token)

    assert function(http_event(posted)) == {"statusCode": 204}

    with pytest.raises(FunctionFailed, match=r"ConfigurationError: TWILIO_AUTH_TOKEN refers to .*does not exist"):
        stack.function("sms_callback", TWILIO_AUTH_TOKEN="ssm:/nowhere").wait_until_ready()  # noqa: S106 - as above


def test_the_log_is_json_without_a_number_or_a_secret(stack: Stack) -> None:
    function = stack.function("sms_callback")
    function(http_event(callback(8, "sent", token="another")))  # noqa: S106 - a wrong one
    called_back(stack, 8, "sent")
    stack.received("parked")

    lines = [json.loads(line) for line in function.log.splitlines() if line]

    assert any("webhook refused with 403: signature" in line["message"] for line in lines)
    assert PHONE not in function.log
    assert stack.twilio.auth_token not in function.log
