"""Whatever is broken on our side or strange on theirs, the application gets its answer and the call its entry."""

import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.runnables import RunnableLambda

import costtrace
from costtrace import Catalog, CostCallbackHandler, Entry, Recorder
from costtrace.errors import LedgerUnavailable, LedgerUnusable
from costtrace.pricing.route import Route
from costtrace.pricing.sheet import RateSheet
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, PRICE, PRICED, Mode, call, chat_model, costs, entries, only

LONG = "x" * 10_000


class BrokenLedger(MemoryLedger):
    """Refuses every entry for as long as it has a reason."""

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason: Exception | None = reason

    def spool(self, entry: Entry) -> None:
        if self.reason is not None:
            raise self.reason
        super().spool(entry)

    def flush(self) -> None:
        if self.reason is not None:
            raise self.reason


class BrokenPrices:
    """A price list that fails on every question."""

    name = "broken"

    def sheet(self, route: Route, at: datetime, beneath: Callable[[Route], RateSheet | None]) -> None:
        raise ZeroDivisionError(f"{route}, {at}, {beneath}")


@pytest.mark.parametrize(
    "reason",
    [
        LedgerUnavailable("the disk is full"),
        LedgerUnusable("the disk is read-only"),
        pytest.param(KeyError("a ledger of somebody's own"), marks=pytest.mark.expects_fault),
    ],
    ids=repr,
)
def test_entries_wait_in_memory_for_a_ledger_that_refuses_them(reason: Exception, server: OpenAIServer) -> None:
    ledger = BrokenLedger(reason)
    handler = CostCallbackHandler(Recorder(ledger))
    server.script(PRICED, PRICED, PRICED)

    for _ in range(2):
        assert chat_model(server).invoke("Hi", {"callbacks": [handler]}).text
    waiting = handler.recorder.flush()
    assert (waiting.recorded, waiting.buffered, waiting.lost) == (0, 2, 0)
    assert waiting.problem is not None

    ledger.reason = None
    handler.close()
    chat_model(server).invoke("Hi", {"callbacks": [handler]})

    assert costs(ledger) == [PRICE] * 3
    health = handler.recorder.health()
    assert (health.recorded, health.buffered, health.lost, health.problem) == (3, 0, 0, None)


def test_what_does_not_fit_in_memory_is_counted_and_the_ledger_is_told(server: OpenAIServer) -> None:
    ledger = BrokenLedger(LedgerUnavailable("the disk is full"))
    handler = CostCallbackHandler(Recorder(ledger, buffer=2))
    for _ in range(5):
        chat_model(server).invoke("Hi", {"callbacks": [handler]})
    assert handler.recorder.health().lost == 3

    ledger.reason = None
    handler.close()

    assert (len(entries(ledger)), ledger.health().lost) == (2, 3)


@pytest.mark.expects_fault
def test_one_entry_that_a_ledger_refuses_for_good_holds_up_no_other(server: OpenAIServer) -> None:
    class Picky(MemoryLedger):
        """Takes no entry of one message, until it does."""

        refuses = True

        def spool(self, entry: Entry) -> None:
            if self.refuses and entry.message_uuid == "unlucky":
                raise KeyError
            super().spool(entry)

    ledger = Picky()
    handler = CostCallbackHandler(Recorder(ledger))
    for uuid_ in ("unlucky", "m1", "m2"):
        with costtrace.message(uuid_):
            chat_model(server).invoke("Hi", {"callbacks": [handler]})
    handler.close()
    handler.close()

    assert {entry.message_uuid for entry in entries(ledger)} == {"m1", "m2"}
    assert handler.recorder.health().buffered == 1
    ledger.refuses = False
    handler.close()
    assert {entry.message_uuid for entry in entries(ledger)} == {"m1", "m2", "unlucky"}


