"""Traces under load and under fire: right parents, nothing left open, and a ledger that does not care."""

import asyncio
import gc
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.testing import MemoryLedger
from tests.langchain.calls import entries, tool_runs
from tests.langchain.parts import AnnouncingLedger, EarlyUsage
from tests.langchain.traces import Scripted, Trace, id_of, said

PRICE = Decimal("0.0075")


@pytest.fixture
def recorder(ledger: MemoryLedger, provider: TracerProvider) -> Recorder:
    return Recorder(ledger, tracer_provider=provider)


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """OpenTelemetry complains of a context that it failed to detach by logging."""
    yield
    said = [record for record in caplog.get_records("call") if record.name.startswith("opentelemetry")]
    assert said == []


@tool
async def search(query: str) -> str:
    """Search the web."""
    await asyncio.sleep(0)
    return query


def test_two_thousand_at_once_each_have_a_trace_of_their_own(
    handler: CostCallbackHandler, ledger: MemoryLedger, trace: Trace
) -> None:
    model = Scripted(pause_s=0.01)

    async def work(text: str) -> str:
        await search.ainvoke({"query": text})
        first, second = await asyncio.gather(model.ainvoke(text), model.ainvoke(text))
        return str(first.text + second.text)

    chain = RunnableLambda(work).with_config(run_name="work") | RunnableLambda(str)

    async def one(number: int) -> None:
        with costtrace.message(f"m{number}"):
            await chain.ainvoke("Hi", {"callbacks": [handler]})

    async def everyone() -> None:
        await asyncio.gather(*map(one, range(2000)))

    asyncio.run(everyone())

    by_trace: dict[int, list[ReadableSpan]] = {}
    for span in trace.spans:
        assert span.context is not None
        by_trace.setdefault(span.context.trace_id, []).append(span)
    assert len(by_trace) == 2000
    for spans in by_trace.values():
        (root,) = [span for span in spans if span.parent is None]
        below = [span for span in spans if span is not root]
        assert root.name == "invoke_workflow RunnableSequence"
        assert sorted(span.name for span in below) == ["chat gpt-4o", "chat gpt-4o", "execute_tool search"]
        assert {span.parent.span_id for span in below if span.parent} == {id_of(root)}
        assert len({said(span)["costtrace.message_uuid"] for span in spans}) == 1
        assert said(root)["costtrace.total.usd"] == "0.015"
    assert len({said(span)["costtrace.message_uuid"] for span in trace.spans}) == 2000
    assert (len(entries(ledger)), len(tool_runs(ledger))) == (4000, 2000)


def test_a_stream_that_nobody_finishes_ends_its_spans_without_an_error(
    handler: CostCallbackHandler, trace: Trace
) -> None:
    async def leave(stream: Any) -> None:
        async for _ in stream:
            break
        await stream.aclose()

    chain = RunnableLambda(str) | EarlyUsage()
    for _ in chain.stream("Hi", {"callbacks": [handler]}):
        break
    gc.collect()
    asyncio.run(leave(chain.astream("Hi", {"callbacks": [handler]})))

    assert trace.tree() == ["invoke_workflow RunnableSequence", "  chat gpt-4o"] * 2
    assert [said(span)["costtrace.cancelled"] for span in trace.named("chat gpt-4o")] == [True, True]
    assert {span.status.status_code.name for span in trace.spans} == {"UNSET"}


def test_a_cancelled_call_of_which_nothing_is_told_ends_its_span(provider: TracerProvider, trace: Trace) -> None:
    ledger = AnnouncingLedger()
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))
    chain = RunnableLambda(str) | Scripted(pause_s=60)

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(chain.ainvoke("Hi", {"callbacks": [handler]}), 0.05)

    asyncio.run(ask())

    assert ledger.arrival().status == "cancelled"
    deadline = time.monotonic() + 10
    while len(trace.spans) < 2 and time.monotonic() < deadline:  # the span ends just after the entry is there
        time.sleep(0.01)
    assert trace.tree() == ["invoke_workflow RunnableSequence", "  chat gpt-4o"]
    assert {said(span)["costtrace.cancelled"] for span in trace.spans} == {True}
    assert handler.open_runs == 0


