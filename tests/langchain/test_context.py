"""Whose call it is: from the open message, from metadata, from the parent run, and which of them wins."""

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableLambda

import costtrace
from costtrace import CostCallbackHandler
from costtrace.errors import InvalidValue
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import chat_model, entries, only


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


EVERYTHING: dict[str, Any] = {
    "user_id": "u1",
    "thread_id": "t1",
    "channel": "sms",
    "direction": "outbound",
    "role": "assistant",
    "environment": "staging",
    "message_type": "chat",
    "reply_to": "m0",
}


def test_everything_the_message_says_stands_on_its_entries(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with costtrace.message(tags={"tenant": "acme"}, **EVERYTHING) as message:
        chat_model(server).invoke("Hi", config)

    context = ledger.message(message.uuid).context
    assert context.to_dict() == {**EVERYTHING, "tags": {"tenant": "acme"}}
    assert context == only(ledger).context


def test_metadata_says_as_much_without_an_open_message(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    metadata = {**EVERYTHING, "message_uuid": "m1", "somebody_elses": "key"}
    (RunnableLambda(str) | chat_model(server)).invoke("Hi", {**config, "metadata": metadata})

    assert only(ledger).context.to_dict() == EVERYTHING
    assert only(ledger).message_uuid == "m1"


def test_metadata_fills_in_what_the_message_leaves_open_and_wins_where_both_speak(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1", user_id="u1", channel="web", tags={"tenant": "acme"}):
        chat_model(server).invoke("Hi", {**config, "metadata": {"thread_id": "t2", "channel": "sms"}})

    context = only(ledger).context
    assert (context.user_id, context.thread_id, context.channel) == ("u1", "t2", "sms")
    assert dict(context.tags) == {"tenant": "acme"}
    assert only(ledger).message_uuid == "m1"


@pytest.mark.parametrize("key", ["thread_id", "conversation_id", "session_id"])
def test_a_conversation_has_several_names(
    key: str, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    chat_model(server).invoke("Hi", {**config, "metadata": {key: "t1"}})

    assert only(ledger).context.thread_id == "t1"


def test_a_message_that_metadata_names_does_not_inherit_from_another_that_is_open(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1", user_id="u1"):
        chat_model(server).invoke("Hi", {**config, "metadata": {"message_uuid": "m2"}})

    assert (only(ledger).message_uuid, only(ledger).context.user_id) == ("m2", None)


def test_the_innermost_message_counts_and_the_outer_one_again_after_it(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    model = chat_model(server)
    with costtrace.message("outer", user_id="u1"):
        with costtrace.message("inner", reply_to="outer"):
            model.invoke("Hi", config)
        model.invoke("Hi", config)
    model.invoke("Hi", config)

    first, second, third = entries(ledger)
    assert (first.message_uuid, first.context.user_id, first.context.reply_to) == ("inner", None, "outer")
    assert (second.message_uuid, second.context.user_id) == ("outer", "u1")
    assert third.message_uuid == third.source_id


def test_a_message_opened_inside_a_chain_takes_the_calls_in_it(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    model = chat_model(server)

    def apart(text: str) -> str:
        with costtrace.message("inner"):
            return model.invoke(text).text

    chain: Any = RunnableLambda(apart) | model
    with costtrace.message("outer"):
        chain.invoke("Hi", config)

    assert [entry.message_uuid for entry in entries(ledger)] == ["inner", "outer"]


def test_a_call_below_a_run_shares_its_derived_message_and_its_context(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    model = chat_model(server)

    def ask_twice(text: str) -> str:
        model.invoke(text)
        return model.invoke(text, config={"metadata": {"channel": "sms"}}).text

    (RunnableLambda(ask_twice) | RunnableLambda(str)).invoke("Hi", {**config, "metadata": {"user_id": "u1"}})

    first, second = entries(ledger)
    assert first.message_uuid == second.message_uuid
    assert (first.context.user_id, first.context.channel) == ("u1", None)
    assert (second.context.user_id, second.context.channel) == ("u1", "sms")
    assert first.details["message_from"] == second.details["message_from"] == "run"


def test_two_runs_without_a_message_are_two_messages(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    chain = RunnableLambda(str) | chat_model(server)

    async def ask() -> None:
        await asyncio.gather(*(chain.ainvoke("Hi", config) for _ in range(5)))

    asyncio.run(ask())

    assert len({entry.message_uuid for entry in entries(ledger)}) == 5


@pytest.mark.parametrize(
    "wrong", [{"colour": "blue"}, {"user_id": 4.2}, {"user_id": "x" * 513}, {"tags": {"a": "\ud800"}}]
)
def test_a_message_that_cannot_be_is_refused_when_it_is_opened(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue), costtrace.message(**wrong):
        pass
    assert costtrace.current_message() is None


def test_ids_may_be_numbers_and_an_empty_text_says_nothing() -> None:
    with costtrace.message(user_id=42, thread_id="") as message:
        assert (message.context.user_id, message.context.thread_id) == ("42", None)


def test_a_message_opened_inside_another_wins_over_the_metadata_inherited_from_that(
    handler: CostCallbackHandler, ledger: MemoryLedger, server: OpenAIServer
) -> None:
    """Metadata reaches every call below; a message opened further in says more of the calls inside it."""
    with costtrace.message() as outer:
        config: RunnableConfig = {"callbacks": [handler], "metadata": outer.metadata}

        def step(prompt: str, config: RunnableConfig) -> str:
            with costtrace.message() as inner:
                chat_model(server).invoke(prompt, config)
            return inner.uuid

        inner_uuid = RunnableLambda(step).invoke("Hi", config)
        chat_model(server).invoke("Hi", config)

    assert [entry.message_uuid for entry in entries(ledger)] == [inner_uuid, outer.uuid]
