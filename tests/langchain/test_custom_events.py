"""``dispatch_custom_event("costtrace.cost", {...})``: what a tool cost, told from inside its run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import (
    BaseCallbackHandler,
    adispatch_custom_event,
    dispatch_custom_event,
)
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

import costtrace
from costtrace import CostCallbackHandler, Entry, Money, Recorder
from costtrace.langchain import custom_events
from costtrace.sandbox.openai import OpenAIServer
from costtrace.testing import MemoryLedger
from tests.conftest import FAULT

SEARCH = {"name": "tavily-search", "cost": "0.008"}


def entries_of(ledger: MemoryLedger) -> list[Entry]:
    return [entry for _, entry in ledger.entries()]


def dispatching(*events: Mapping[str, Any] | object, name: str = "costtrace.cost") -> RunnableLambda[str, str]:
    def work(question: str) -> str:
        for data in events:
            dispatch_custom_event(name, data)
        return question

    return RunnableLambda(work)


def test_the_cost_of_a_tool_lands_on_the_message_of_its_run(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    @tool
    def search(query: str) -> str:
        """Search the web."""
        dispatch_custom_event("costtrace.cost", {**SEARCH, "source_id": "req-1", "details": {"depth": "basic"}})
        return query

    with costtrace.message(user_id="u1") as msg:
        search.invoke({"query": "secret question"}, config={"callbacks": [handler]})

    [entry] = [each for each in ledger.message(msg.uuid).entries if each.kind != "tool-run"]
    assert (entry.entry_id, entry.kind, entry.model) == ("tool/req-1", "tool", "tavily-search")
    assert entry.cost == Money("0.008")
    assert entry.context.user_id == "u1"
    assert dict(entry.details) == {"depth": "basic"}
    assert "secret" not in repr(entry)


def test_the_message_is_that_of_the_metadata_where_it_names_one(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    dispatching(SEARCH).invoke(
        "q", config={"callbacks": [handler], "metadata": {"message_uuid": "m7", "user_id": "u7"}}
    )

    [entry] = entries_of(ledger)
    assert (entry.message_uuid, entry.context.user_id) == ("m7", "u7")


def test_without_a_message_it_lands_where_the_calls_of_the_run_do(
    handler: CostCallbackHandler, ledger: MemoryLedger, server: OpenAIServer
) -> None:
    model = ChatOpenAI(model="gpt-4o", base_url=server.base_url, api_key="sk-local")  # type: ignore[arg-type]  # pydantic makes a SecretStr of it

    (dispatching(SEARCH) | model).invoke("question", config={"callbacks": [handler]})

    searched, asked = entries_of(ledger)
    assert (searched.kind, asked.kind) == ("tool", "llm")
    assert searched.message_uuid == asked.message_uuid
    assert searched.details["message_from"] == "run"


def test_everything_that_record_cost_takes_can_be_said(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    dispatching(
        {
            "name": "scraper",
            "kind": "scrape",
            "estimate": "0.05",
            "currency": "EUR",
            "provider": "acme",
            "usage": {"page": 3},
            "message_uuid": "m-named",
            "source_id": "s-1",
            "occurred_at": "2026-03-01T08:00:00Z",
            "details": {"region": "eu"},
        }
    ).invoke("q", config={"callbacks": [handler]})

    [entry] = entries_of(ledger)
    assert (entry.entry_id, entry.message_uuid, entry.provider) == ("scrape/s-1", "m-named", "acme")
    assert entry.estimate == Money("0.05", "EUR")
    assert entry.usage is not None
    assert dict(entry.usage.buckets) == {"page": 3}
    assert entry.occurred_at.isoformat() == "2026-03-01T08:00:00+00:00"


def test_money_itself_may_be_said(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    dispatching({"name": "x", "cost": Money("0.1", "GBP"), "message_uuid": "m1"}).invoke(
        "q", config={"callbacks": [handler]}
    )

    assert entries_of(ledger)[0].cost == Money("0.1", "GBP")


async def test_asynchronous_events_land_on_their_own_messages(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    async def work(number: int) -> int:
        await asyncio.sleep(0)
        await adispatch_custom_event("costtrace.cost", {**SEARCH, "source_id": f"s{number}"})
        return number

    async def ask(number: int) -> None:
        with costtrace.message(f"m{number}", handler=handler):
            await RunnableLambda(work).ainvoke(number)

    await asyncio.gather(*(ask(number) for number in range(10)))

    assert sorted((entry.message_uuid, entry.source_id) for entry in entries_of(ledger)) == [
        (f"m{number}", f"s{number}") for number in range(10)
    ]


def test_two_handlers_of_one_ledger_record_it_once(
    recorder: Recorder, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    other = CostCallbackHandler(Recorder(ledger))
    costtrace.install(recorder)

    with costtrace.message("m1", handler=CostCallbackHandler(recorder)):
        dispatching(SEARCH).invoke("q", config={"callbacks": [handler, other, handler]})

    assert len(entries_of(ledger)) == 1


async def test_two_handlers_record_an_asynchronous_event_once(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    async def work(question: str) -> str:
        await adispatch_custom_event("costtrace.cost", SEARCH)
        return question

    with costtrace.message("m1"):
        await RunnableLambda(work).ainvoke("q", config={"callbacks": [handler, CostCallbackHandler(Recorder(ledger))]})

    assert len(entries_of(ledger)) == 1


def test_handlers_of_two_ledgers_each_record_it(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    second = MemoryLedger()

    with costtrace.message("m1"):
        dispatching(SEARCH).invoke("q", config={"callbacks": [handler, CostCallbackHandler(Recorder(second))]})

    assert (len(entries_of(ledger)), len(entries_of(second))) == (1, 1)


def test_the_same_data_dispatched_again_is_another_cost(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    """An application may keep one constant for what each search costs."""
    with costtrace.message("m1"):
        dispatching(SEARCH, SEARCH, SEARCH).invoke(
            "q", config={"callbacks": [handler, CostCallbackHandler(Recorder(ledger))]}
        )

    assert ledger.message("m1").total.actual.usd == 3 * Decimal("0.008")


def test_a_handler_that_was_uninstalled_neither_records_nor_hides_it(
    recorder: Recorder, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    costtrace.install(recorder)
    costtrace.uninstall()

    with costtrace.message("m1"):
        dispatching(SEARCH).invoke("q", config={"callbacks": [_Watching()]})
        assert entries_of(ledger) == []
        dispatching(SEARCH).invoke("q", config={"callbacks": [handler]})

    assert len(entries_of(ledger)) == 1


class _Watching(BaseCallbackHandler):
    """Another library's handler, which takes part in every run."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:  # noqa: ARG002 - LangChain's name
        self.events.append(name)


