"""The demo's story: what it leaves in a ledger, to the last digit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from costtrace import Entry, Money, Recorder
from costtrace.messages import as_of
from costtrace.sandbox.demo import Story, scripted
from costtrace.sandbox.sms_line import sms_line
from costtrace.testing import MemoryLedger
from costtrace.times import to_micros
from costtrace.twilio import CostState, SentMessage
from costtrace.twilio.legs import WAITING_KINDS, legs

# USD per million tokens on the day of the story: input, cached input, output.
RATES = {
    "gpt-4o-2024-08-06": ("2.5", "1.25", "10"),
    "gpt-4o-mini-2024-07-18": ("0.15", "0.075", "0.6"),
    "gpt-4.1-2025-04-14": ("2", "0.5", "8"),
    "gpt-4.1-mini-2025-04-14": ("0.4", "0.1", "1.6"),
    "o4-mini": ("1.1", "0.275", "4.4"),
}


def clock(start: datetime) -> Callable[[], int]:
    """A clock that stands at a day whose prices are known, and moves on by a millisecond at each look."""
    ticks = itertools.count(to_micros(start) * 1000, 1_000_000)
    return lambda: next(ticks)


def told() -> tuple[MemoryLedger, Story]:
    ledger = MemoryLedger()
    return ledger, scripted(Recorder(ledger, clock=clock(datetime(2026, 11, 20, tzinfo=UTC))))


def model_calls(ledger: MemoryLedger) -> list[Entry]:
    return [entry for _, entry in ledger.entries() if entry.kind == "llm"]


def cost(entry: Entry) -> Decimal:
    assert entry.usage is not None
    assert entry.model is not None
    counts = entry.usage.buckets
    fresh, cached, out = (Decimal(rate) / 1_000_000 for rate in RATES[entry.model])
    return fresh * counts.get("input", 0) + cached * counts.get("cache_read", 0) + out * counts["output"]


def test_every_kind_of_call_is_in_the_story() -> None:
    ledger, _ = told()

    calls = [(entry.model, entry.status, entry.cost_status, entry.error) for entry in model_calls(ledger)]

    assert calls == [
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),  # the question is sorted
        ("gpt-4o-2024-08-06", "completed", "exact", None),  # calls the tool, after a 429 that the client tried again
        ("gpt-4o-2024-08-06", "completed", "exact", None),  # answers
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),
        ("gpt-4o-2024-08-06", "completed", "exact", None),
        ("gpt-4o-2024-08-06", "completed", "exact", None),
        ("gpt-4.1-2025-04-14", "completed", "exact", None),  # through the Responses API
        ("gpt-4.1-mini-2025-04-14", "completed", "exact", None),  # streamed
        ("o4-mini", "completed", "exact", None),
        ("gpt-4o", "failed", None, "OpenAIAPIError 500"),
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),  # asked instead
        ("harbor-tone-1", "completed", "unpriced", None),
    ]


def test_every_cost_is_that_of_the_published_rates() -> None:
    ledger, _ = told()

    priced = [entry for entry in model_calls(ledger) if entry.cost is not None]

    assert len(priced) == 10
    assert [entry.cost and entry.cost.amount for entry in priced] == [cost(entry) for entry in priced]


def test_the_reply_worth_a_look_answers_an_inbound_message_on_the_same_thread() -> None:
    ledger, story = told()

    reply = ledger.message(story.message_uuid)
    assert reply.context.reply_to is not None
    question = ledger.message(reply.context.reply_to)

    assert (reply.context.user_id, reply.context.channel, reply.context.role) == ("user-7", "sms", "assistant")
    assert (question.context.user_id, question.context.role) == ("user-7", "user")
    assert question.context.thread_id == reply.context.thread_id
    calls = [[entry for entry in message.entries if entry.kind == "llm"] for message in (question, reply)]
    assert list(map(len, calls)) == [1, 2]


def test_long_instructions_are_read_from_the_cache_and_a_reasoning_model_reasons() -> None:
    ledger, story = told()

    reply = ledger.message(story.message_uuid)
    cached = [entry.usage.buckets.get("cache_read", 0) for entry in reply.entries if entry.usage]
    reasoning = [
        entry.usage.reasoning_tokens for _, entry in ledger.entries() if entry.model == "o4-mini" and entry.usage
    ]

    assert min(cached) >= 1024
    assert reasoning == [64]


def test_an_sms_is_pending_until_twilio_names_its_price_which_is_not_what_was_expected() -> None:
    ledger, story = told()

    reply = ledger.message(story.message_uuid)
    (leg,) = legs(reply)

    assert (leg.direction, leg.cost_state, leg.price, leg.estimate) == (
        "outbound",
        CostState.FINAL,
        Money("0.0075"),
        Money("0.0083"),
    )
    assert len(leg.checks) == 1
    before = as_of(reply, leg.checks[0].recorded_at).total
    assert (before.pending.usd, before.actual.usd) == (Decimal("0.0083"), Decimal("0.00414"))
    assert (reply.total.pending.usd, reply.total.actual.usd) == (Decimal(0), Decimal("0.01164"))


def test_callbacks_came_out_of_order_and_twice_and_it_is_delivered_all_the_same() -> None:
    ledger, story = told()

    (leg,) = legs(ledger.message(story.message_uuid))

    assert leg.delivery is not None
    assert (leg.delivery.status, leg.delivery.conflict) == ("delivered", False)
    callbacks = [report.status for report in leg.delivery.history if report.source == "callback"]
    assert callbacks == ["delivered", "sent"]


def test_one_sms_still_waits_for_its_price_when_the_story_ends() -> None:
    ledger, _ = told()

    (waiting,) = ledger.waiting(WAITING_KINDS)

    assert (waiting.context.message_type, waiting.estimate) == ("notification", Money("0.0083"))


def test_what_the_application_raises_ends_the_story() -> None:
    """As when OpenAI refuses: the agent runs on a thread of the web application, and its error is seen all the same."""

    def refuse(*_: object) -> SentMessage:
        raise PermissionError("no key")

    with sms_line(Recorder(MemoryLedger()), refuse) as line, pytest.raises(PermissionError, match="no key"):
        line.receive("Hello?")


def test_each_telling_is_a_new_story() -> None:
    ledger = MemoryLedger()
    recorder = Recorder(ledger)

    assert scripted(recorder).message_uuid != scripted(recorder).message_uuid
    assert len(model_calls(ledger)) == 24
    assert ledger.totals()[()].settled == 8
