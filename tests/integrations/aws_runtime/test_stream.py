"""The ledger's own stream through the function, to a stand-in for PostHog and into the chat table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from costtrace.context import Context
from costtrace.entry import Entry
from costtrace.sandbox.openai import OpenAIServer
from costtrace.sandbox.posthog import Fault, PostHogServer
from costtrace.sandbox.twilio import TwilioServer
from tests.factories import make_entry
from tests.integrations.aws_runtime.runtime import Function, queue_event
from tests.integrations.aws_runtime.stack import Stack, deployed, jobs, stream_event
from tests.peers.emulator import Emulator

CONTEXT = Context(user_id="u1", thread_id="t1", channel="web")


@pytest.fixture
def posthog() -> Iterator[PostHogServer]:
    with PostHogServer() as server:
        yield server


@pytest.fixture
def own_stack(aws_emulator: Emulator, twilio: TwilioServer, openai: OpenAIServer) -> Iterator[Stack]:
    """A deployment whose stream has only what the test stores."""
    with deployed(aws_emulator.account(), twilio=twilio, openai=openai) as running:
        yield running


def delivering(stack: Stack, posthog: PostHogServer) -> Function:
    return stack.function(
        "stream",
        COSTTRACE_EXPORTERS="posthog",
        POSTHOG_HOST=posthog.host,
        POSTHOG_API_KEY=posthog.project_token,
    )


def stored(stack: Stack, count: int) -> list[Entry]:
    """Calls of one message that has its row in the chat table."""
    message = stack.chat.save(stack.chat.new(thread_id="t1", role="assistant", content="planted text"))
    uuid = str(message.message_uuid)
    found = [make_entry(number, message_uuid=uuid, context=CONTEXT) for number in range(1, count + 1)]
    stack.ledger.append(found)
    return found


def generations(posthog: PostHogServer) -> list[Any]:
    return [event for event in posthog.events if event.event == "$ai_generation"]


def test_each_entry_is_an_event_once_and_its_message_shows_its_cost(own_stack: Stack, posthog: PostHogServer) -> None:
    found = stored(own_stack, 3)
    function, event = delivering(own_stack, posthog), stream_event(own_stack.account)

    for _ in range(2):  # a stream gives its records at least once
        assert function(event, timeout_s=60) == {"batchItemFailures": []}

    assert len(generations(posthog)) == 3
    (row,) = own_stack.chat.history("t1")
    assert row.costs["gpt"]["costUsd"] == 3 * Decimal("0.003125")
    assert found[0].message_uuid == row.message_uuid
    assert "planted" not in function.log + json.dumps([event.properties for event in posthog.events], default=str)


def test_a_posthog_that_is_down_has_the_batch_again(own_stack: Stack, posthog: PostHogServer) -> None:
    stored(own_stack, 2)
    function, event = delivering(own_stack, posthog), stream_event(own_stack.account)
    posthog.outage = Fault(status=503)

    answer = function(event, timeout_s=60)

    entries = [record for record in event["Records"] if record["dynamodb"]["Keys"]["pk"]["S"].startswith("m#")]
    assert answer == {"batchItemFailures": [{"itemIdentifier": entries[0]["dynamodb"]["SequenceNumber"]}]}
    posthog.outage = None
    assert function(event, timeout_s=60) == {"batchItemFailures": []}
    assert len(generations(posthog)) == 2
    assert own_stack.received("dead", timeout_s=0.2) == []


def test_an_event_that_posthog_drops_is_a_dead_letter_with_its_reason(own_stack: Stack, posthog: PostHogServer) -> None:
    found = stored(own_stack, 2)
    function, event = delivering(own_stack, posthog), stream_event(own_stack.account)
    posthog.fail(Fault(result="drop", which=lambda sent: sent["event"] == "$ai_generation", details="invalid"))

    answer = function(event, timeout_s=60)

    assert answer == {"batchItemFailures": []}
    buried = own_stack.received("dead", count=2)
    letters = jobs(buried)
    assert {letter["entry_id"] for letter in letters} == {entry.entry_id for entry in found}
    assert {letter["fate"] for letter in letters} == {"dead"}
    assert all(letter["reason"] for letter in letters)
    assert generations(posthog) == []

    wrong = {**buried[0], "MessageId": "wrong", "Body": json.dumps({**letters[0], "exporter": "elsewhere"})}
    again = function(queue_event([*buried, wrong]), timeout_s=60)

    assert again == {"batchItemFailures": [{"itemIdentifier": "wrong"}]}
    assert len(generations(posthog)) == 2
