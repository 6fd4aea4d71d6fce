"""Real chat models on the stand-in, the ways LangChain has to call one, and what was recorded of it."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, get_args

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import RetryPolicy
from pydantic import SecretStr

from costtrace import Entry, Ledger
from costtrace.entry import Kind
from costtrace.sandbox.openai import OpenAIServer, Reply

Mode = Literal["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

MILLION: Final = Decimal(1_000_000)
PRICED: Final = Reply(usage={"prompt_tokens": 1000, "completion_tokens": 500})
"""A reply of 1000 tokens in and 500 out, and below it what OpenAI asks for that: 2.50 and 10.00 dollars a million."""
PRICE: Final = Decimal("0.0075")


def chat_model(server: OpenAIServer, model: str = "gpt-4o", **options: Any) -> ChatOpenAI:
    settings: dict[str, Any] = {
        "base_url": server.base_url,
        "stream_usage": True,
        "max_retries": 0,
        "timeout": 30,
        # LangChain keeps its clients beyond the event loops of single tests; a connection must not outlive its loop.
        "default_headers": {"connection": "close"},
        **options,
    }
    return ChatOpenAI(model=model, api_key=SecretStr("sk-local"), **settings)


def call(runnable: Runnable[Any, Any], mode: Mode, config: RunnableConfig | None = None, prompt: Any = "Hi") -> Any:
    """One call, in one of LangChain's ways."""
    match mode:
        case "invoke":
            return runnable.invoke(prompt, config)
        case "stream":
            return list(runnable.stream(prompt, config))
        case "batch":
            return runnable.batch([prompt], config)
        case _:
            return asyncio.run(acall(runnable, mode, config, prompt))


async def acall(runnable: Runnable[Any, Any], mode: Mode, config: RunnableConfig | None, prompt: Any = "Hi") -> Any:
    match mode:
        case "ainvoke":
            return await runnable.ainvoke(prompt, config)
        case "astream":
            return [chunk async for chunk in runnable.astream(prompt, config)]
        case "abatch":
            return await runnable.abatch([prompt], config)
        case _:
            raise AssertionError(mode)


def graph_of(
    state: type,
    nodes: Mapping[str, Any],
    *,
    checkpointer: InMemorySaver | None = None,
    retry_policy: RetryPolicy | None = None,
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph whose nodes all begin at its start."""
    graph = StateGraph[Any, Any, Any, Any](state)
    for name, node in nodes.items():
        graph.add_node(name, node, retry_policy=retry_policy)
        graph.add_edge(START, name)
    return graph.compile(checkpointer=checkpointer)


def entries(ledger: Ledger) -> list[Entry]:
    """What was recorded, but for the runs of tools, which cost nothing."""
    return [entry for _, entry in ledger.entries() if entry.kind != Kind.TOOL_RUN]


def tool_runs(ledger: Ledger) -> list[Entry]:
    return [entry for _, entry in ledger.entries() if entry.kind == Kind.TOOL_RUN]


def only(ledger: Ledger) -> Entry:
    (entry,) = entries(ledger)
    return entry


def amount(entry: Entry) -> Decimal | None:
    return None if entry.cost is None else entry.cost.amount


def costs(ledger: Ledger) -> list[Decimal | None]:
    return [amount(entry) for entry in entries(ledger)]
