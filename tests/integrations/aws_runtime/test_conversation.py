"""A customer's SMS and its answer through all functions: the stand-in for Twilio signs, calls back and names prices."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from costtrace.aws.turns import reply_uuid_of
from costtrace.entry import encode_entry
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.sandbox.twilio import Fault, TwilioServer, Webhook
from costtrace.twilio import NumberHasher
from costtrace.twilio.entries import message_uuid_of
from costtrace.twilio.legs import legs
from tests.integrations.aws_runtime.runtime import http_event, queue_event
from tests.integrations.aws_runtime.stack import HASH_KEY, LEDGER, Stack, jobs, stream_event
from tests.web.parts import Posted, inbound

CUSTOMER = "+14155550123"
OURS = "+14155550199"
USER = NumberHasher(HASH_KEY.encode())(CUSTOMER)
THREAD = f"{USER}-{NumberHasher(HASH_KEY.encode())(OURS)}"
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
USAGE = {"prompt_tokens": 450, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 0}}


def posted(webhook: Webhook) -> Posted:
    """The stand-in's own signed webhook, unsent."""
    return Posted(url=webhook.url.partition("#")[0], body=webhook.body, headers=webhook.headers)


def write(stack: Stack, text: str) -> str:
    """A phone writes to us: the SID of its message, of which no webhook was sent yet."""
    return stack.twilio.receive(from_=CUSTOMER, to=OURS, body=text, lost=True).sid


def arrive(stack: Stack, sid: str, text: str) -> dict[str, Any]:
    fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "AccountSid": stack.twilio.account_sid}
    request = inbound(0, text, token=stack.twilio.auth_token, From=CUSTOMER, To=OURS, **fields)
    answer: dict[str, Any] = stack.function("sms_inbound")(http_event(request))
    return answer


def replied(stack: Stack, messages: list[dict[str, Any]]) -> list[str]:
    """The jobs of those messages, done; those that are to come again."""
    answer = stack.function("reply")(queue_event(messages), timeout_s=60)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def sent(stack: Stack) -> list[Any]:
    return [message for message in stack.twilio.messages if message.direction == "outbound-api"]


def test_from_the_customers_words_to_the_last_digit_of_their_cost(
    stack: Stack, openai: OpenAIServer, twilio: TwilioServer
) -> None:
    text = "Where is my parcel?"
    openai.script(Reply(text="It arrives tomorrow.", usage=USAGE))
    before = len(sent(stack))
    sid = write(stack, text)

    assert arrive(stack, sid, text) == {"statusCode": 200, "headers": {"content-type": "text/xml"}, "body": EMPTY}
    queued = stack.received("reply")
    uuid = message_uuid_of(sid)
    assert jobs(queued) == [{"message_uuid": uuid, "reply_uuid": reply_uuid_of(uuid), "thread_id": THREAD}]
    assert replied(stack, queued) == []

    (message,) = sent(stack)[before:]
    assert (message.to, message.from_, message.body) == (CUSTOMER, OURS, "It arrives tomorrow.")
    twilio.advance(message.sid, "sent", "delivered")
    for status in ("delivered", "sent", "delivered"):
        event = http_event(posted(twilio.webhook(message.sid, status)))
        assert stack.function("sms_callback")(event) == {"statusCode": 204}
    settled = stack.function("settlement")({}, timeout_s=60)
    assert (settled["priced"], settled["failed"]) == (2, 0)

    reply = stack.ledger.message(reply_uuid_of(uuid))
    assert reply.total.actual.usd == 450 * Decimal("0.00000015") + 200 * Decimal("0.0000006") + Decimal("0.0083")
    assert reply.total.complete
    (leg,) = legs(reply)
    assert leg.delivery is not None
    assert (leg.delivery.status, leg.context.reply_to, leg.context.user_id) == ("delivered", uuid, USER)
    asked = stack.ledger.message(uuid)
    assert (asked.total.actual.usd, asked.total.complete) == (Decimal("0.0083"), True)

    assert stack.function("stream")(stream_event(stack.account), timeout_s=60) == {"batchItemFailures": []}
    rows = {row.message_uuid: row for row in stack.chat.history(THREAD)}
    assert (rows[uuid].role, rows[uuid].content, rows[uuid].costs["twilio"]["price"]) == ("user", text, "-0.00830")
    shown = rows[reply.uuid].costs
    assert shown["gpt"]["costUsd"] == Decimal("0.0001875")
    assert (shown["twilio"]["status"], shown["twilio"]["messageSid"]) == ("delivered", message.sid)


