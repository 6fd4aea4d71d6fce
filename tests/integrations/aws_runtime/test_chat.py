"""``POST /chat`` under AWS's own runtime client, with the OpenAI client against a stand-in."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from costtrace.aws.turns import reply_uuid_of
from costtrace.sandbox.openai import OpenAIServer, Reply
from tests.integrations.aws_runtime.runtime import json_event
from tests.integrations.aws_runtime.stack import Stack

USAGE = {"prompt_tokens": 450, "completion_tokens": 200, "prompt_tokens_details": {"cached_tokens": 0}}
COST = 450 * Decimal("0.15") / 1_000_000 + 200 * Decimal("0.60") / 1_000_000  # gpt-4o-mini


def asked(stack: Stack, value: object) -> tuple[int, Any]:
    answer = stack.function("chat")(json_event(value))
    assert answer["headers"]["content-type"] == "application/json"
    return answer["statusCode"], json.loads(answer["body"])


def question(**changes: Any) -> dict[str, Any]:
    known = {
        "thread_id": f"t-{uuid4()}",
        "user_id": "u1",
        "message": "Where is my parcel?",
        "message_uuid": str(uuid4()),
    }
    return {name: value for name, value in {**known, **changes}.items() if value is not None}


def test_an_answer_comes_with_its_cost_and_both_are_kept(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(text="It arrives tomorrow.", usage=USAGE))
    request = question()

    status, answer = asked(stack, request)

    uuid = reply_uuid_of(request["message_uuid"])
    assert status == 200
    assert answer == {
        "message_uuid": uuid,
        "reply_to": request["message_uuid"],
        "text": "It arrives tomorrow.",
        "cost": {
            "actual": {"USD": "0.0001875"},
            "pending": {},
            "coverage": {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0},
        },
    }
    assert Decimal("0.0001875") == COST
    rows = stack.chat.history(request["thread_id"])
    assert [(row.message_uuid, row.role, row.content, row.channel) for row in rows] == [
        (request["message_uuid"], "user", request["message"], "web"),
        (uuid, "assistant", "It arrives tomorrow.", "web"),
    ]
    assert rows[1].costs["gpt"]["costUsd"] == COST
    context = stack.ledger.message(uuid).context
    assert (context.user_id, context.reply_to, context.environment) == ("u1", request["message_uuid"], "test")


def test_a_repeated_request_gets_the_same_answer_and_costs_nothing_more(stack: Stack, openai: OpenAIServer) -> None:
    request = question()
    first = asked(stack, request)
    calls = len(openai.calls)

    assert asked(stack, request) == first

    assert len(openai.calls) == calls
    assert len(stack.chat.history(request["thread_id"])) == 2


def test_a_request_that_is_repeated_while_the_model_is_at_work_has_one_answer(
    stack: Stack, openai: OpenAIServer
) -> None:
    """Both asked the model, which costs twice; the one that is done first is what the user hears."""
    openai.script(Reply(text="First.", delay_s=1.5), Reply(text="Second.", delay_s=3.0))
    functions = [stack.function("chat", COSTTRACE_ENVIRONMENT=name) for name in ("one", "two")]
    for function in functions:
        function.wait_until_ready()
    request = question()
    calls = [functions[0].begin(json_event(request))]
    time.sleep(1)
    calls.append(functions[1].begin(json_event(request)))

    answers = [json.loads(function.result(call)["body"]) for function, call in zip(functions, calls, strict=True)]

    assert {answer["text"] for answer in answers} == {"First."}
    rows = stack.chat.history(request["thread_id"])
    assert [row.content for row in rows if row.role == "assistant"] == ["First."]
    assert len(stack.ledger.message(reply_uuid_of(request["message_uuid"])).entries) == 2


def test_a_request_without_a_uuid_gets_one(stack: Stack) -> None:
    request = question(message_uuid=None)
    _, answer = asked(stack, request)
    assert str(UUID(answer["reply_to"])) == answer["reply_to"]
    assert answer["message_uuid"] == reply_uuid_of(answer["reply_to"])


def test_the_model_sees_the_conversation(stack: Stack, openai: OpenAIServer) -> None:
    thread = f"t-{uuid4()}"
    asked(stack, question(thread_id=thread, message="My name is Ada."))
    before = openai.calls[-1].usage
    asked(stack, question(thread_id=thread, message="What is my name?"))
    after = openai.calls[-1].usage
    assert before is not None
    assert after is not None
    assert after["prompt_tokens"] > before["prompt_tokens"]


@pytest.mark.parametrize(
    ("body", "field", "got"),
    [
        (question(message=None), "message", "nothing"),
        (question(message="  "), "message", "a text of 2 characters"),
        (question(message="x" * 20_001), "message", "a text of 20001 characters"),
        (question(message="\ud800"), "message", "a text of 1 characters"),
        (question(thread_id="\udfff"), "thread_id", "a text of 1 characters"),
        (question(thread_id=None), "thread_id", "nothing"),
        (question(user_id=7), "user_id", "a number"),
        (question(message_uuid="secret text"), "message_uuid", "a text of 11 characters"),
        (question(colour="red"), "body", "an object"),
        ([], "body", "a list"),
        (b"{", "body", "a text of 0 characters"),
        (b"\xff", "body", "a text of 0 characters"),
    ],
)
def test_bad_input_is_answered_with_the_field_and_never_with_its_value(
    stack: Stack, openai: OpenAIServer, body: object, field: str, got: str
) -> None:
    calls = len(openai.calls)

    status, answer = asked(stack, body)

    assert (status, answer["error"]["field"], answer["error"]["got"]) == (400, field, got)
    assert answer["error"]["expected"]
    assert len(openai.calls) == calls


def test_a_model_that_fails_is_a_502_and_its_calls_are_kept(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(status=400, text="the prompt was: Where is my parcel?"))
    request = question()

    status, answer = asked(stack, request)

    assert status == 502
    assert answer == {"error": {"problem": "the model gave no answer", "fault": "OpenAIInvalidRequestError"}}
    (entry,) = stack.ledger.message(reply_uuid_of(request["message_uuid"])).entries
    assert entry.status == "failed"
    assert [row.role for row in stack.chat.history(request["thread_id"])] == ["user"]
    openai.script(Reply(text="Tomorrow."))
    assert asked(stack, request)[1]["text"] == "Tomorrow."


def test_no_text_and_no_key_is_in_the_log(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(status=400, text="planted answer"))
    asked(stack, question(message="planted question"))
    log = stack.function("chat").log
    assert "the model gave no answer (OpenAIInvalidRequestError)" in log
    assert "planted" not in log


def test_entries_written_together_are_all_there_when_the_answer_is(stack: Stack, openai: OpenAIServer) -> None:
    openai.script(Reply(text="Yes.", usage=USAGE))
    function = stack.function("chat", COSTTRACE_WRITES="scope")

    answer = json.loads(function(json_event(question()))["body"])

    assert answer["cost"]["actual"] == {"USD": "0.0001875"}


def test_a_ledger_that_is_down_leaves_the_cost_unknown_and_not_nothing(stack: Stack, openai: OpenAIServer) -> None:
    """The chat table answers, and the ledger's table is missing."""
    openai.script(Reply(text="Yes.", usage=USAGE))
    function = stack.function("chat", COSTTRACE_LEDGER="dynamodb://?ledger=missing")
    request = question()

    answer = function(json_event(request))

    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {
        "message_uuid": reply_uuid_of(request["message_uuid"]),
        "reply_to": request["message_uuid"],
        "text": "Yes.",
        "cost": None,
    }
    assert "no such table" in function.log
