"""The demo's story: what it leaves in a ledger, to the last digit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

from costtrace import Entry, Recorder
from costtrace.sandbox.demo import scripted
from costtrace.testing import MemoryLedger
from costtrace.times import to_micros

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


def told() -> tuple[MemoryLedger, str]:
    ledger = MemoryLedger()
    return ledger, scripted(Recorder(ledger, clock=clock(datetime(2026, 1, 20, tzinfo=UTC))))


def cost(entry: Entry) -> Decimal:
    assert entry.usage is not None
    assert entry.model is not None
    counts = entry.usage.buckets
    fresh, cached, out = (Decimal(rate) / 1_000_000 for rate in RATES[entry.model])
    return fresh * counts.get("input", 0) + cached * counts.get("cache_read", 0) + out * counts["output"]


def test_every_kind_of_call_is_in_the_story() -> None:
    ledger, _ = told()

    calls = [(entry.model, entry.status, entry.cost_status, entry.error) for _, entry in ledger.entries()]

    assert calls == [
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),  # the question is sorted
        ("gpt-4o-2024-08-06", "completed", "exact", None),  # calls the tool, after a 429 that the client tried again
        ("gpt-4o-2024-08-06", "completed", "exact", None),  # answers
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),
        ("gpt-4o-2024-08-06", "completed", "exact", None),
        ("gpt-4o-2024-08-06", "completed", "exact", None),
        ("gpt-4.1-mini-2025-04-14", "completed", "exact", None),  # streamed
        ("o4-mini", "completed", "exact", None),
        ("gpt-4.1-2025-04-14", "completed", "exact", None),  # through the Responses API
        ("gpt-4o", "failed", None, "OpenAIAPIError 500"),
        ("gpt-4o-mini-2024-07-18", "completed", "exact", None),  # asked instead
        ("harbor-tone-1", "completed", "unpriced", None),
    ]


def test_every_cost_is_that_of_the_published_rates() -> None:
    ledger, _ = told()

    priced = [entry for _, entry in ledger.entries() if entry.cost is not None]

    assert len(priced) == 10
    assert [entry.cost and entry.cost.amount for entry in priced] == [cost(entry) for entry in priced]


def test_the_reply_worth_a_look_answers_an_inbound_message_on_the_same_thread() -> None:
    ledger, uuid = told()

    reply = ledger.message(uuid)
    assert reply.context.reply_to is not None
    question = ledger.message(reply.context.reply_to)

    assert (reply.context.user_id, reply.context.channel, reply.context.role) == ("user-7", "sms", "assistant")
    assert (question.context.user_id, question.context.role) == ("user-7", "user")
    assert question.context.thread_id == reply.context.thread_id
    assert [len(message.entries) for message in (question, reply)] == [1, 2]


def test_long_instructions_are_read_from_the_cache_and_a_reasoning_model_reasons() -> None:
    ledger, uuid = told()

    cached = [entry.usage.buckets.get("cache_read", 0) for entry in ledger.message(uuid).entries if entry.usage]
    reasoning = [
        entry.usage.reasoning_tokens for _, entry in ledger.entries() if entry.model == "o4-mini" and entry.usage
    ]

    assert min(cached) >= 1024
    assert reasoning == [64]


def test_each_telling_is_a_new_story() -> None:
    ledger = MemoryLedger()
    recorder = Recorder(ledger)

    assert scripted(recorder) != scripted(recorder)
    assert ledger.last_seq() == 24
