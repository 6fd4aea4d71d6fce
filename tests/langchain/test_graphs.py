"""LangGraph and agents: one run of a graph is one message, whoever calls a model in it."""

import operator
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState, ModelFallbackMiddleware, SummarizationMiddleware
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import MessagesState
from langgraph.runtime import Runtime
from langgraph.types import Command, RetryPolicy, interrupt

import costtrace
from costtrace import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import PRICE, PRICED, Mode, call, chat_model, entries, graph_of, tool_runs

pytestmark = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])

QUESTION = {"messages": [("user", "What is the weather in Berlin?")]}


class Notes(TypedDict):
    notes: Annotated[list[str], operator.add]


def messages_of(ledger: MemoryLedger) -> set[str]:
    return {entry.message_uuid for entry in entries(ledger)}


def weather_tool(server: OpenAIServer) -> BaseTool:
    @tool
    def weather(city: str) -> str:
        """Look up the weather of a city."""
        return chat_model(server, "gpt-4o-mini").invoke(f"Sun in {city}?").text

    @tool("weather")
    async def async_weather(city: str) -> str:
        """Look up the weather of a city."""
        return (await chat_model(server, "gpt-4o-mini").ainvoke(f"Sun in {city}?")).text

    weather.coroutine = async_weather.coroutine  # type: ignore[attr-defined] # both ways, as a real tool offers them
    return weather


def test_an_agent_whose_tool_asks_a_model_is_one_message(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    agent = create_agent(chat_model(server), tools=[weather_tool(server)])

    call(agent, mode, {"callbacks": [handler]}, QUESTION)

    found = entries(ledger)
    assert [entry.requested_model for entry in found] == ["gpt-4o", "gpt-4o-mini", "gpt-4o"]
    (uuid,) = messages_of(ledger)
    assert len(server.calls) == 3
    assert len(ledger.message(uuid).entries) == 3 + len(tool_runs(ledger)) == 4
    assert all("parent_run_id" in entry.details for entry in found)


@pytest.mark.parametrize("stream_usage", [True, None])
def test_a_graph_that_streams_messages_turns_its_calls_into_streams_that_are_recorded_as_well(
    mode: Mode, *, stream_usage: bool | None, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    agent = create_agent(chat_model(server, stream_usage=stream_usage)).bind(stream_mode="messages")

    call(agent, mode, {"callbacks": [handler]}, QUESTION)

    assert [call.streamed for call in server.calls] == [True]
    assert [entry.cost_status for entry in entries(ledger)] == ["exact" if stream_usage else "usage_missing"]


class Reviewing(AgentMiddleware[Any, Any]):
    """Has another model look at the question first."""

    def __init__(self, server: OpenAIServer) -> None:
        super().__init__()
        self.model = chat_model(server, "gpt-4o-mini")

    def before_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002 - their names
        self.model.invoke(state["messages"])

    async def abefore_model(self, state: AgentState[Any], runtime: Runtime[Any]) -> None:  # noqa: ARG002 - their names
        await self.model.ainvoke(state["messages"])


def test_models_that_middleware_asks_belong_to_the_message(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    agent = create_agent(chat_model(server), middleware=[Reviewing(server)])

    call(agent, mode, {"callbacks": [handler]}, QUESTION)

    assert [entry.requested_model for entry in entries(ledger)] == ["gpt-4o-mini", "gpt-4o"]
    assert len(messages_of(ledger)) == 1


def test_middleware_that_falls_back_and_summarizes_is_recorded_call_by_call(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    agent = create_agent(
        chat_model(server, "gpt-4o-error-500"),
        middleware=[
            SummarizationMiddleware(chat_model(server, "gpt-4.1-mini"), trigger=("messages", 4), keep=("messages", 1)),
            ModelFallbackMiddleware(chat_model(server, "gpt-4o-mini")),
        ],
    )
    said = [("user", "Hi"), ("assistant", "Hello"), ("user", "Well"), ("assistant", "So?"), ("user", "Bye")]

    with costtrace.message("m1"):
        call(agent, mode, {"callbacks": [handler]}, {"messages": said})

    found = [(entry.requested_model, entry.status) for entry in ledger.message("m1").entries]
    assert found == [("gpt-4.1-mini", "completed"), ("gpt-4o-error-500", "failed"), ("gpt-4o-mini", "completed")]
    assert len(server.calls) == 3


def asking(server: OpenAIServer, model: str) -> RunnableLambda[Any, Any]:
    def ask(_: Notes, config: RunnableConfig) -> Notes:
        return {"notes": [chat_model(server, model).invoke("Hi", config).text]}

    async def aask(_: Notes, config: RunnableConfig) -> Notes:
        return {"notes": [(await chat_model(server, model).ainvoke("Hi", config)).text]}

    return RunnableLambda(ask, aask)


def test_parallel_nodes_and_subgraphs_are_one_message(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    left = graph_of(Notes, {name: asking(server, name) for name in ("gpt-4o", "gpt-4o-mini", "gpt-4.1")})
    right = graph_of(Notes, {name: asking(server, name) for name in ("gpt-4o", "gpt-4o-mini", "gpt-4.1-mini")})

    call(graph_of(Notes, {"left": left, "right": right}), mode, {"callbacks": [handler]}, {"notes": []})

    assert len(entries(ledger)) == len(server.calls) == 6
    assert len(messages_of(ledger)) == 1


def test_an_interrupted_node_asks_again_when_it_is_resumed_and_is_billed_again(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    def node(_: MessagesState) -> dict[str, Any]:
        answer = chat_model(server).invoke("Hi")
        interrupt("May I?")
        return {"messages": [answer]}

    graph = graph_of(MessagesState, {"node": node}, checkpointer=InMemorySaver())
    config: RunnableConfig = {"callbacks": [handler], "configurable": {"thread_id": "t1"}}
    server.script(PRICED, PRICED)

    with costtrace.message("m1"):
        call(graph, mode, config, QUESTION)
        call(graph, mode, config, Command(resume=True))

    total = ledger.message("m1").total
    assert (total.calculated, total.actual.usd) == (2, 2 * PRICE)


def test_a_node_that_is_tried_again_is_billed_for_each_try(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    tries = []

    def node(_: Notes) -> Notes:
        tries.append(chat_model(server).invoke("Hi"))
        if len(tries) == 1:
            raise ConnectionError
        return {"notes": ["well"]}

    graph = graph_of(Notes, {"node": node}, retry_policy=RetryPolicy(initial_interval=0.01, max_attempts=2))
    call(graph, mode, {"callbacks": [handler]}, {"notes": []})

    assert [entry.status for entry in entries(ledger)] == ["completed"] * 2
    assert len(messages_of(ledger)) == 1


def test_the_conversation_is_the_thread_of_the_graph(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    agent = create_agent(chat_model(server), checkpointer=InMemorySaver())
    config: RunnableConfig = {"callbacks": [handler], "configurable": {"thread_id": "t1"}}

    for _ in range(2):
        with costtrace.message(user_id="u1"):
            call(agent, mode, config, QUESTION)

    assert {(entry.context.user_id, entry.context.thread_id) for entry in entries(ledger)} == {("u1", "t1")}
    assert len(messages_of(ledger)) == 2


def test_a_failing_graph_keeps_what_was_paid_and_leaves_nothing_open(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    server.script(PRICED)
    chain = chat_model(server) | RunnableLambda(fail)

    with costtrace.message("m1"), pytest.raises(ZeroDivisionError):
        call(chain, mode, {"callbacks": [handler]}, "Hi")

    assert ledger.message("m1").total.actual.usd == PRICE