def test_a_repeated_webhook_is_one_message_and_its_job_comes_later(stack: Stack) -> None:
    sid = write(stack, "Twice?")
    first, second = arrive(stack, sid, "Twice?"), arrive(stack, sid, "Twice?")

    assert first == second
    assert len(stack.received("reply", count=2, timeout_s=1)) == 1  # the other one is delayed by a minute
    uuid = message_uuid_of(sid)
    assert len(stack.ledger.message(uuid).entries) == 1
    assert [row.message_uuid for row in stack.chat.history(THREAD)].count(uuid) == 1


def test_a_forged_message_is_refused_and_leaves_nothing(stack: Stack) -> None:
    sid = write(stack, "Forged")
    request = inbound(0, "Forged", token="another", MessageSid=sid)  # noqa: S106 - a wrong one

    assert stack.function("sms_inbound")(http_event(request)) == {"statusCode": 403}

    assert stack.ledger.find(f"sms/{sid}") is None
    assert stack.received("reply", timeout_s=0.3) == []


def test_a_message_that_twilio_has_answered_itself_gets_no_reply(stack: Stack) -> None:
    sid = write(stack, "STOP")
    fields = {"MessageSid": sid, "SmsSid": sid, "SmsMessageSid": sid, "OptOutType": "STOP"}
    request = inbound(0, "STOP", token=stack.twilio.auth_token, **fields)

    assert stack.function("sms_inbound")(http_event(request))["statusCode"] == 200

    assert stack.ledger.find(f"sms/{sid}") is not None
    assert stack.received("reply", timeout_s=0.3) == []


def queued_job(stack: Stack, text: str) -> list[dict[str, Any]]:
    sid = write(stack, text)
    arrive(stack, sid, text)
    return stack.received("reply")


def test_a_job_that_comes_twice_sends_one_sms(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(text="Once."))
    queued = queued_job(stack, "How often?")
    before, calls = len(sent(stack)), len(openai.calls)

    assert [replied(stack, queued) for _ in range(3)] == [[], [], []]

    assert len(sent(stack)) == before + 1
    assert len(openai.calls) == calls + 1


def test_two_functions_with_the_same_job_send_one_sms(stack: Stack, openai: OpenAIServer) -> None:
    """Both ask Twilio for the number before either sends."""
    openai.script(Reply(text="One.", delay_s=0.3), Reply(text="Two.", delay_s=0.3))
    queued = queued_job(stack, "At once?")
    before = len(sent(stack))
    functions = [stack.function("reply", COSTTRACE_ENVIRONMENT=name) for name in ("one", "two")]
    for function in functions:
        function.wait_until_ready()

    calls = [function.begin(queue_event(queued), timeout_s=60) for function in functions]
    answers = [function.result(call) for function, call in zip(functions, calls, strict=True)]

    assert {"batchItemFailures": []} in answers  # the other one may not know yet what became of it, and comes again
    assert len(sent(stack)) == before + 1
    assert replied(stack, queued) == []
    assert len(sent(stack)) == before + 1
    (job,) = jobs(queued)
    assert [row.message_uuid for row in stack.chat.history(THREAD)].count(job["reply_uuid"]) <= 2


def test_an_answer_that_could_not_be_sent_is_sent_later_and_not_written_again(
    stack: Stack, openai: OpenAIServer
) -> None:
    openai.script(Reply(text="Later."))
    queued = queued_job(stack, "When?")
    before, calls = len(sent(stack)), len(openai.calls)
    stack.twilio.fail(Fault(on="create", status=429))

    assert replied(stack, queued) == [queued[0]["MessageId"]]
    assert replied(stack, queued) == []

    assert [message.body for message in sent(stack)[before:]] == ["Later."]
    assert len(openai.calls) == calls + 1
    (uuid,) = (job["reply_uuid"] for job in jobs(queued))
    assert [leg.send_id for leg in legs(stack.ledger.message(uuid))] == [f"{uuid}-1", f"{uuid}-2"]


