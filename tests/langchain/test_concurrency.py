"""Many at once on one handler: each call under its own message, once, and nothing left open."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from langchain_core.runnables import RunnableConfig, RunnableLambda

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import chat_model, entries

CALLS = 2000


def test_two_thousand_concurrent_calls_each_join_their_own_message(server: OpenAIServer, tmp_path: Path) -> None:
    ledger = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    handler = CostCallbackHandler(Recorder(ledger))
    model = chat_model(server, timeout=120)

    async def one(number: int) -> None:
        with costtrace.message(f"m{number}", user_id=f"u{number}"):
            await model.ainvoke("Hi", {"callbacks": [handler]})

    async def everyone() -> None:
        await asyncio.gather(*map(one, range(CALLS)))

    asyncio.run(everyone())

    found = {(entry.message_uuid, entry.context.user_id, entry.cost_status) for entry in entries(ledger)}
    assert found == {(f"m{number}", f"u{number}", "exact") for number in range(CALLS)}
    assert len(entries(ledger)) == len(server.calls) == CALLS
    assert handler.open_runs == 0
    ledger.close()


def test_threads_with_chains_streams_and_handlers_of_their_own_do_not_mix(
    server: OpenAIServer, recorder: Recorder, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)
    chain = RunnableLambda(str) | model

    def work(number: int) -> None:
        own: RunnableConfig = {"callbacks": [handler, CostCallbackHandler(recorder)]}
        with costtrace.message(f"m{number}"):
            chain.invoke("Hi", own)
            list(chain.stream("Hi", own))
            model.batch(["Hi", "Ho"], own)

    with ThreadPoolExecutor(8) as executor:
        list(executor.map(work, range(40)))

    assert {len(ledger.message(f"m{number}").entries) for number in range(40)} == {4}
    assert len(entries(ledger)) == 160
