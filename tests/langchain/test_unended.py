"""Calls whose end LangChain never reports, or reports late: none is lost, none stays open, and memory stays bounded."""

import asyncio
import gc
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig, RunnableLambda

import costtrace
from costtrace import CostCallbackHandler, Entry, Recorder
from costtrace.langchain.run_table import MAX_OPEN
from costtrace.sandbox.openai import OpenAIServer, Reply
from tests.langchain.calls import PRICE, PRICED, amount, chat_model, costs, entries, only
from tests.langchain.parts import MINUTE, SECOND, AnnouncingLedger, Clock

NEVER = Reply(delay_s=600)
GPT_4O = {"ls_provider": "openai", "ls_model_name": "gpt-4o"}
NO_ANSWER = LLMResult(generations=[])


@pytest.fixture
def ledger() -> AnnouncingLedger:
    return AnnouncingLedger()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(ledger: AnnouncingLedger, clock: Clock) -> Iterator[CostCallbackHandler]:
    """A handler whose time stands still unless the test moves it."""
    handler = CostCallbackHandler(Recorder(ledger, clock=clock))
    yield handler
    handler.close()
    assert handler.open_runs == 0


def time_out(runnable: Any, config: RunnableConfig, prompt: Any = "Hi", *, after_s: float = 0.3) -> None:
    """Ask, and lose patience."""

    async def ask() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runnable.ainvoke(prompt, config), after_s)

    asyncio.run(ask())


def is_without_answer(entry: Entry, status: str) -> bool:
    return (entry.status, entry.cost, entry.cost_status, entry.duration_us) == (status, None, "usage_missing", None)


def begin(handler: CostCallbackHandler, *, parent: uuid.UUID | None = None) -> uuid.UUID:
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id, parent_run_id=parent, metadata=GPT_4O)
    return run_id


def begin_chain(handler: CostCallbackHandler) -> uuid.UUID:
    run_id = uuid.uuid4()
    handler.on_chain_start({}, {}, run_id=run_id)
    return run_id