@pytest.mark.expects_fault
@pytest.mark.parametrize("mode", MODES)
def test_a_catalog_that_fails_costs_us_the_price_and_not_the_usage(
    mode: Mode, server: OpenAIServer, ledger: MemoryLedger
) -> None:
    handler = CostCallbackHandler(Recorder(ledger, catalog=Catalog(BrokenPrices())))
    server.script(PRICED)

    assert call(chat_model(server), mode, {"callbacks": [handler]})

    entry = only(ledger)
    assert (entry.cost, entry.estimate, entry.cost_status) == (None, None, "unpriced")
    assert "catalog failed" in (entry.reason or "")
    assert entry.usage is not None
    assert entry.usage.input_tokens == 1000
    assert handler.recorder.health().faults == 1


ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("m1", "m1"),
        (ID, str(ID)),
        (42, "42"),
        (LONG, LONG[:512]),
        ("gr\ud800n", "gr?n"),
        ("grün", "grün"),
        ("", None),
        (None, None),
        (True, None),
        (4.2, None),
        (b"m1", None),
        (["m1"], None),
        ({"m1": 1}, None),
    ],
    ids=lambda value: repr(value)[:12],
)
def test_ids_of_every_kind_are_kept_as_text_or_left_out(
    given: object, kept: str | None, server: OpenAIServer, tmp_path: Path
) -> None:
    ledger = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    handler = CostCallbackHandler(Recorder(ledger))
    metadata = {"message_uuid": given, "user_id": given, "thread_id": given, "reply_to": given, "tags": given}

    chain = RunnableLambda(str) | chat_model(server)
    assert chain.invoke("Hi", {"callbacks": [handler], "metadata": metadata}).text

    entry = only(ledger)
    assert kept is None or entry.message_uuid == kept
    assert (entry.details.get("message_from") == "run") is (kept is None)
    assert (entry.context.user_id, entry.context.thread_id, entry.context.reply_to) == (kept, kept, kept)
    assert dict(entry.context.tags) == {}
    assert ledger.health().rejected == 0
    ledger.close()


NO_MESSAGE = ChatGeneration.model_construct(message=None)


@pytest.mark.parametrize(
    "result",
    [
        LLMResult(generations=[]),
        LLMResult(generations=[[]]),
        LLMResult(generations=[[Generation(text="Hello")]]),
        LLMResult(generations=[[ChatGeneration(message=HumanMessage("Hello"))]]),
        LLMResult(generations=[[Generation(text="Hello")]], llm_output={"token_usage": "none", "model_name": 42}),
        LLMResult.model_construct(generations=[[NO_MESSAGE]], llm_output=None),
        pytest.param(LLMResult.model_construct(generations=None, llm_output="?"), marks=pytest.mark.expects_fault),
        pytest.param(None, marks=pytest.mark.expects_fault),
    ],
)
def test_an_answer_of_any_shape_is_an_entry(result: Any, handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start({}, [[]], run_id=run_id, metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o"})
    handler.on_llm_end(result, run_id=run_id)

    entry = only(ledger)
    assert (entry.status, entry.requested_model, entry.cost_status) == ("completed", "gpt-4o", "usage_missing")


class StrangeError(Exception):
    """Nothing about it can be asked."""

    @property
    def status_code(self) -> int:
        raise ZeroDivisionError


@pytest.mark.expects_fault
def test_an_error_of_any_shape_is_an_entry(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    run_id = uuid.uuid4()
    handler.on_llm_start({}, [""], run_id=run_id)
    handler.on_llm_error(StrangeError(), run_id=run_id)

    assert (only(ledger).status, only(ledger).cost_status) == ("failed", "usage_missing")


@pytest.mark.expects_fault
def test_a_start_that_we_cannot_read_still_ends_in_an_entry(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    run_id, strange = uuid.uuid4(), object()
    handler.on_chat_model_start({}, [[]], run_id=run_id, metadata={}, invocation_params=strange)
    handler.on_llm_end(LLMResult(generations=[]), run_id=run_id)

    assert only(ledger).source_id == str(run_id)
