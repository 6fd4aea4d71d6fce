"""Calls that are broken off while they run: cancelled, with what is known of their usage as a lower bound."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any, cast

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda

import costtrace
from costtrace import CostCallbackHandler, Entry
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import PRICE, amount, chat_model, only
from tests.langchain.parts import AnnouncingLedger, EarlyUsage

UNKNOWN_COST = ("cancelled", None, "usage_missing")


@pytest.fixture
def ledger() -> AnnouncingLedger:
    return AnnouncingLedger()


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


def outcome(entry: Entry) -> tuple[str, object, str | None]:
    return entry.status, entry.cost, entry.cost_status


def first(stream: Iterator[Any]) -> None:
    """Read one piece and leave."""
    with closing(cast("Any", stream)):
        next(stream)


async def afirst(stream: AsyncIterator[Any]) -> None:
    async with aclosing(cast("Any", stream)):
        await anext(stream)


def test_a_stream_that_is_left_early_is_cancelled(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1"):
        first(chat_model(server).stream("Hi", config))

    assert outcome(only(ledger)) == UNKNOWN_COST
    assert only(ledger).error is None
    assert ledger.message("m1").total.unpriced == 1


def test_a_stream_that_is_dropped_half_read_is_cancelled(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    for _ in chat_model(server).stream("Hi", config):
        break

    assert outcome(only(ledger)) == UNKNOWN_COST


def test_an_async_stream_that_is_left_early_is_cancelled(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    async def read() -> None:
        with costtrace.message("m1"):
            await afirst(chat_model(server).astream("Hi", config))

    asyncio.run(read())

    assert outcome(only(ledger)) == UNKNOWN_COST
    assert only(ledger).message_uuid == "m1"


def test_a_chain_that_is_left_early_takes_its_call_with_it(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    chain = RunnableLambda(str) | chat_model(server)
    first(chain.stream("Hi", config))

    async def read() -> None:
        await afirst(chain.astream("Hi", config))

    assert outcome(only(ledger)) == UNKNOWN_COST
    asyncio.run(read())
    assert [outcome(entry) for _, entry in ledger.entries()] == [UNKNOWN_COST] * 2


def test_a_cancelled_task_cancels_its_stream(
    server: OpenAIServer, config: RunnableConfig, ledger: AnnouncingLedger
) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in chat_model(server).astream("Hi", config):
            begun.set()
            await asyncio.Event().wait()

    async def run() -> None:
        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.to_thread(ledger.arrival)  # asyncio closes the generator in a later turn of the loop

    asyncio.run(run())

    assert outcome(only(ledger)) == UNKNOWN_COST


def test_a_cancelled_task_cancels_the_stream_it_waits_for(
    server: OpenAIServer, config: RunnableConfig, ledger: AnnouncingLedger
) -> None:
    server.script(Reply(delay_s=60))

    async def read() -> None:
        async for _ in chat_model(server).astream("Hi", config):
            pass

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 0.2)

    asyncio.run(run())

    assert outcome(only(ledger)) == UNKNOWN_COST


AT_LEAST = PRICE / 3
"""The input's part of the price, 0.0025 dollars."""


def is_a_lower_bound(entry: Entry, status: str) -> bool:
    assert entry.usage is not None
    assert entry.estimate is not None
    assert entry.usage.flags == ("usage_incomplete",)
    return (entry.status, entry.cost, entry.cost_status, entry.estimate.amount) == (status, None, "partial", AT_LEAST)


def test_what_is_known_of_a_stream_that_failed_is_a_lower_bound(config: RunnableConfig, ledger: MemoryLedger) -> None:
    model = EarlyUsage(failure=ConnectionResetError())

    with costtrace.message("m1"), pytest.raises(ConnectionResetError):
        list(model.stream("Hi", config))

    assert is_a_lower_bound(only(ledger), "failed")
    assert only(ledger).error == "ConnectionResetError"
    total = ledger.message("m1").total
    assert (dict(total.actual), total.estimated, total.complete) == ({}, 1, False)


def test_what_is_known_of_a_stream_that_was_left_early_is_a_lower_bound(
    config: RunnableConfig, ledger: MemoryLedger
) -> None:
    first(EarlyUsage().stream("Hi", config))

    assert is_a_lower_bound(only(ledger), "cancelled")


def test_what_is_known_of_an_async_stream_that_was_left_early_is_a_lower_bound(
    config: RunnableConfig, ledger: MemoryLedger
) -> None:
    asyncio.run(afirst(EarlyUsage().astream("Hi", config)))

    assert is_a_lower_bound(only(ledger), "cancelled")


def test_what_is_known_of_a_call_whose_events_were_left_early_is_a_lower_bound(
    config: RunnableConfig, ledger: AnnouncingLedger
) -> None:
    async def read() -> None:
        events = EarlyUsage(halts=True).astream_events("Hi", config, version="v2")
        async with aclosing(cast("Any", events)):
            async for event in events:
                if event["event"] == "on_chat_model_stream":
                    break
        await asyncio.to_thread(ledger.arrival)

    asyncio.run(read())

    assert is_a_lower_bound(only(ledger), "cancelled")


def test_the_same_stream_read_to_its_end_has_its_cost(config: RunnableConfig, ledger: MemoryLedger) -> None:
    list(EarlyUsage().stream("Hi", config))

    assert (only(ledger).status, amount(only(ledger))) == ("completed", PRICE)