def test_an_sms_whose_answer_was_lost_is_never_sent_again_and_its_job_waits_for_the_callback(
    stack: Stack, openai: OpenAIServer
) -> None:
    """Without one it ends among the dead letters, and a person hears that a customer may have got no answer."""
    openai.script(Reply(text="Perhaps."))
    queued = queued_job(stack, "Lost?")
    before = len(sent(stack))
    stack.twilio.fail(Fault(on="create", dropped=True, applied=True))

    assert [replied(stack, queued) for _ in range(2)] == [[queued[0]["MessageId"]]] * 2

    (message,) = sent(stack)[before:]
    (job,) = jobs(queued)
    (leg,) = legs(stack.ledger.message(job["reply_uuid"]))
    assert leg.delivery is not None
    assert leg.delivery.status == "send_unknown"
    called_back = http_event(posted(stack.twilio.webhook(message.sid, "sent")))
    assert stack.function("sms_callback")(called_back) == {"statusCode": 204}
    assert replied(stack, queued) == []
    assert len(sent(stack)) == before + 1


def test_a_model_that_fails_puts_the_job_off(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(status=400, text="no"))
    queued = queued_job(stack, "Fails?")
    before = len(sent(stack))

    assert replied(stack, queued) == [queued[0]["MessageId"]]
    openai.script(Reply(text="Now it works."))
    assert replied(stack, queued) == []

    assert [message.body for message in sent(stack)[before:]] == ["Now it works."]
    (job,) = jobs(queued)
    calls = [entry.status for entry in stack.ledger.message(job["reply_uuid"]).entries if entry.kind == "llm"]
    assert calls == ["failed", "completed"]


@pytest.mark.parametrize("change", [{"message_uuid": "unknown"}, {"reply_uuid": "another"}, {"thread_id": None}])
def test_a_job_that_is_none_of_ours_fails_and_sends_nothing(stack: Stack, change: dict[str, Any]) -> None:
    queued = queued_job(stack, f"Changed {sorted(change)}")
    before = len(sent(stack))
    (job,) = jobs(queued)
    queued[0]["Body"] = json.dumps({**job, **change})

    assert replied(stack, queued) == [queued[0]["MessageId"]]
    assert len(sent(stack)) == before


def test_a_job_without_time_is_put_off(stack: Stack) -> None:
    queued = queued_job(stack, "No time?")
    answer = stack.function("reply")(queue_event(queued), timeout_s=5)
    assert answer == {"batchItemFailures": [{"itemIdentifier": queued[0]["MessageId"]}]}


def test_the_reconciliation_reads_the_list_and_leaves_what_may_be_on_its_way(stack: Stack) -> None:
    write(stack, "Lost on the way")
    found = stack.function("reconcile")({"days": 1}, timeout_s=60)
    assert found["recent"] >= 1
    assert found["found_outbound"] == 0
    assert not found["truncated"]


def test_no_number_and_no_text_is_in_a_log_a_queue_or_a_row_of_the_ledger(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(text="planted answer for ada@example.com"))
    queued = queued_job(stack, "planted question of ada@example.com")
    replied(stack, queued)
    for found in (stack.function(name) for name in ("settlement", "reconcile")):
        found({}, timeout_s=60)
    functions = ("sms_inbound", "reply", "sms_callback", "settlement", "reconcile")
    logs = "".join(stack.function(name).log for name in functions)
    rows = [json.dumps(encode_entry(entry), default=str) for _, entry in stack.ledger.entries()]
    scanned: Any = stack.account.client().scan(TableName=LEDGER)
    keys = [repr({name: value for name, value in row.items() if name != "body"}) for row in scanned["Items"]]
    kept = "".join([logs, json.dumps(jobs(queued)), *rows, *keys])

    assert len(rows) > 10
    for secret in ("planted", "ada@example.com", CUSTOMER[1:], OURS[1:], stack.twilio.auth_token, HASH_KEY):
        assert secret not in kept
