"""A graph followed event by event, in the third version of LangChain's event stream."""

import asyncio
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.graph import MessagesState

from costtrace import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import chat_model, entries, graph_of

QUESTION: Any = {"messages": [("user", "Hi")]}


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")  # LangGraph calls it experimental
def test_a_graph_records_its_call_in_both_forms(
    handler: CostCallbackHandler, ledger: MemoryLedger, server: OpenAIServer
) -> None:
    model = chat_model(server)
    graph = graph_of(MessagesState, {"ask": lambda state: {"messages": [model.invoke(state["messages"])]}})
    config: RunnableConfig = {"callbacks": [handler]}

    async def follow() -> None:
        async for _ in await graph.astream_events(QUESTION, version="v3", config=config):
            pass

    for _ in graph.stream_events(QUESTION, version="v3", config=config):
        pass
    asyncio.run(follow())

    assert [entry.status for entry in entries(ledger)] == ["completed"] * 2
    assert len({entry.message_uuid for entry in entries(ledger)}) == 2
