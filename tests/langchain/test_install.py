"""`install`: every call of the process, in every thread, and nothing of it left in LangChain's list of hooks."""

import asyncio
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.outputs import LLMResult
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tracers.context import _configure_hooks

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import PRICE, PRICED, call, chat_model, costs, entries, only


def in_a_thread(work: Any) -> None:
    thread = Thread(target=work)
    thread.start()
    thread.join()


def test_it_records_calls_of_raw_threads_and_executors(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    costtrace.install(recorder)
    model = chat_model(server)

    in_a_thread(lambda: model.invoke("Hi"))
    with ThreadPoolExecutor() as executor:
        executor.submit(model.invoke, "Hi").result()

    assert len({entry.message_uuid for entry in entries(ledger)}) == len(entries(ledger)) == 2


def test_it_records_a_call_whose_callbacks_are_replaced_on_the_way(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    costtrace.install(recorder)
    model = chat_model(server)

    class Other(BaseCallbackHandler):
        """Somebody else's handler."""

    config: RunnableConfig = {"callbacks": [Other()]}
    step: RunnableLambda[str, str] = RunnableLambda(lambda text: model.invoke(text, config=config).text)
    with costtrace.message("m1"):
        step.invoke("Hi")

    assert only(ledger).message_uuid == "m1"


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_nothing_is_recorded_after_uninstall(
    mode: Any, server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    costtrace.install(recorder)
    costtrace.uninstall()

    call(RunnableLambda(lambda text: text) | chat_model(server), mode)

    assert entries(ledger) == []
    assert costtrace.install(recorder).open_runs == 0


def test_a_call_that_was_under_way_when_it_was_uninstalled_is_recorded(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    handler = costtrace.install(recorder)
    server.script(PRICED)
    stream = chat_model(server).stream("Hi")
    next(stream)

    costtrace.uninstall()
    list(stream)

    assert costs(ledger) == [PRICE]
    assert handler.open_runs == 0


def test_it_can_be_switched_on_again_and_pointed_at_another_recorder(
    server: OpenAIServer, recorder: Recorder, ledger: MemoryLedger
) -> None:
    other = MemoryLedger()
    model = chat_model(server)

    first = costtrace.install(recorder)
    model.invoke("Hi")
    costtrace.uninstall()
    second = costtrace.install(Recorder(other))
    model.invoke("Hi")

    assert first is second
    assert only(ledger).source_id != only(other).source_id


def test_neither_installing_nor_messages_make_langchains_list_of_hooks_longer(
    recorder: Recorder, handler: CostCallbackHandler
) -> None:
    costtrace.install(recorder)
    before = len(_configure_hooks)

    for _ in range(10_000):
        with costtrace.message(handler=handler):
            costtrace.install(recorder)
        costtrace.uninstall()

    assert len(_configure_hooks) == before


def test_carry_takes_the_message_and_its_handler_into_threads_and_executors(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)

    with costtrace.message("m1", handler=handler), ThreadPoolExecutor(4) as executor:
        work = costtrace.carry(model.invoke)
        in_a_thread(lambda: work("Hi"))
        list(executor.map(work, ["Hi"] * 8))

    assert [entry.message_uuid for entry in entries(ledger)] == ["m1"] * 9


def test_a_message_reaches_the_threads_of_asyncio_and_of_batch_by_itself(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)

    async def in_asyncio() -> None:
        await asyncio.to_thread(model.invoke, "Hi")
        await asyncio.create_task(model.ainvoke("Hi"))

    with costtrace.message("m1", handler=handler):
        model.batch(["Hi", "Hi", "Hi"])
        asyncio.run(in_asyncio())

    assert [entry.message_uuid for entry in entries(ledger)] == ["m1"] * 5


def test_two_messages_at_once_do_not_mix(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)

    async def one(uuid: str) -> None:
        with costtrace.message(uuid, handler=handler):
            await model.ainvoke(uuid)
            await model.ainvoke(uuid)

    async def both() -> None:
        await asyncio.gather(one("m1"), one("m2"))

    asyncio.run(both())

    assert len(ledger.message("m1").entries) == len(ledger.message("m2").entries) == 2


def test_a_call_that_is_under_way_ends_in_the_recorder_it_began_in(ledger: MemoryLedger) -> None:
    run_id, later = uuid.uuid4(), MemoryLedger()
    handler = costtrace.install(Recorder(ledger))
    handler.on_chat_model_start({}, [[]], run_id=run_id, metadata={"message_uuid": "m1", "ls_provider": "openai"})
    costtrace.install(Recorder(later))
    handler.on_llm_end(LLMResult(generations=[]), run_id=run_id)

    assert [entry.message_uuid for entry in entries(ledger)] == ["m1"]
    assert entries(later) == []
