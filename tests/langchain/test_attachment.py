"""However the handler is attached, and in however many ways at once, each API call is one entry of its message."""

import copy
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from langgraph.graph import MessagesState

import costtrace
from costtrace import CostCallbackHandler, Recorder
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, PRICE, PRICED, Mode, amount, call, chat_model, entries, graph_of, only

Attached = tuple[Runnable[Any, Any], RunnableConfig, AbstractContextManager[Any]]


def _by_config(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    return chat_model(server), {"callbacks": [handler]}, costtrace.message("m1")


def _by_constructor(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    return chat_model(server, callbacks=[handler]), {}, costtrace.message("m1")


def _by_binding(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    return chat_model(server).with_config(callbacks=[handler]), {}, costtrace.message("m1")


def _by_scope(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    return chat_model(server), {}, costtrace.message("m1", handler=handler)


def _by_installation(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    costtrace.install(handler.recorder)
    return chat_model(server), {}, costtrace.message("m1")


def _by_metadata(server: OpenAIServer, handler: CostCallbackHandler) -> Attached:
    return chat_model(server), {"callbacks": [handler], "metadata": {"message_uuid": "m1"}}, nullcontext()


WAYS = [_by_config, _by_constructor, _by_binding, _by_scope, _by_installation, _by_metadata]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attach", WAYS)
def test_each_way_records_each_call_once_under_its_message(
    attach: Callable[[OpenAIServer, CostCallbackHandler], Attached],
    mode: Mode,
    server: OpenAIServer,
    handler: CostCallbackHandler,
    ledger: MemoryLedger,
) -> None:
    server.script(PRICED)
    model, config, scope = attach(server, handler)

    with scope:
        call(model, mode, config)

    (entry,) = ledger.message("m1").entries
    assert len(entries(ledger)) == len(server.calls) == 1
    assert (entry.status, entry.provider, entry.model) == ("completed", "openai", "gpt-4o-2024-08-06")
    assert amount(entry) == PRICE


@pytest.mark.parametrize("mode", MODES)
def test_all_ways_at_once_record_each_call_once(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, recorder: Recorder, ledger: MemoryLedger
) -> None:
    second = CostCallbackHandler(recorder)
    costtrace.install(recorder)
    model = chat_model(server, callbacks=[handler, second]).with_config(callbacks=[second, handler])
    chain = RunnableLambda(lambda text: text) | model

    with costtrace.message(handler=second) as message:
        call(chain, mode, {"callbacks": [handler, handler, second], "metadata": message.metadata})

    assert only(ledger).message_uuid == message.uuid
    assert len(server.calls) == 1


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_graph_with_the_handler_bound_and_passed_records_each_call_once(
    mode: Mode, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)
    graph = graph_of(MessagesState, {"answer": lambda state: {"messages": [model.invoke(state["messages"])]}})
    bound = graph.with_config(callbacks=[handler])

    with costtrace.message("m1"):
        call(bound, mode, {"callbacks": [handler]}, {"messages": [("user", "Hi")]})

    assert only(ledger).message_uuid == "m1"


def test_a_run_id_that_is_used_twice_is_two_calls(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    run_id = uuid.uuid4()
    for _ in range(2):
        chat_model(server).invoke("Hi", {"callbacks": [handler, handler], "run_id": run_id})

    first, second = entries(ledger)
    assert first.source_id == second.source_id == str(run_id)
    assert first.entry_id != second.entry_id


def test_handlers_of_two_recorders_each_record_the_call(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    other = MemoryLedger()
    both = [handler, CostCallbackHandler(Recorder(other))]
    chat_model(server).invoke("Hi", {"callbacks": [*both]})

    assert only(ledger).source_id == only(other).source_id


def test_metadata_keeps_the_message_where_a_node_replaces_the_callbacks(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)
    step: Runnable[str, str] = RunnableLambda(lambda text: model.invoke(text, config={"callbacks": [handler]}).text)

    with costtrace.message(user_id="u1", channel="web") as message:
        metadata = message.metadata
    # The scope is closed, so only the metadata can say whose call this is.
    step.invoke("Hi", config={"metadata": metadata})

    entry = only(ledger)
    assert entry.message_uuid == message.uuid
    assert (entry.context.user_id, entry.context.channel) == ("u1", "web")
    assert "parent_run_id" not in entry.details


def test_an_open_message_reaches_the_model_where_a_node_silences_the_callbacks(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = chat_model(server)
    step: Runnable[str, str] = RunnableLambda(lambda text: model.invoke(text, config={"callbacks": []}).text)

    with costtrace.message("m1", handler=handler):
        step.invoke("Hi")

    assert only(ledger).message_uuid == "m1"


def test_the_handler_of_a_message_is_gone_after_it(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1", handler=handler):
        chat_model(server).invoke("Hi")
    chat_model(server).invoke("Hi")

    assert only(ledger).message_uuid == "m1"


def dependency(uuid_: str, handler: CostCallbackHandler) -> Iterator[None]:
    """What web frameworks build on: entered in one context and left in another."""
    with costtrace.message(uuid_, handler=handler):
        yield


def test_a_message_that_is_closed_in_a_copy_of_its_context_is_closed_there(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    def leave(opened: Iterator[None]) -> None:
        assert next(opened, "closed") == "closed"
        assert costtrace.current_message() is None
        chat_model(server).invoke("Hi")

    def enter() -> None:
        opened = dependency("m1", handler)
        next(opened)
        costtrace.carry(leave)(opened)

    costtrace.carry(enter)()

    assert entries(ledger) == []


def test_a_message_that_is_closed_where_another_is_open_leaves_that_one_open(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    """As when a garbage collection closes what one request left open while another is served."""
    opened = dependency("m1", handler)
    costtrace.carry(lambda: next(opened))()

    with costtrace.message("m2", handler=handler):
        assert next(opened, "closed") == "closed"
        chat_model(server).invoke("Hi")

    assert only(ledger).message_uuid == "m2"


def test_without_an_argument_the_environment_says_where_to_record(
    server: OpenAIServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COSTTRACE_LEDGER", f"sqlite:///{tmp_path}/costs.db")
    first, second = CostCallbackHandler(), CostCallbackHandler()
    assert first.recorder is second.recorder

    with costtrace.message(user_id="u1") as message:
        chat_model(server, callbacks=[first]).invoke("Hi", {"callbacks": [second]})

    reader = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    (entry,) = reader.message(message.uuid).entries
    assert entry.context.user_id == "u1"
    reader.close()
    first.recorder.close()


def test_a_handler_can_be_kept_in_sets_and_copied_and_is_never_falsy(handler: CostCallbackHandler) -> None:
    assert {handler, handler} == {handler}
    assert copy.copy(handler) is handler
    assert copy.deepcopy({"callbacks": [handler]}) == {"callbacks": [handler]}
    assert bool(handler)
    assert handler.raise_error is False
    assert handler.run_inline is True


def test_two_recorders_of_one_ledger_record_a_call_once(server: OpenAIServer, tmp_path: Path) -> None:
    """One from `install`, say, and one of a module's own, on the same file."""
    address = f"sqlite:///{tmp_path / 'costs.db'}"
    first, second = (CostCallbackHandler(Recorder(costtrace.open_ledger(address))) for _ in range(2))

    with costtrace.message("m1"):
        chat_model(server).invoke("Hi", {"callbacks": [first, second]})

    first.recorder.flush()
    second.recorder.flush()
    assert len(first.recorder.ledger.message("m1").entries) == 1
    first.recorder.close()
    second.recorder.close()