def test_the_call_of_a_cancelled_chain_is_closed_as_cancelled_after_a_moment(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(NEVER)

    with costtrace.message("m1"):
        time_out(RunnableLambda(str) | chat_model(server), {"callbacks": [handler]})

    assert is_without_answer(ledger.arrival(), "cancelled")
    assert ledger.message("m1").total.unpriced == 1


def test_the_call_of_a_cancelled_agent_is_closed_as_cancelled_after_a_moment(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(NEVER)

    time_out(create_agent(chat_model(server)), {"callbacks": [handler]}, {"messages": [("user", "Hi")]}, after_s=0.6)

    assert is_without_answer(ledger.arrival(), "cancelled")


def test_a_cancelled_call_below_nothing_is_closed_with_the_handler(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(NEVER)
    with costtrace.message("m1"):
        time_out(chat_model(server), {"callbacks": [handler]})
    assert (handler.open_runs, entries(ledger)) == (1, [])

    handler.close()

    assert is_without_answer(only(ledger), "abandoned")
    assert only(ledger).message_uuid == "m1"


def test_it_is_given_up_after_an_hour(ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock) -> None:
    first = begin(timed)
    clock.now += 59 * MINUTE
    begin(timed)
    assert entries(ledger) == []

    clock.now += 2 * MINUTE
    begin(timed)

    assert is_without_answer(only(ledger), "abandoned")
    assert only(ledger).source_id == str(first)
    assert timed.open_runs == 2


def test_a_sweep_gives_it_up_where_no_other_call_begins(
    ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock
) -> None:
    begin(timed)
    clock.now += 61 * MINUTE
    timed.sweep()

    assert is_without_answer(only(ledger), "abandoned")
    assert timed.open_runs == 0


def test_it_is_given_up_when_too_many_are_open(ledger: AnnouncingLedger, timed: CostCallbackHandler) -> None:
    first = begin(timed)
    for _ in range(MAX_OPEN + 9):
        begin(timed)

    assert timed.open_runs == MAX_OPEN
    found = entries(ledger)
    assert len(found) == 10
    assert found[0].source_id == str(first)


def test_a_call_that_outlives_its_chain_has_two_minutes(
    ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock
) -> None:
    root = begin_chain(timed)
    call = begin(timed, parent=root)
    timed.on_chain_end({}, run_id=root)

    clock.now += 119 * SECOND
    timed.sweep()
    assert entries(ledger) == []
    clock.now += SECOND
    timed.sweep()

    assert is_without_answer(only(ledger), "abandoned")
    assert (only(ledger).source_id, only(ledger).message_uuid) == (str(call), str(root))


def test_a_cancelled_call_does_not_wait_behind_one_that_has_more_time(
    ledger: AnnouncingLedger, handler: CostCallbackHandler
) -> None:
    outlived, cancelled = begin_chain(handler), begin_chain(handler)
    patient, hurried = begin(handler, parent=outlived), begin(handler, parent=cancelled)
    handler.on_chain_end({}, run_id=outlived)
    handler.on_chain_error(asyncio.CancelledError(), run_id=cancelled)

    assert ledger.arrival().source_id == str(hurried)
    handler.on_llm_end(NO_ANSWER, run_id=patient)


def test_sweeping_often_starts_no_threads(timed: CostCallbackHandler) -> None:
    root = begin_chain(timed)
    begin(timed, parent=root)
    timed.on_chain_end({}, run_id=root)
    before = threading.active_count()

    for _ in range(100):
        timed.sweep()

    assert threading.active_count() == before


def test_an_end_that_comes_after_it_was_given_up_is_recorded_beside_it(
    server: OpenAIServer, ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock
) -> None:
    server.script(PRICED)
    config: RunnableConfig = {"callbacks": [timed, timed]}
    with costtrace.message("m1"):
        stream = (RunnableLambda(str) | chat_model(server)).stream("Hi", config)
        next(stream)
    timed.close()
    clock.now += SECOND
    list(stream)

    given_up, late = ledger.message("m1").entries
    assert is_without_answer(given_up, "abandoned")
    assert (late.status, amount(late), late.duration_us) == ("completed", PRICE, 1_000_000)
    assert (late.details["late"], late.details["corrects"]) == (True, given_up.entry_id)
    assert (late.source_id, late.entry_id) == (given_up.source_id, given_up.entry_id.replace("/1", "/late/1", 1))
    assert (given_up.standing, late.replaces) == ("unpriced", "unpriced")
    total = ledger.message("m1").total
    assert total.complete
    assert (total.actual.usd, total.coverage) == (
        PRICE,
        {"settled": 0, "calculated": 1, "pending": 0, "unpriced": 0},
    )


def test_a_call_that_is_still_under_way_when_its_chain_ends_joins_the_message(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(Reply(usage=PRICED.usage, delay_s=0.2))
    tasks = []

    async def begin_and_leave(text: str, config: RunnableConfig) -> str:
        tasks.append(asyncio.create_task(chat_model(server).ainvoke(text, config)))
        await asyncio.sleep(0)
        return text

    async def run() -> None:
        config: RunnableConfig = {"callbacks": [handler]}
        await (RunnableLambda(str) | RunnableLambda(begin_and_leave)).ainvoke("Hi", config)
        assert entries(ledger) == []
        await asyncio.gather(*tasks)

    asyncio.run(run())

    assert costs(ledger) == [PRICE]
    assert only(ledger).message_uuid not in {only(ledger).source_id, only(ledger).details["parent_run_id"]}


PROMPTS: list[list[BaseMessage]] = [[HumanMessage("Hi")]] * 3


def test_an_answer_that_a_failing_neighbour_made_langchain_forget_is_not_lost(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(PRICED, Reply(status=500), PRICED)
    with costtrace.message("m1"), pytest.raises(Exception, match="500"):
        chat_model(server).generate(PROMPTS, callbacks=[handler])
    assert only(ledger).status == "failed"

    handler.close()

    statuses = sorted(entry.status for entry in ledger.message("m1").entries)
    assert statuses == ["abandoned", "abandoned", "failed"]
    assert ledger.message("m1").total.unpriced == 2


def test_in_a_chain_it_is_given_up_without_being_told(
    server: OpenAIServer, ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock
) -> None:
    server.script(PRICED, Reply(status=500), PRICED)
    model = chat_model(server)

    def ask(_: str, config: RunnableConfig) -> None:
        model.generate(PROMPTS, callbacks=config.get("callbacks"))

    step: RunnableLambda[str, None] = RunnableLambda(ask)
    with pytest.raises(Exception, match="500"):
        step.invoke("Hi", {"callbacks": [timed]})

    clock.now += 120 * SECOND
    timed.sweep()

    assert sorted(entry.status for entry in entries(ledger)) == ["abandoned", "abandoned", "failed"]
    assert timed.open_runs == 0


# LangChain says so of the details that OpenAI's client fills in as None, when it adds up the usage of several prompts.
@pytest.mark.filterwarnings("ignore:Unexpected type for token usage:UserWarning")
def test_agenerate_reports_the_neighbours_of_a_failing_prompt_itself(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(PRICED, Reply(status=500), PRICED)
    with costtrace.message("m1"), pytest.raises(Exception, match="500"):
        asyncio.run(chat_model(server).agenerate(PROMPTS, callbacks=[handler]))

    assert sorted(entry.status for entry in entries(ledger)) == ["completed", "completed", "failed"]
    assert ledger.message("m1").total.actual.usd == 2 * PRICE


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")
def test_events_that_nobody_drains_are_closed_with_the_handler(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    stream = chat_model(server).stream_events("Hi", {"callbacks": [handler]}, version="v3")
    next(iter(stream.text))
    del stream

    handler.close()

    assert only(ledger).cost_status == "usage_missing"


def test_ten_thousand_cancelled_calls_leave_ten_thousand_entries_and_nothing_open(
    handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    for _ in range(10_000):
        root = begin_chain(handler)
        begin(handler, parent=root)
        handler.on_chain_error(asyncio.CancelledError(), run_id=root)
    assert threading.active_count() < 20

    for _ in range(10_000):
        assert ledger.arrival().status == "cancelled"


def test_a_stream_that_the_garbage_collector_ends_while_we_record_does_not_stop_us(
    ledger: AnnouncingLedger,
) -> None:
    """LangChain ends a stream that nobody holds any more wherever a collection strikes, on any thread."""

    def collecting_clock() -> int:
        gc.collect()
        return Clock()()

    handler = CostCallbackHandler(Recorder(ledger, clock=collecting_clock))

    class HalfRead:
        """In a cycle with itself, so that only a collection ends it."""

        def __init__(self) -> None:
            self.itself = self
            self.run_id = begin(handler)

        def __del__(self) -> None:
            handler.on_llm_error(GeneratorExit(), run_id=self.run_id)

    def work() -> None:
        root = begin_chain(handler)
        call = begin(handler, parent=root)
        HalfRead()
        handler.on_chain_end({}, run_id=root)
        handler.on_llm_end(NO_ANSWER, run_id=call)

    gc.disable()
    try:
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        worker.join(10)
    finally:
        gc.enable()

    assert not worker.is_alive()
    assert sorted(entry.status for entry in entries(ledger)) == ["cancelled", "completed"]
    handler.close()


def test_an_end_without_a_start_is_recorded_once_and_named_by_its_run(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: AnnouncingLedger
) -> None:
    server.script(PRICED)
    answer = LLMResult(generations=[[ChatGeneration(message=chat_model(server).invoke("Hi"))]])
    run_id = uuid.uuid4()
    for _ in range(2):
        handler.on_llm_end(answer, run_id=run_id)

    entry = only(ledger)
    assert (entry.message_uuid, entry.status, amount(entry)) == (str(run_id), "completed", PRICE)
    assert (entry.provider, entry.model, entry.requested_model) == ("openai", "gpt-4o-2024-08-06", None)


def test_a_step_that_loses_patience_closes_its_call_as_cancelled_while_the_chain_goes_on(
    ledger: AnnouncingLedger, timed: CostCallbackHandler, clock: Clock, server: OpenAIServer
) -> None:
    """The chain above the step catches the timeout, so its own end says nothing of a cancellation."""
    server.script(NEVER)
    impatient = chat_model(server) | RunnableLambda(lambda answer: answer)

    async def step(prompt: str, config: RunnableConfig) -> str:
        try:
            await asyncio.wait_for(impatient.ainvoke(prompt, config), 0.3)
        except TimeoutError:
            return "never mind"
        return "answered"

    answer = asyncio.run(RunnableLambda(step).ainvoke("Hi", {"callbacks": [timed]}))

    clock.now += 2 * SECOND
    timed.sweep()
    assert answer == "never mind"
    assert is_without_answer(only(ledger), "cancelled")


def test_a_recorder_that_nobody_holds_still_writes_down_its_open_call(ledger: AnnouncingLedger) -> None:
    handler = CostCallbackHandler(Recorder(ledger))
    handler.on_chat_model_start({}, [[]], run_id=uuid.uuid4(), metadata=GPT_4O)
    table = handler.recording.runs
    del handler
    gc.collect()

    table.give_up_all()
    assert is_without_answer(only(ledger), "abandoned")
