"""Messages that no model writes: sent once for each idempotency key, and saved in the conversation."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from costtrace.sandbox.twilio import Fault
from costtrace.twilio.legs import legs
from tests.integrations.aws_runtime.runtime import FunctionFailed, http_event
from tests.integrations.aws_runtime.stack import Stack
from tests.web.parts import Posted

CUSTOMER = "+14155550123"


def event(**changes: Any) -> dict[str, Any]:
    known = {
        "type": "welcome",
        "idempotency_key": f"signup/{uuid4()}",
        "user_id": "u1",
        "to": CUSTOMER,
        "thread_id": f"t-{uuid4()}",
        "data": {"company": "Parcels Ltd", "name": "Ada"},
    }
    return {**known, **changes}


def sent(stack: Stack) -> list[str]:
    return [message.body for message in stack.twilio.messages]


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (
            "welcome",
            {"company": "Parcels Ltd", "name": "Ada"},
            "Welcome to Parcels Ltd, Ada! Write to this number whenever you have a question. Reply STOP to opt out.",
        ),
        ("notification", {"company": "Parcels Ltd", "text": "it arrived"}, "Parcels Ltd: it arrived"),
        (
            "subscription",
            {"company": "Parcels Ltd", "plan": "gold", "until": "1 May"},
            "Parcels Ltd: your gold subscription is active until 1 May. Reply STOP to opt out.",
        ),
        (
            "cancellation",
            {"company": "Parcels Ltd", "plan": "gold", "until": "1 May"},
            "Parcels Ltd: your gold subscription ends on 1 May. We are sorry to see you go.",
        ),
    ],
)
def test_each_type_is_sent_and_saved_with_its_cost_expected(
    stack: Stack, kind: str, data: dict[str, str], text: str
) -> None:
    request = event(type=kind, data=data)

    answer = stack.function("notifications")(request)

    assert answer["outcome"] == "sent"
    assert sent(stack)[-1] == text
    message = stack.ledger.message(answer["message_uuid"])
    (leg,) = legs(message)
    assert (leg.context.message_type, leg.context.user_id, leg.direction) == (kind, "u1", "outbound")
    assert leg.needs_price
    (row,) = stack.chat.history(request["thread_id"])
    assert (row.message_uuid, row.role, row.content) == (answer["message_uuid"], "assistant", text)


def test_an_event_that_comes_twice_is_one_message(stack: Stack) -> None:
    request, before = event(), len(sent(stack))

    answers = [stack.function("notifications")(request) for _ in range(3)]

    assert [answer["outcome"] for answer in answers] == ["sent", "already_sent", "already_sent"]
    assert len({answer["message_uuid"] for answer in answers}) == 1
    assert len(sent(stack)) == before + 1
    assert len(stack.chat.history(request["thread_id"])) == 1


def test_a_number_that_twilio_refuses_is_not_tried_again(stack: Stack) -> None:
    request = event()
    stack.twilio.fail(Fault(on="create", status=400, code=21610))

    answer = stack.function("notifications")(request)

    assert answer["outcome"] == "refused"
    assert stack.chat.history(request["thread_id"]) == []
    assert stack.ledger.message(answer["message_uuid"]).total.actual.usd == 0


def test_a_key_that_was_used_for_another_message_is_refused_and_nothing_is_said_to_be_sent(stack: Stack) -> None:
    first = event()
    stack.function("notifications")(first)
    before = len(sent(stack))

    for change in ({"thread_id": f"t-{uuid4()}"}, {"user_id": "u2"}):
        with pytest.raises(FunctionFailed, match="idempotency_key: expected a key by which no other message was sent"):
            stack.function("notifications")({**first, **change})

    assert len(sent(stack)) == before
    assert len(stack.chat.history(first["thread_id"])) == 1


def test_a_message_of_which_nobody_knows_whether_it_was_sent_fails_until_somebody_does(stack: Stack) -> None:
    """Lambda calls again after a minute, and then puts the event where a person hears of it."""
    request, before = event(), len(sent(stack))
    stack.twilio.fail(Fault(on="create", dropped=True, applied=True))

    for _ in range(2):
        with pytest.raises(FunctionFailed, match=r"whether Twilio sent message .* is not known"):
            stack.function("notifications")(request)

    (message,) = stack.twilio.messages[before:]
    webhook = stack.twilio.webhook(message.sid, "sent")
    called_back = Posted(url=webhook.url.partition("#")[0], body=webhook.body, headers=webhook.headers)
    assert stack.function("sms_callback")(http_event(called_back)) == {"statusCode": 204}
    assert stack.function("notifications")(request)["outcome"] == "already_sent"
    assert len(sent(stack)) == before + 1
    assert len(stack.chat.history(request["thread_id"])) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "lottery"}, "type: expected one of cancellation, notification, subscription, welcome"),
        ({"data": {"name": "Ada"}}, "data: expected an object of company, name"),
        ({"data": {"name": "Ada\nfree text", "company": "P"}}, "data.name: expected a text of 1 to 300 printable"),
        ({"idempotency_key": None}, "idempotency_key: expected a text of 1 to 512 characters"),
        ({"to": 14155550123}, "to: expected a number such as +14155550100"),
        ({"user_id": ""}, "user_id: expected a text of 1 to 512 characters"),
    ],
)
def test_a_bad_event_fails_with_the_field_and_without_its_value(
    stack: Stack, change: dict[str, Any], said: str
) -> None:
    before = len(sent(stack))
    function = stack.function("notifications")

    with pytest.raises(FunctionFailed) as failed:
        function(event(**change))

    assert (failed.value.type, f"InvalidValue: {said}" in failed.value.message) == ("WorkFailed", True)
    assert len(sent(stack)) == before
    assert "free text" not in function.log
    assert CUSTOMER not in function.log