def test_other_events_are_left_alone(handler: CostCallbackHandler, ledger: MemoryLedger) -> None:
    watching = _Watching()

    dispatching({"anything": object()}, name="progress").invoke("q", config={"callbacks": [handler, watching]})

    assert entries_of(ledger) == []
    assert watching.events == ["progress"]


def test_what_is_remembered_of_events_is_bounded(handler: CostCallbackHandler) -> None:
    with costtrace.message("m1"):
        dispatching(*[{**SEARCH} for _ in range(600)]).invoke("q", config={"callbacks": [handler]})

    assert len(custom_events._seen) <= 256


WRONG: dict[str, tuple[object, str]] = {
    "no object": ("0.008", "costtrace.cost: expected an object with a name"),
    "nothing": (None, "costtrace.cost: expected an object with a name"),
    "no name": ({"cost": "0.008"}, "costtrace.cost.name: expected what was bought"),
    "an unknown key": ({**SEARCH, "price": "1"}, "costtrace.cost.price: expected only the keys cost, currency"),
    "a float": (
        {**SEARCH, "cost": 0.008},
        "costtrace.cost.cost: expected an amount written as text, got <class 'float'>",
    ),
    "no amount": ({**SEARCH, "cost": "cheap"}, "costtrace.cost.cost: expected an amount written as text"),
    "no currency": ({**SEARCH, "currency": "dollar"}, "currency: expected a three-letter ISO 4217 code"),
    "no cost": ({"name": "x"}, "cost: expected a cost, an estimate or a usage"),
    "a moment without zone": (
        {**SEARCH, "occurred_at": "2026-01-01T00:00:00"},
        "costtrace.cost.occurred_at: expected a datetime with a time zone",
    ),
    "details that are none": ({**SEARCH, "message_uuid": "m", "details": "x"}, "details: expected a mapping"),
    "a usage that is none": ({"name": "x", "usage": "3 pages"}, "usage: expected counts by bucket"),
    "a key that is no text": ({3: 4, "cost": "1"}, "costtrace.cost.3: expected only the keys"),
    "an unhashable message": ({**SEARCH, "message_uuid": ["m"]}, "message_uuid: expected a text"),
}


@pytest.mark.expects_fault
@pytest.mark.parametrize(("data", "problem"), WRONG.values(), ids=WRONG)
def test_wrong_data_costs_one_line_of_log_and_never_the_run(
    data: object, problem: str, handler: CostCallbackHandler, ledger: MemoryLedger, caplog: pytest.LogCaptureFixture
) -> None:
    with costtrace.message("m1"):
        answer = dispatching(data, data).invoke("q", config={"callbacks": [handler]})

    assert answer == "q"
    assert entries_of(ledger) == []
    assert handler.recorder.health().faults == 2
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.message == f"{FAULT} while handling on_custom_event; the application is not affected"
    assert problem in caplog.text


@pytest.mark.expects_fault
def test_what_is_logged_of_wrong_data_holds_none_of_its_values(
    handler: CostCallbackHandler, caplog: pytest.LogCaptureFixture
) -> None:
    with costtrace.message("m1"):
        dispatching(
            {"name": "search for a secret " * 100, "cost": "0.1"},
        ).invoke("q", config={"callbacks": [handler]})

    assert "expected a text of 1 to 512 characters" in caplog.text
    assert "secret" not in caplog.text
