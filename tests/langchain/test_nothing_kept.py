"""Prompts and answers are nowhere to be found, and runs leave no memory behind."""

import gc
import tracemalloc
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda

import costtrace
from costtrace import Catalog, CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import Mode, call, chat_model, entries

PROMPT = "Xylophone-prompt"
ANSWER = "Quetzal-answer"
GPT_4O = {"ls_provider": "openai", "ls_model_name": "gpt-4o", "ls_model_type": "chat", "thread_id": "t1"}


def texts_below(*roots: object) -> Iterator[str]:
    """Every text that can be reached from these objects, as a garbage collector sees it."""
    seen: set[int] = set()
    waiting = list(roots)
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, (ModuleType, type, FunctionType, BuiltinFunctionType, Catalog)):
            continue
        seen.add(id(found))
        if isinstance(found, str):
            yield found
        waiting.extend(gc.get_referents(found))


def holds(text: str, *roots: object) -> bool:
    return any(text in found for found in texts_below(*roots))


def stored_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_neither_prompt_nor_answer_reaches_the_disk_or_stays_in_memory(
    mode: Mode, server: OpenAIServer, tmp_path: Path
) -> None:
    ledger = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    handler = CostCallbackHandler(Recorder(ledger))
    server.script(*[Reply(text=ANSWER)] * 2, Reply(status=400, text=PROMPT), Reply(text=ANSWER, error_after_chunks=2))
    config: RunnableConfig = {"callbacks": [handler], "metadata": {"user_id": "u-kept", "note": PROMPT}}

    with costtrace.message("m1"):
        call(chat_model(server), mode, config, PROMPT)
        call(create_agent(chat_model(server)), mode, config, {"messages": [HumanMessage(PROMPT)]})
        for _ in range(2):
            with pytest.raises(Exception, match=r".+"):
                call(RunnableLambda(str) | chat_model(server), mode, config, PROMPT)

    spooled = stored_bytes(tmp_path)
    assert len(entries(ledger)) == 4
    for stored in (spooled, stored_bytes(tmp_path)):
        assert b"u-kept" in stored
        assert PROMPT.encode() not in stored
        assert ANSWER.encode() not in stored
    assert not holds(PROMPT, handler, handler.recording.runs)
    assert not holds(ANSWER, handler, handler.recording.runs)
    ledger.close()


def test_a_call_that_is_under_way_keeps_neither(server: OpenAIServer, handler: CostCallbackHandler) -> None:
    server.script(Reply(text=ANSWER))
    config: RunnableConfig = {"callbacks": [handler], "metadata": {"user_id": "u-kept"}}
    stream = (RunnableLambda(str) | chat_model(server)).stream(PROMPT, config)
    next(stream)

    assert handler.open_runs == 2
    assert holds("u-kept", handler)
    assert not holds(PROMPT, handler)
    assert not holds(ANSWER, handler)
    list(stream)


class SpillingError(Exception):
    """An error that quotes the prompt, as many do."""


def test_the_text_of_an_error_is_not_kept(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id, metadata=GPT_4O)
    handler.on_llm_error(SpillingError(PROMPT), run_id=run_id)

    assert entries(ledger)[0].error == "SpillingError"
    assert not holds(PROMPT, handler, entries(ledger))


def begin(handler: CostCallbackHandler) -> list[uuid.UUID]:
    """A call below a chain, as LangChain reports it: with ids and metadata of its own."""
    chain, call = uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start({}, {}, run_id=chain, metadata={"thread_id": "t1"})
    handler.on_chat_model_start({}, [[]], run_id=call, parent_run_id=chain, metadata=dict(GPT_4O))
    return [chain, call]


def end(handler: CostCallbackHandler, chain: uuid.UUID, call: uuid.UUID) -> None:
    handler.on_llm_error(ConnectionError(), run_id=call, parent_run_id=chain)
    handler.on_chain_error(ConnectionError(), run_id=chain)


class Nowhere(MemoryLedger):
    """Keeps nothing, so that only what the handler keeps is measured."""

    def spool(self, entry: costtrace.Entry) -> None:
        pass


@pytest.fixture
def measured() -> Iterator[CostCallbackHandler]:
    handler = CostCallbackHandler(Recorder(Nowhere()))
    tracemalloc.start()
    for _ in range(1500):  # fills what is remembered of runs that have ended
        end(handler, *begin(handler))
    yield handler
    tracemalloc.stop()
    handler.close()


def traced_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_a_call_under_way_costs_at_most_500_bytes(measured: CostCallbackHandler) -> None:
    before = traced_bytes()
    for _ in range(10_000):
        measured.on_chat_model_start({}, [[]], run_id=uuid.uuid4(), metadata=dict(GPT_4O))

    assert (traced_bytes() - before) / 10_000 <= 500


def test_runs_that_have_ended_leave_nothing(measured: CostCallbackHandler) -> None:
    before = traced_bytes()
    for _ in range(5_000):
        end(measured, *begin(measured))

    assert traced_bytes() - before < 50_000


def test_a_handler_and_its_recorder_can_be_collected(ledger: MemoryLedger, server: OpenAIServer) -> None:
    class Watched(Recorder):
        """One that can be counted."""

    def use_one() -> None:
        chat_model(server).invoke("Hi", {"callbacks": [CostCallbackHandler(Watched(ledger))]})

    for _ in range(3):
        use_one()
    gc.collect()

    assert not [found for found in gc.get_objects() if isinstance(found, Watched)]


def test_the_sweep_of_texts_finds_what_is_there() -> None:
    thing: Any = {"deep": [({"deeper": f"a {PROMPT}"},)]}
    assert holds(PROMPT, thing)
