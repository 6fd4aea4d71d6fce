"""DynamoDB in trouble: what a user and Twilio see of it, and that nothing is lost or counted twice."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest

from costtrace.aws.turns import reply_uuid_of
from costtrace.sandbox.loopback import Request
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.twilio.entries import bound_entry
from tests.integrations.aws_runtime.runtime import Function, http_event, json_event, queue_event
from tests.integrations.aws_runtime.stack import LEDGER, Stack
from tests.peers.fault_proxy import Fault, FaultProxy, operation
from tests.web.parts import PHONE, callback, sid

UUID: Final = str(uuid4())


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


def test_a_status_is_refused_with_503_while_ledger_and_queue_are_down_and_taken_when_it_comes_again(
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


@pytest.mark.parametrize("names", [{"message_uuid": UUID, "send": "s-3"}, {"message_uuid": UUID}, {}])
def test_a_status_that_comes_while_the_ledger_is_down_waits_in_the_queue_with_all_it_knows(
    stack: Stack, fault_proxy: FaultProxy, names: dict[str, str]
) -> None:
    """Twilio would come again for fifteen seconds, and only where the address asks for it."""
    number = 3 + len(names)
    function = beyond(stack, "sms_callback", fault_proxy)
    fault_proxy.plan = ledger_only(Fault.ERROR)
    posted = callback(number, "delivered", token=stack.twilio.auth_token, **names)

    assert function(http_event(posted)) == {"statusCode": 204}

    parked = stack.received("parked")
    assert len(parked) == 1
    assert PHONE[1:] not in parked[0]["Body"] + function.log
    assert "a status of " + sid(number) in function.log
    if not names:
        stack.ledger.append([bound_entry(sid(number), send_id="s-x", message_uuid=UUID, now=datetime.now(UTC))])
    for _ in range(2):
        assert stack.function("parked")(queue_event(parked)) == {"batchItemFailures": []}
    found = {entry.entry_id for entry in stack.ledger.message(UUID).entries}
    assert found >= {f"sms/{sid(number)}", f"sms-status/{sid(number)}/delivered"}
