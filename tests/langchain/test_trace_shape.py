"""The shape of a trace: which runs are shown, below what, in whatever way LangChain was called."""

import operator
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListLLM
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.errors import InvalidValue
from costtrace.testing import MemoryLedger
from costtrace.tracing import names
from tests.langchain.calls import MODES, Mode, call, graph_of
from tests.langchain.traces import Scripted, Trace, asks_for, check_names, id_of, said

QUESTION: Any = {"messages": [("user", "Is it sunny in Berlin?")]}
PRICE = Decimal("0.0075")


class Notes(TypedDict):
    notes: Annotated[list[str], operator.add]


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


@pytest.fixture(autouse=True)
def _every_key_is_known(trace: Trace) -> Iterator[None]:
    yield
    check_names(trace.spans)


@tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"Sunny in {city}"


@pytest.mark.parametrize("mode", MODES)
def test_an_agent_its_model_calls_and_its_tools_are_one_tree(
    mode: Mode, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    model = Scripted(answers=[asks_for("weather", city="Berlin"), *Scripted().answers])
    agent = create_agent(model, [weather], name="forecaster")

    with costtrace.message("m1", thread_id="t1"):
        call(agent, mode, {"callbacks": [handler]}, QUESTION)

    assert trace.tree() == [
        "invoke_agent forecaster",
        "  chat gpt-4o",
        "  execute_tool weather",
        "  chat gpt-4o",
    ]
    root, used = trace.only("invoke_agent forecaster"), trace.only("execute_tool weather")
    assert {span.kind for span in trace.named("chat gpt-4o")} == {SpanKind.CLIENT}
    assert (root.kind, used.kind) == (SpanKind.INTERNAL, SpanKind.INTERNAL)
    assert said(root) == {
        "costtrace.message_uuid": "m1",
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": "t1",
        "gen_ai.agent.name": "forecaster",
        "costtrace.total.usd": "0.015",
    }
    assert said(used) == {
        "costtrace.message_uuid": "m1",
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.conversation.id": "t1",
        "gen_ai.tool.name": "weather",
        "gen_ai.tool.call.id": "call_weather",
    }
    leaves = [span for span in trace.spans if "operation.cost" in said(span)]
    assert {span.name for span in leaves} == {"chat gpt-4o"}
    assert sum(Decimal(str(said(span)["costtrace.cost.usd"])) for span in leaves) == 2 * PRICE
    assert ledger.message("m1").total.actual["USD"] == 2 * PRICE


def test_a_call_on_its_own_is_its_own_root(handler: CostCallbackHandler, trace: Trace) -> None:
    Scripted().invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == ["chat gpt-4o"]
    assert "costtrace.total.usd" not in said(trace.spans[0])


@pytest.mark.parametrize("mode", MODES)
def test_of_chains_only_the_root_is_shown(mode: Mode, handler: CostCallbackHandler, trace: Trace) -> None:
    inner = RunnableLambda(str) | Scripted()
    chain = (RunnableLambda(str) | RunnableParallel(a=inner, b=inner)).with_config(run_name="compare")

    call(chain, mode, {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow compare", "  chat gpt-4o", "  chat gpt-4o"]
    assert said(trace.only("invoke_workflow compare"), "gen_ai.workflow") == {"gen_ai.workflow.name": "compare"}


def test_inner_chains_are_shown_when_all_is_asked_for(
    ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, spans="all"))
    chain = RunnableLambda(str).with_config(run_name="first") | Scripted()

    chain.invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow RunnableSequence", "  invoke_workflow first", "  chat gpt-4o"]
    assert [span.name for span in trace.spans if "costtrace.total.usd" in said(span)] == [
        "invoke_workflow RunnableSequence"
    ]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_nodes_that_run_side_by_side_are_siblings(mode: Mode, handler: CostCallbackHandler, trace: Trace) -> None:
    model = Scripted()

    def ask(_: Notes) -> dict[str, list[str]]:
        return {"notes": [model.invoke("Hi").text]}

    graph = graph_of(Notes, {"north": ask, "south": ask, "west": ask})
    call(graph, mode, {"callbacks": [handler]}, {"notes": []})

    assert trace.tree() == ["invoke_workflow LangGraph", *["  chat gpt-4o"] * 3]
    assert said(trace.only("invoke_workflow LangGraph"))["costtrace.total.usd"] == "0.0225"


def test_a_graph_shows_its_nodes_when_all_is_asked_for(
    ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, spans="all"))
    model = Scripted()

    def ask(_: Notes) -> dict[str, list[str]]:
        return {"notes": [model.invoke("Hi").text]}

    graph_of(Notes, {"north": ask}).invoke({"notes": []}, {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow LangGraph", "  invoke_workflow north", "    chat gpt-4o"]


def test_an_agent_inside_another_ones_tool_hangs_below_the_tool(handler: CostCallbackHandler, trace: Trace) -> None:
    expert = create_agent(Scripted(), [], name="expert")
    nameless = create_agent(Scripted(), [])

    @tool
    def ask_expert(question: str) -> str:
        """Ask somebody who knows."""
        nameless.invoke(QUESTION)
        expert.invoke(QUESTION)
        return question

    model = Scripted(answers=[asks_for("ask_expert", question="?"), *Scripted().answers])
    create_agent(model, [ask_expert], name="clerk").invoke(QUESTION, {"callbacks": [handler]})

    assert trace.tree() == [
        "invoke_agent clerk",
        "  chat gpt-4o",
        "  execute_tool ask_expert",
        "    chat gpt-4o",  # an agent without a name, inside another, looks like any graph
        "    invoke_agent expert",
        "      chat gpt-4o",
        "  chat gpt-4o",
    ]
    assert [span.name for span in trace.spans if "costtrace.total.usd" in said(span)] == ["invoke_agent clerk"]


def test_an_agent_is_known_as_a_node_and_in_a_chain_also_without_a_name(
    handler: CostCallbackHandler, trace: Trace
) -> None:
    graph = StateGraph[Any, Any, Any, Any](MessagesState)
    graph.add_node("researcher", create_agent(Scripted(), [], name="researcher"))
    graph.add_edge(START, "researcher")
    nameless: Any = create_agent(Scripted(), [])
    wrapper = RunnableLambda(nameless.invoke).with_config(run_name="wrapper")

    graph.compile(name="desk").invoke(QUESTION, {"callbacks": [handler]})
    wrapper.invoke(QUESTION, {"callbacks": [handler]})

    assert trace.tree() == [
        "invoke_workflow desk",
        "  invoke_agent researcher",
        "    chat gpt-4o",
        "invoke_workflow wrapper",
        "  invoke_agent LangGraph",
        "    chat gpt-4o",
    ]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_a_call_whose_callbacks_were_replaced_still_hangs_below_the_run_it_is_in(
    mode: Mode, handler: CostCallbackHandler, trace: Trace
) -> None:
    model = Scripted()

    def ask(_: Notes) -> dict[str, list[str]]:
        return {"notes": [model.invoke("Hi", {"callbacks": [handler]}).text]}

    call(graph_of(Notes, {"north": ask}), mode, {"callbacks": [handler]}, {"notes": []})

    assert trace.tree() == ["invoke_workflow LangGraph", "  chat gpt-4o"]
    assert said(trace.only("invoke_workflow LangGraph"))["costtrace.total.usd"] == "0.0075"


def test_a_span_that_the_application_opens_in_a_node_is_above_the_calls_in_it(
    handler: CostCallbackHandler, provider: TracerProvider, trace: Trace
) -> None:
    tracer, model = provider.get_tracer("the application"), Scripted()

    def ask(_: Notes) -> dict[str, list[str]]:
        model.invoke("before")
        with tracer.start_as_current_span("step"):
            model.invoke("inside")
        model.invoke("after")
        return {"notes": []}

    with tracer.start_as_current_span("request"):
        graph_of(Notes, {"north": ask}).invoke({"notes": []}, {"callbacks": [handler]})

    assert trace.tree() == [
        "request",
        "  invoke_workflow LangGraph",
        "    chat gpt-4o",
        "    chat gpt-4o",
        "  step",  # nothing is ever attached, so the application's span knows of nothing in between
        "    chat gpt-4o",
    ]


def test_a_span_of_another_trace_that_is_current_takes_no_call_away(
    handler: CostCallbackHandler, provider: TracerProvider, trace: Trace
) -> None:
    tracer, model = provider.get_tracer("somebody else"), Scripted()

    def ask(_: Notes) -> dict[str, list[str]]:
        with tracer.start_as_current_span("detached"):
            model.invoke("Hi")
        return {"notes": []}

    graph_of(Notes, {"north": ask}).invoke({"notes": []}, {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow LangGraph", "  chat gpt-4o", "detached"]


def test_nothing_is_left_current_by_a_run(handler: CostCallbackHandler) -> None:
    chain = RunnableLambda(str) | Scripted()
    for _ in chain.stream("Hi", {"callbacks": [handler]}):
        assert not get_current_span().get_span_context().is_valid
    chain.invoke("Hi", {"callbacks": [handler]})
    assert not get_current_span().get_span_context().is_valid


def test_an_attempt_links_to_the_one_before_it_that_failed(handler: CostCallbackHandler, trace: Trace) -> None:
    model = Scripted(answers=[TimeoutError("one"), TimeoutError("two"), *Scripted().answers])
    retried = model.with_retry(retry_if_exception_type=(TimeoutError,), wait_exponential_jitter=False)

    (RunnableLambda(str) | retried).invoke("Hi", {"callbacks": [handler]})

    first, second, third = trace.named("chat gpt-4o")
    assert [span.status.status_code for span in (first, second, third)] == [
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.UNSET,
    ]
    assert not first.links
    for span, before in ((second, first), (third, second)):
        assert [(link.context.span_id, dict(link.attributes or {})) for link in span.links] == [
            (id_of(before), {"costtrace.link.type": "retry_of"})
        ]
    assert [said(span)["error.type"] for span in (first, second)] == ["TimeoutError", "TimeoutError"]


def test_a_failure_is_an_error_on_each_run_it_passed_and_its_text_on_none(
    handler: CostCallbackHandler, trace: Trace
) -> None:
    chain = RunnableLambda(str) | Scripted(answers=[ValueError("what the customer said")])
    with pytest.raises(ValueError, match="customer"):
        chain.invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow RunnableSequence", "  chat gpt-4o"]
    for span in trace.spans:
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, None)
        assert said(span)["error.type"] == "ValueError"
        assert "customer" not in span.to_json()
        assert not span.events
    assert said(trace.only("invoke_workflow RunnableSequence"), "costtrace.total") == {"costtrace.total.incomplete": 1}


def test_a_graph_that_stops_to_ask_somebody_has_not_failed(
    ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415 - beside the test that needs it

    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, spans="all"))

    def ask(_: Notes) -> dict[str, list[str]]:
        return {"notes": [interrupt("May I?")]}

    graph = graph_of(Notes, {"north": ask}, checkpointer=InMemorySaver())
    graph.invoke({"notes": []}, {"callbacks": [handler], "configurable": {"thread_id": "t1"}})

    assert trace.tree() == ["invoke_workflow LangGraph", "  invoke_workflow north"]
    assert {span.status.status_code for span in trace.spans} == {StatusCode.UNSET}
    assert said(trace.only("invoke_workflow north"))["costtrace.interrupted"] is True
    assert said(trace.only("invoke_workflow north"))["gen_ai.conversation.id"] == "t1"


def test_a_text_model_is_a_text_completion(handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace) -> None:
    FakeListLLM(responses=["Sunny."]).invoke("Hi", {"callbacks": [handler]})

    (span,) = trace.spans
    assert said(span)["gen_ai.operation.name"] == "text_completion"
    assert span.name.startswith("text_completion")
    assert [entry.details["operation"] for _, entry in ledger.entries()] == ["text_completion"]


class Shelf(BaseRetriever):
    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:  # noqa: ARG002 - LangChain's names
        return []


def test_a_search_for_documents_is_shown_as_a_root_or_when_all_is_asked_for(
    ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    shelf = Shelf(name="shelf")
    for spans in ("leaf", "all"):
        handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, spans=spans))
        (RunnableLambda(str) | shelf).with_config(run_name=spans).invoke("Hi", {"callbacks": [handler]})
        ledger = MemoryLedger()
    shelf.invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == [
        "invoke_workflow leaf",
        "invoke_workflow all",
        "  invoke_workflow str",
        "  retrieval shelf",
        "retrieval shelf",
    ]


@pytest.mark.parametrize("mode", MODES)
def test_switched_off_there_is_no_span_and_no_reference_to_one(
    mode: Mode, ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider, spans="off"))

    call(RunnableLambda(str) | Scripted(), mode, {"callbacks": [handler]})

    assert trace.spans == []
    assert [(entry.span, entry.cost is not None) for _, entry in ledger.entries()] == [(None, True)]


def test_the_kinds_that_openinference_viewers_draw_are_told_on_request(
    ledger: MemoryLedger, provider: TracerProvider, trace: Trace
) -> None:
    recorder = Recorder(ledger, tracer_provider=provider, span_presets=["openinference"])
    model = Scripted(answers=[asks_for("weather", city="Berlin"), *Scripted().answers])
    agent: Any = create_agent(model, [weather], name="forecaster")

    RunnableLambda(agent.invoke).invoke(QUESTION, {"callbacks": [CostCallbackHandler(recorder)]})

    kinds = {span.name.split()[0]: said(span)["openinference.span.kind"] for span in trace.spans}
    assert kinds == {"invoke_workflow": "CHAIN", "invoke_agent": "AGENT", "chat": "LLM", "execute_tool": "TOOL"}


@pytest.mark.parametrize(
    ("option", "choices"),
    [
        ({"spans": "some"}, names.SPANS),
        ({"span_presets": ["posthog", "grafana"]}, names.PRESETS),
        ({"span_presets": "posthog"}, names.PRESETS),
        ({"callback_span": "parent"}, names.CALLBACK_SPANS),
    ],
)
def test_a_word_that_is_not_known_is_refused_with_those_that_are(
    ledger: MemoryLedger, option: dict[str, Any], choices: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidValue, match=", ".join(choices)) as refused:
        Recorder(ledger, **option)

    assert refused.value.field == next(iter(option))
