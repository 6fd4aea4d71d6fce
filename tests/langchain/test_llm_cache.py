"""LangChain's own cache: an answer from it was not bought, and does not change what the first one cost."""

import asyncio
from collections.abc import Iterator

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache

import costtrace
from costtrace import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import PRICE, PRICED, Mode, call, chat_model, costs, entries


@pytest.fixture(autouse=True)
def _cache() -> Iterator[None]:
    set_llm_cache(InMemoryCache())
    yield
    set_llm_cache(None)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_an_answer_from_the_cache_is_not_billed_and_its_tokens_are_not_counted(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    model = chat_model(server, callbacks=[handler])

    with costtrace.message("m1"):
        for _ in range(3):
            call(model, mode)

    paid, *hits = ledger.message("m1").entries
    assert len(server.calls) == 1
    assert (paid.cost_status, paid.usage is not None and paid.usage.flags) == ("exact", ())
    for hit in hits:
        assert hit.usage is not None
        assert (hit.cost_status, hit.usage.flags) == ("not_billed", ("llm_cache_hit",))
        assert (hit.usage.input_tokens, hit.usage.output_tokens) == (0, 0)
        assert hit.usage.raw["usage_metadata"]["total_cost"] == 0
    total = ledger.message("m1").total
    assert (total.actual.usd, total.input_tokens, total.output_tokens) == (PRICE, 1000, 500)
    assert (total.calculated, total.settled, total.complete) == (1, 2, True)


def test_a_hit_for_an_answer_whose_usage_is_not_known_is_free_as_well(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server, streaming=True, stream_usage=False, callbacks=[handler])
    model.invoke("Hi")
    model.invoke("Hi")

    assert [entry.cost_status for entry in entries(ledger)] == ["usage_missing", "not_billed"]


def test_many_hits_at_once_leave_the_paid_entry_alone(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    model = chat_model(server, callbacks=[handler])
    model.invoke("Hi")

    async def ask() -> None:
        await asyncio.gather(*(model.ainvoke("Hi") for _ in range(20)))

    asyncio.run(ask())

    assert costs(ledger) == [PRICE, *[0] * 20]


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_stream_never_comes_from_the_cache_and_is_paid_each_time(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED, PRICED)
    for _ in range(2):
        call(chat_model(server, callbacks=[handler]), mode)

    assert costs(ledger) == [PRICE, PRICE]
