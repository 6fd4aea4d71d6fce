"""From what the provider reports to what it costs: tiers, cached and reasoning tokens, missing and strange numbers."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig

import costtrace
from costtrace import CostCallbackHandler, Entry, Usage
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, PRICE, PRICED, Mode, amount, call, chat_model, entries, only

DETAILED = Reply(
    usage={
        "prompt_tokens": 1000,
        "completion_tokens": 500,
        "prompt_tokens_details": {"cached_tokens": 400},
        "completion_tokens_details": {"reasoning_tokens": 300},
    }
)
# gpt-5 on 22 November 2026: 1.25, 0.125 and 10.00 dollars a million, half of that for flex, double for priority.
STANDARD = Decimal("0.0058")


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


def usage_of(entry: Entry) -> Usage:
    assert entry.usage is not None
    return entry.usage


@pytest.mark.parametrize("mode", MODES)
def test_cached_tokens_are_a_part_of_the_input_and_reasoning_a_part_of_the_output(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(DETAILED)

    call(chat_model(server, "gpt-5"), mode, config)

    usage = usage_of(only(ledger))
    assert dict(usage.buckets) == {"cache_read": 400, "input": 600, "output": 500}
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens) == (1000, 500, 300)
    assert amount(only(ledger)) == STANDARD


CHAT = ("prompt", "completion")
RESPONSES = ("input", "output")


@pytest.mark.parametrize(("tier", "factor"), [("flex", Decimal("0.5")), ("priority", Decimal(2))])
@pytest.mark.parametrize("names", [CHAT, RESPONSES], ids=["chat", "responses"])
@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_tier_that_renames_the_details_is_priced_from_the_totals(
    *,
    mode: Mode,
    names: tuple[str, str],
    tier: str,
    factor: Decimal,
    server: OpenAIServer,
    config: RunnableConfig,
    ledger: MemoryLedger,
) -> None:
    into, out = names
    usage: dict[str, Any] = {
        f"{into}_tokens": 1000,
        f"{out}_tokens": 500,
        f"{into}_tokens_details": {"cached_tokens": 400},
        f"{out}_tokens_details": {"reasoning_tokens": 300},
    }
    server.script(Reply(usage=usage))

    call(chat_model(server, "gpt-5", service_tier=tier, use_responses_api=names == RESPONSES), mode, config)

    entry = only(ledger)
    reported = usage_of(entry).raw["usage_metadata"]["input_token_details"]
    assert f"{tier}_cache_read" in reported
    assert dict(usage_of(entry).buckets) == {"cache_read": 400, "input": 600, "output": 500}
    assert usage_of(entry).reasoning_tokens == 300
    assert amount(entry) == factor * STANDARD


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_the_tier_that_served_the_call_is_billed_and_not_the_one_asked_for(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage=DETAILED.usage, service_tier="default"))

    call(chat_model(server, "gpt-5", service_tier="flex"), mode, config)

    assert amount(only(ledger)) == STANDARD


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_the_model_that_served_the_call_is_billed_and_not_the_one_asked_for(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage=PRICED.usage, model="gpt-4o-mini-2024-07-18"))

    call(chat_model(server, "gpt-4o"), mode, config)

    entry = only(ledger)
    assert (entry.model, entry.requested_model) == ("gpt-4o-mini-2024-07-18", "gpt-4o")
    assert amount(entry) == Decimal("0.00045")


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_stream_without_usage_is_unpriced_and_says_why(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    # What `base_url` does to ChatOpenAI by itself: the usage of a stream is not asked for.
    with costtrace.message("m1"):
        call(chat_model(server, stream_usage=None), mode, config)

    entry = only(ledger)
    assert (entry.status, entry.cost_status, entry.usage) == ("completed", "usage_missing", None)
    assert (entry.cost, entry.estimate, entry.reason) == (None, None, "no usage was reported for this call")
    total = ledger.message("m1").total
    assert (total.unpriced, total.complete, dict(total.actual)) == (1, False, {})


def test_a_model_without_a_price_keeps_its_usage_and_is_never_zero(
    server: OpenAIServer, config: RunnableConfig, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED)

    chat_model(server, "our-own-model").invoke("Hi", config)

    entry = only(ledger)
    assert (entry.cost, entry.estimate, entry.cost_status) == (None, None, "unpriced")
    assert "our-own-model" in (entry.reason or "")
    assert usage_of(entry).input_tokens == 1000
    assert handler.recorder.health().unpriced == {"openai/our-own-model": 1}


def test_an_answer_without_any_tokens_is_not_believed(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage={"prompt_tokens": 0, "completion_tokens": 0}))

    chat_model(server).invoke("Hi", config)

    entry = only(ledger)
    assert (entry.cost, entry.estimate, entry.cost_status) == (None, None, "partial")


class Spoiling(BaseCallbackHandler):
    """Changes the usage before we see it, to numbers that no client lets through."""

    def __init__(self, changes: dict[str, Any]) -> None:
        self.changes = changes

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's names
        generation: Any = response.generations[0][0]
        generation.message.usage_metadata.update(self.changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"input_tokens": -1},
        {"input_tokens": True},
        {"input_tokens": 1.5},
        {"input_tokens": float("nan")},
        {"input_tokens": None},
        {"input_tokens": "1000"},
        {"output_tokens": 10**30},
        {"input_token_details": {"cache_read": -400}},
        {"output_token_details": {"reasoning": 1.5}},
        {"input_token_details": ["cache_read"]},
        {"input_token_details": 400},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_kept_and_not_priced(
    changes: dict[str, Any], server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    said = chat_model(server).invoke("Hi", {"callbacks": [Spoiling(changes), handler]})

    entry = only(ledger)
    assert said.text
    assert (entry.status, entry.cost, entry.cost_status) == ("completed", None, "invalid_usage")
    assert "expected" in (entry.reason or "")
    assert usage_of(entry).raw


def test_a_detail_nobody_knows_is_kept_and_subtracted_from_nothing(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    chat_model(server).invoke("Hi", {"callbacks": [Spoiling({"input_token_details": {"quantum": 400}}), handler]})

    assert usage_of(only(ledger)).raw["usage_metadata"]["input_token_details"] == {"quantum": 400}
    assert amount(only(ledger)) == PRICE


def test_details_beyond_their_total_make_an_estimate_and_no_cost(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    chat_model(server).invoke("Hi", {"callbacks": [Spoiling({"input_token_details": {"cache_read": 4000}}), handler]})

    entry = only(ledger)
    assert (entry.cost, entry.cost_status) == (None, "estimated")
    assert usage_of(entry).flags == ("inconsistent_details",)
    assert usage_of(entry).input_tokens == 1000


def test_a_text_that_no_store_can_hold_does_not_poison_the_ledger(server: OpenAIServer, tmp_path: Any) -> None:
    ledger = costtrace.open_ledger(f"sqlite:///{tmp_path}/costs.db")
    handler = CostCallbackHandler(costtrace.Recorder(ledger))
    for changes in ({"note": "\ud800"}, {"note": {1: {2}}}, {"note": "x" * 100_000}, {"note": float("inf")}):
        chat_model(server).invoke("Hi", {"callbacks": [Spoiling(changes), handler]})

    found = entries(ledger)
    assert [entry.cost_status for entry in found] == ["exact"] * 4
    assert all(usage_of(entry).raw for entry in found)
    assert ledger.health().rejected == 0
    ledger.close()


def test_a_message_that_carries_no_usage_and_no_model_is_recorded(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Hello"), "Hello"]))
    model.invoke("Hi", {"callbacks": [handler]})
    model.invoke("Hi", {"callbacks": [handler]})

    assert [(entry.status, entry.cost_status) for entry in entries(ledger)] == [("completed", "usage_missing")] * 2


def test_a_tier_that_only_the_request_names_is_an_assumption(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    """A request for priority may be served, and billed, as default; an answer that is silent proves neither."""
    run_id = uuid.uuid4()
    message = AIMessage(
        content="",
        usage_metadata={"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500},
        response_metadata={"model_name": "gpt-4o-2024-08-06"},
    )
    handler.on_chat_model_start(
        {},
        [[]],
        run_id=run_id,
        metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o"},
        invocation_params={"service_tier": "priority"},
    )
    handler.on_llm_end(LLMResult(generations=[[ChatGeneration(message=message)]]), run_id=run_id)

    entry = only(ledger)
    assert entry.quote is not None
    assert (entry.quote.status, entry.quote.assumptions) == ("estimated", ("service_tier=priority, as requested",))
    assert entry.cost is None
    assert entry.estimate == costtrace.Money("0.01275")  # 4.25 x 1000 + 17 x 500 dollars a million
