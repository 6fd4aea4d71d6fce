"""DynamoDB in trouble: what a user and Twilio see of it, and that nothing is lost or counted twice."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

from costtrace.aws.turns import reply_uuid_of
from costtrace.sandbox.loopback import Request
from costtrace.sandbox.openai import OpenAIServer, Reply
from tests.integrations.aws_runtime.runtime import Function, http_event, json_event
from tests.integrations.aws_runtime.stack import LEDGER, Stack
from tests.peers.fault_proxy import Fault, FaultProxy, operation
from tests.web.parts import callback, sid


def beyond(stack: Stack, name: str, proxy: FaultProxy) -> Function:
    """The function, whose way to AWS goes through the proxy."""
    return stack.function(name, AWS_ENDPOINT_URL=proxy.endpoint)


def ledger_only(fault: Fault) -> Any:
    """A plan: the chat table is well."""

    def plan(request: Request) -> Fault:
        return fault if json.loads(request.body or b"{}").get("TableName") == LEDGER else Fault.PASS

    return plan


def question() -> dict[str, Any]:
    return {"thread_id": f"t-{uuid4()}", "user_id": "u1", "message": "Yes?", "message_uuid": str(uuid4())}


def test_a_ledger_that_is_throttled_for_ever_harms_no_answer_and_loses_no_entry(
    stack: Stack, openai: OpenAIServer, fault_proxy: FaultProxy
) -> None:
    function = beyond(stack, "chat", fault_proxy)
    function(json_event(question()))
    fault_proxy.plan = ledger_only(Fault.THROTTLE)
    openai.script(Reply(text="Here I am."))
    request = question()

    began = time.monotonic()
    answer = function(json_event(request))
    took = time.monotonic() - began

    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert (body["text"], body["cost"]) == ("Here I am.", None)
    assert took < 12  # one write that gave up, and one more at the end
    assert "entries wait in this process's memory" in function.log
    fault_proxy.heal()
    function(json_event(question()))
    (entry,) = stack.ledger.message(reply_uuid_of(request["message_uuid"])).entries
    assert entry.cost is not None


def test_a_response_lost_after_the_write_leaves_one_row(stack: Stack, fault_proxy: FaultProxy) -> None:
    function = beyond(stack, "sms_callback", fault_proxy)
    function.wait_until_ready()
    uuid = str(uuid4())
    dropped: list[str] = []

    def plan(request: Request) -> Fault:
        if operation(request) == "PutItem" and len(dropped) < 3:
            dropped.append("once")
            return Fault.DROP_AFTER
        return Fault.PASS

    fault_proxy.plan = plan
    request = callback(1, "sent", message_uuid=uuid, send="s-1", token=stack.twilio.auth_token)

    assert function(http_event(request)) == {"statusCode": 204}

    found = sorted(entry.entry_id for entry in stack.ledger.message(uuid).entries)
    assert (found, len(dropped)) == ([f"sms-status/{sid(1)}/sent", f"sms/{sid(1)}"], 3)


def test_a_status_is_refused_with_503_while_the_ledger_is_down_and_taken_when_it_comes_again(
    stack: Stack, fault_proxy: FaultProxy
) -> None:
    function = beyond(stack, "sms_callback", fault_proxy)
    uuid = str(uuid4())
    request = http_event(callback(2, "sent", message_uuid=uuid, send="s-2", token=stack.twilio.auth_token))
    fault_proxy.always(Fault.ERROR)
    assert function(request) == {"statusCode": 503}
    fault_proxy.heal()
    assert function(request) == {"statusCode": 204}
    assert len(stack.ledger.message(uuid).entries) == 2


def test_a_lookup_that_fails_is_not_taken_for_an_unknown_message(stack: Stack, fault_proxy: FaultProxy) -> None:
    """Parked, it would look as if nobody knew it; Twilio has to come again."""
    function = beyond(stack, "sms_callback", fault_proxy)
    fault_proxy.plan = ledger_only(Fault.ERROR)
    assert function(http_event(callback(3, "sent", token=stack.twilio.auth_token))) == {"statusCode": 503}
    assert stack.received("parked", timeout_s=0.3) == []