def test_a_call_that_outlives_its_chain_still_hangs_below_it(handler: CostCallbackHandler, trace: Trace) -> None:
    tasks = []
    model = Scripted(pause_s=0.05)

    async def leave(text: str) -> str:
        tasks.append(asyncio.create_task(model.ainvoke(text)))
        await asyncio.sleep(0)
        return text

    async def ask() -> None:
        await (RunnableLambda(leave) | RunnableLambda(str)).ainvoke("Hi", {"callbacks": [handler]})
        await asyncio.gather(*tasks)

    asyncio.run(ask())

    assert trace.tree() == ["invoke_workflow RunnableSequence", "  chat gpt-4o"]
    late, root = trace.only("chat gpt-4o"), trace.only("invoke_workflow RunnableSequence")
    assert (late.end_time or 0) > (root.end_time or 0)
    assert "costtrace.total.usd" not in said(root)  # nothing was known by then


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, ParentBased(TraceIdRatioBased(0.1))])
def test_sampling_changes_no_total_and_takes_whole_traces(sampler: Any, ledger: MemoryLedger, trace: Trace) -> None:
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: PLC0415 - with a sampler of its own

    provider = TracerProvider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(trace))
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))
    chain = RunnableLambda(str) | Scripted()
    for number in range(200):
        with costtrace.message(f"m{number}"):
            chain.invoke("Hi", {"callbacks": [handler]})
    provider.shutdown()

    assert [entry.cost.amount for entry in entries(ledger) if entry.cost] == [PRICE] * 200
    sampled = {entry.message_uuid for entry in entries(ledger) if entry.span is not None and entry.span.sampled}
    shown = {str(said(span)["costtrace.message_uuid"]) for span in trace.spans}
    assert shown == sampled
    assert len(trace.spans) == 2 * len(sampled)
    assert all(entry.span is not None for entry in entries(ledger))


class Raising(SpanProcessor):
    """Raises whenever it is asked anything."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002 - the SDK's names
        raise ZeroDivisionError

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - the SDK's name
        raise ZeroDivisionError


class RaisingAtTheEnd(Raising):
    """Lets spans begin."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        pass


class Blocking(SpanProcessor):
    """Takes its time with each span."""

    def on_end(self, span: ReadableSpan) -> None:  # noqa: ARG002 - the SDK's name
        time.sleep(0.05)


@pytest.mark.expects_fault
@pytest.mark.parametrize("processor", [Raising, RaisingAtTheEnd, Blocking])
def test_whatever_a_span_processor_does_the_ledger_is_complete_and_the_answer_comes(
    processor: type[SpanProcessor], ledger: MemoryLedger, caplog: pytest.LogCaptureFixture
) -> None:
    provider = TracerProvider()
    provider.add_span_processor(processor())
    handler = CostCallbackHandler(Recorder(ledger, tracer_provider=provider))

    @tool
    def look(query: str) -> str:
        """Look it up."""
        return query

    with costtrace.message("m1"), caplog.at_level(logging.CRITICAL, logger="opentelemetry"):
        answer = (RunnableLambda(look.invoke) | Scripted()).invoke("Hi", {"callbacks": [handler]})

    assert answer.text == "Sunny."
    assert ledger.message("m1").total.actual["USD"] == PRICE
    assert [entry.status for entry in tool_runs(ledger)] == ["completed"]
    assert handler.open_runs == 0
    provider.shutdown()


PROGRAM = """
import os, sys
from langchain_core.runnables import RunnableLambda
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
import costtrace
from tests.langchain.traces import Scripted

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=open(os.devnull, "w"))))
ledger = costtrace.open_ledger(sys.argv[1])
handler = costtrace.CostCallbackHandler(costtrace.Recorder(ledger, tracer_provider=provider))
chain = RunnableLambda(str) | Scripted()

def ask(uuid):
    with costtrace.message(uuid):
        chain.invoke("Hi", {"callbacks": [handler]})

def ask_and_fork(text):
    child = os.fork()
    if child == 0:
        ask("child")
        os._exit(0)
    os.waitpid(child, 0)
    return text

ask("before")
with costtrace.message("around"):
    (RunnableLambda(ask_and_fork) | Scripted()).invoke("Hi", {"callbacks": [handler]})
ask("after")
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_with_spans_on_a_fork_and_a_sudden_end_lose_no_entry(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/costs.db"
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, address], check=True, timeout=60)

    ledger = costtrace.open_ledger(address)
    found = [(entry.message_uuid, entry.cost.amount) for _, entry in ledger.entries() if entry.cost]
    assert sorted(found) == [(uuid, PRICE) for uuid in ("after", "around", "before", "child")]
    ledger.close()


ENDING = """
import sys
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.runnables import RunnableLambda
import costtrace
ledger = costtrace.open_ledger(sys.argv[1])
handler = costtrace.CostCallbackHandler(costtrace.Recorder(ledger))
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + "\\n")))
trace.set_tracer_provider(provider)
from tests.langchain.parts import EarlyUsage
stream = (RunnableLambda(str) | EarlyUsage()).stream("Hi", {"callbacks": [handler]})
next(stream)
kept = [stream]
"""


def test_at_the_end_of_the_process_what_is_open_is_shown_too(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ENDING, f"sqlite:///{tmp_path}/costs.db"],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )

    assert sorted(ran.stdout.split("\n")) == ["", "chat gpt-4o", "invoke_workflow RunnableSequence"]
