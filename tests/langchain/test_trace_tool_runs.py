"""Runs of tools: in the ledger with how they ended, in the trace, and in no total."""

import asyncio
import uuid
from decimal import Decimal
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, ToolException, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import StatusCode

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.entry import Entry
from costtrace.langchain.run_table import CANCELLED_GRACE_NS, TTL_NS
from costtrace.money import Money
from costtrace.reports import report
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, Mode, call, tool_runs
from tests.langchain.parts import AnnouncingLedger, Clock
from tests.langchain.traces import Scripted, Trace, asks_for, id_of, said

ASKED: Any = {"type": "tool_call", "name": "search", "args": {"query": "a secret"}, "id": "call_1"}


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


@tool
def search(query: str) -> str:
    """Search the web."""
    return f"found {query}"


def failing(error: BaseException, *, handled: bool = False) -> BaseTool:
    @tool
    def search(query: str) -> str:  # noqa: ARG001 - the model gives it
        """Search the web."""
        raise error

    search.handle_tool_error = handled
    return search


def only_run(ledger: MemoryLedger) -> Entry:
    (entry,) = tool_runs(ledger)
    return entry


def only_span(trace: Trace) -> ReadableSpan:
    return trace.only("execute_tool search")


@pytest.mark.parametrize("mode", MODES)
def test_each_run_of_a_tool_is_an_entry_without_money_that_names_its_span(
    mode: Mode, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    with costtrace.message("m1", user_id="u1"):
        call(search, mode, {"callbacks": [handler, handler]}, ASKED)

    entry, span = only_run(ledger), only_span(trace)
    assert entry.entry_id == f"tool-run/{entry.source_id}/{int(entry.occurred_at.timestamp() * 1e6 + 0.5)}"
    assert (entry.message_uuid, entry.context.user_id, entry.status) == ("m1", "u1", "completed")
    assert dict(entry.details) == {"tool": "search", "tool_call_id": "call_1"}
    assert (entry.cost, entry.estimate, entry.quote, entry.usage, entry.standing) == (None, None, None, None, None)
    assert entry.duration_us is not None
    assert entry.span is not None
    assert int(entry.span.span_id, 16) == id_of(span)
    assert span.start_time is not None
    assert span.end_time is not None
    assert abs((span.end_time - span.start_time) // 1000 - entry.duration_us) <= 1
    assert "secret" not in f"{entry!r} {span.to_json()}"
    message = ledger.message("m1")
    assert message.total.actual == {}
    assert (message.total.settled, message.total.calculated, message.total.unpriced) == (0, 0, 0)


def test_it_names_the_run_that_it_is_part_of(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    agent = create_agent(Scripted(answers=[asks_for("search", query="x"), *Scripted().answers]), [search])
    question: Any = {"messages": [("user", "Hi")]}

    agent.invoke(question, {"callbacks": [handler]})

    details = dict(only_run(ledger).details)
    assert uuid.UUID(str(details.pop("parent_run_id")))
    assert details == {"message_from": "run", "tool": "search", "tool_call_id": "call_search"}


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_tool_that_fails_says_the_class_of_its_failure(
    mode: Mode, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    with pytest.raises(ZeroDivisionError):
        call(failing(ZeroDivisionError("a secret")), mode, {"callbacks": [handler]}, ASKED)

    entry, span = only_run(ledger), only_span(trace)
    assert (entry.status, entry.error) == ("failed", "ZeroDivisionError")
    assert (span.status.status_code, said(span)["error.type"]) == (StatusCode.ERROR, "ZeroDivisionError")
    assert "secret" not in f"{entry!r} {span.to_json()}"


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_failure_that_the_tool_turns_into_an_answer_is_a_failure_all_the_same(
    mode: Mode, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    broken = failing(ToolException("a secret"), handled=True)

    assert call(broken, mode, {"callbacks": [handler]}, ASKED).status == "error"

    assert (only_run(ledger).status, only_run(ledger).error) == ("failed", "tool_error")
    assert said(only_span(trace))["error.type"] == "tool_error"


def test_a_failure_that_the_graph_turns_into_an_answer_is_one_of_the_tool_only(
    handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    graph = StateGraph[Any, Any, Any, Any](MessagesState)
    graph.add_node("tools", ToolNode([failing(ValueError("a secret"))], handle_tool_errors=True))
    graph.add_edge(START, "tools")
    called: Any = {"messages": [asks_for("search", query="x")]}
    graph.compile().invoke(called, {"callbacks": [handler]})

    assert (only_run(ledger).status, only_run(ledger).error) == ("failed", "ValueError")
    assert {span.status.status_code for span in trace.spans if span.name.startswith("invoke_")} == {StatusCode.UNSET}


def test_a_tool_that_stops_to_ask_somebody_is_interrupted_and_runs_again(
    handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    @tool
    def search(query: str) -> str:
        """Search the web."""
        return str(interrupt(query))

    model = Scripted(answers=[asks_for("search", query="x"), *Scripted().answers])
    agent = create_agent(model, [search], checkpointer=InMemorySaver())
    question: Any = {"messages": [("user", "Hi")]}

    agent.invoke(question, {"callbacks": [handler], "configurable": {"thread_id": "t1"}})

    assert (only_run(ledger).status, only_run(ledger).error) == ("interrupted", None)
    assert said(only_span(trace))["costtrace.interrupted"] is True
    assert only_span(trace).status.status_code is StatusCode.UNSET


def test_a_tool_that_is_cancelled_with_its_chain_is_cancelled(provider: TracerProvider, trace: Trace) -> None:
    @tool
    async def search(query: str) -> str:
        """Search the web."""
        await asyncio.Event().wait()
        return query

    ledger = AnnouncingLedger()
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))
    chain = RunnableLambda(lambda _: ASKED) | search

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chain.ainvoke("x", {"callbacks": [handler]}), 0.05)

    asyncio.run(ask())

    run = ledger.arrival()  # LangChain tells nothing of the tool, so the chain's end is the only sign
    assert (run.kind, run.status, run.error) == ("tool-run", "cancelled", None)
    assert trace.tree() == ["invoke_workflow RunnableSequence", "  execute_tool search"]
    assert {said(span)["costtrace.cancelled"] for span in trace.spans} == {True}
    assert {span.status.status_code for span in trace.spans} == {StatusCode.UNSET}
    assert handler.open_runs == 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(ledger: MemoryLedger, provider: TracerProvider, clock: Clock) -> CostCallbackHandler:
    return CostCallbackHandler(Recorder(ledger, tracer_provider=provider, clock=clock))


def test_a_tool_whose_end_never_comes_is_given_up_after_its_root_was_cancelled(
    timed: CostCallbackHandler, clock: Clock, ledger: MemoryLedger, trace: Trace
) -> None:
    root, run = uuid.uuid4(), uuid.uuid4()
    timed.on_chain_start({}, {}, run_id=root, name="chain")
    timed.on_tool_start({"name": "search"}, "", run_id=run, parent_run_id=root)
    timed.on_chain_error(asyncio.CancelledError(), run_id=root)
    assert tool_runs(ledger) == []

    clock.now += CANCELLED_GRACE_NS
    timed.sweep()

    assert (only_run(ledger).status, only_run(ledger).duration_us) == ("cancelled", None)
    assert said(only_span(trace))["costtrace.cancelled"] is True
    assert trace.tree() == ["invoke_workflow chain", "  execute_tool search"]
    assert timed.open_runs == 0


def test_a_tool_that_ends_after_it_was_given_up_is_told_again(
    timed: CostCallbackHandler, clock: Clock, ledger: MemoryLedger, trace: Trace
) -> None:
    run = uuid.uuid4()
    timed.on_tool_start({"name": "search"}, "", run_id=run)
    clock.now += TTL_NS + 1
    timed.sweep()
    timed.on_tool_end("found", run_id=run)
    timed.on_tool_end("found", run_id=run)

    given_up, late = tool_runs(ledger)
    assert (given_up.status, late.status) == ("abandoned", "completed")
    assert (late.details["late"], late.details["corrects"]) == (True, given_up.entry_id)
    assert late.duration_us == (TTL_NS + 1) // 1000
    assert given_up.span == late.span
    assert said(only_span(trace))["costtrace.abandoned"] is True
    assert timed.open_runs == 0


def test_what_a_tool_costs_stands_beside_its_run(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    @tool
    def buy(query: str) -> str:
        """Search the web, for money."""
        handler.recorder.record_cost(name="search-api", cost=Money("0.008"))
        return query

    with costtrace.message("m1"):
        buy.invoke({"query": "x"}, {"callbacks": [handler]})

    assert len(tool_runs(ledger)) == 1
    (row,) = report(ledger, ["kind"]).rows
    assert (row.key, dict(row.total.actual)) == (("tool",), {"USD": Decimal("0.008")})
