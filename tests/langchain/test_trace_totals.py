"""What a root says of everything below it: the exact sum of what was recorded there, each thing once."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.callbacks import dispatch_custom_event
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider

import costtrace
from costtrace import CostCallbackHandler, Money, Recorder
from costtrace.context import NOTHING
from costtrace.langchain.described import answer_attributes
from costtrace.langchain.run_table import RunTable
from costtrace.langchain.runs import Call, Chain
from costtrace.testing import MemoryLedger
from tests.langchain.traces import Scripted, Trace, check_names, said

PRICE = Decimal("0.0075")


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


def totals(trace: Trace) -> list[dict[str, object]]:
    """What the spans say of sums, in the order they began."""
    check_names(trace.spans)
    return [
        found
        for span in sorted(trace.spans, key=lambda span: span.start_time or 0)
        if (found := said(span, "costtrace.total"))
    ]


def test_a_run_inside_another_that_names_the_handler_again_is_no_root(
    handler: CostCallbackHandler, trace: Trace
) -> None:
    model = Scripted()
    inner = RunnableLambda(str) | model

    def work(text: str) -> str:
        model.invoke(text)
        return inner.invoke(text, {"callbacks": [handler], "run_name": "inner"}).text

    (RunnableLambda(work) | RunnableLambda(str)).invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == [
        "invoke_workflow RunnableSequence",
        "  chat gpt-4o",
        "  invoke_workflow inner",
        "    chat gpt-4o",
    ]
    assert totals(trace) == [{"costtrace.total.usd": "0.015"}]


def test_a_purchase_that_is_told_of_twice_is_added_once_as_in_the_ledger(
    handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    def search(text: str) -> str:
        for _ in range(2):
            dispatch_custom_event("costtrace.cost", {"name": "search", "cost": "0.008", "source_id": "request-1"})
        return text

    with costtrace.message("m1"):
        (RunnableLambda(search) | Scripted()).invoke("Hi", {"callbacks": [handler]})

    assert ledger.message("m1").total.actual["USD"] == Decimal("0.0155")
    assert totals(trace) == [{"costtrace.total.usd": "0.0155"}]


def test_what_a_tool_records_itself_is_part_of_the_sum(
    recorder: Recorder, handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    @tool
    def search(query: str) -> str:
        """Search the web."""
        recorder.record_cost(name="search", cost=Money("0.008"))
        recorder.record_cost(name="index", estimate=Money("0.001"))
        return query

    with costtrace.message("m1"):
        (RunnableLambda(search.invoke) | Scripted()).invoke("Hi", {"callbacks": [handler]})

    assert ledger.message("m1").total.actual["USD"] == Decimal("0.0155")
    assert totals(trace) == [{"costtrace.total.usd": "0.0155", "costtrace.total.incomplete": 1}]


class FailingAtTools(SpanProcessor):
    """Raises where a tool's span begins."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's names
        if span.name.startswith("execute_tool"):
            raise ZeroDivisionError


@pytest.mark.expects_fault
def test_below_a_tool_whose_span_could_not_begin_calls_are_shown_and_added_up_all_the_same(
    provider: TracerProvider, handler: CostCallbackHandler, trace: Trace
) -> None:
    provider.add_span_processor(FailingAtTools())
    model = Scripted()

    @tool
    def look(query: str) -> str:
        """Look it up."""
        return model.invoke(query).text

    (RunnableLambda(look.invoke) | model).invoke("Hi", {"callbacks": [handler]})

    assert trace.tree() == ["invoke_workflow RunnableSequence", "  chat gpt-4o", "  chat gpt-4o"]
    assert totals(trace) == [{"costtrace.total.usd": "0.015"}]


class Struck:
    """A run id during whose use a garbage collection ends another call."""

    def __init__(self) -> None:
        self.own = uuid4()
        self.strikes: Any = None

    @property
    def int(self) -> int:
        if self.strikes is not None:
            self.strikes()
        return self.own.int


def test_a_call_that_a_collection_ends_while_its_root_ends_disturbs_nothing(recorder: Recorder) -> None:
    table, root_id, ids = RunTable(recorder.clock, lambda *_: None), uuid4(), [Struck(), Struck(), Struck()]
    root = Chain("m1", NOTHING, "scope", None)
    table.open_chain(root_id, root)
    for each in ids:
        where: Any = each
        table.open_run(Call(where, root_id, "m1", NOTHING, "parent", 0, None, None, None, recorder, root))
    ends: UUID = ids[2].own
    ids[0].strikes = lambda: table.close_call(ends)

    table.close_chain(root_id)

    ids[0].strikes = None
    assert len(table) == 2
    table.give_up_all()


def test_what_no_exporter_can_write_is_left_out() -> None:
    metadata = {"finish_reason": "stop\ud800", "id": "chatcmpl-\x00"}
    answer = LLMResult(generations=[[ChatGeneration(message=AIMessage("Hi", response_metadata=metadata))]])

    assert answer_attributes(answer) == {}
