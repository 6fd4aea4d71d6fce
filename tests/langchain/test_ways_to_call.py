"""What LangChain offers to call a model with: chains, streams of events, retries, fallbacks, structured answers."""

import asyncio
from decimal import Decimal
from typing import Any, Literal

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableConfig, RunnableLambda
from openai import RateLimitError
from pydantic import BaseModel

import costtrace
from costtrace import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, PRICE, PRICED, Mode, amount, call, chat_model, costs, entries, only

V3_IS_NEW = pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_is_one_message_even_when_nobody_opened_one(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(PRICED, PRICED)
    model = chat_model(server)
    chain = (
        ChatPromptTemplate.from_messages([("user", "{question}")])
        | model
        | RunnableLambda(lambda answer: {"question": answer.text})
        | ChatPromptTemplate.from_messages([("user", "{question}")])
        | model
    )

    call(chain, mode, config, {"question": "Hi"})

    assert costs(ledger) == [PRICE, PRICE]
    (uuid,) = {entry.message_uuid for entry in entries(ledger)}
    assert ledger.message(uuid).total.actual.usd == 2 * PRICE
    assert all(entry.details["message_from"] == "run" for entry in entries(ledger))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_each_prompt_of_a_batch_is_a_call(
    concurrency: int, server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1"):
        chat_model(server).batch(["Hi"] * 5, {"callbacks": [handler], "max_concurrency": concurrency})
        asyncio.run(chat_model(server).abatch(["Hi"] * 5, {"callbacks": [handler], "max_concurrency": concurrency}))

    assert len(ledger.message("m1").entries) == len(server.calls) == 10


# LangChain says so of the details that OpenAI's client fills in as None, when it adds up the usage of several prompts.
@pytest.mark.filterwarnings("ignore:Unexpected type for token usage:UserWarning")
def test_each_prompt_of_generate_is_a_call(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    prompts: list[list[BaseMessage]] = [[HumanMessage("Hi")], [HumanMessage("Ho")]]
    chat_model(server).generate(prompts, callbacks=[handler])
    asyncio.run(chat_model(server).agenerate(prompts, callbacks=[handler]))

    assert [entry.status for entry in entries(ledger)] == ["completed"] * 4


def test_a_stream_of_events_is_one_call(server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger) -> None:
    server.script(PRICED)

    async def watch() -> None:
        async for _ in (RunnableLambda(str) | chat_model(server)).astream_events("Hi", config, version="v2"):
            pass

    asyncio.run(watch())

    assert amount(only(ledger)) == PRICE


@V3_IS_NEW
def test_a_stream_of_typed_events_is_one_call(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(PRICED, PRICED)

    async def watch() -> str:
        stream = await chat_model(server).astream_events("Hi", config, version="v3")
        return str(await stream.text)

    said = str(chat_model(server).stream_events("Hi", config, version="v3").text)

    assert said == asyncio.run(watch()) != ""
    assert costs(ledger) == [PRICE, PRICE]


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_a_fallback_costs_what_it_costs_and_the_refused_call_nothing(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(PRICED)
    model = chat_model(server, "gpt-4o-error-500").with_fallbacks([chat_model(server)])

    with costtrace.message("m1"):
        call(model, mode, config)

    failed, answered = ledger.message("m1").entries
    assert (failed.status, failed.requested_model, failed.cost_status) == ("failed", "gpt-4o-error-500", None)
    assert (answered.status, amount(answered)) == ("completed", PRICE)
    assert ledger.message("m1").total.complete


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_each_attempt_of_with_retry_is_an_entry(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=429), Reply(status=429), PRICED)
    model = chat_model(server).with_retry(
        retry_if_exception_type=(RateLimitError,), wait_exponential_jitter=False, stop_after_attempt=3
    )

    with costtrace.message("m1"):
        call(model, mode, config)

    assert [entry.status for entry in entries(ledger)] == ["failed", "failed", "completed"]
    total = ledger.message("m1").total
    assert (total.actual.usd, total.entries, total.unpriced) == (PRICE, 1, 0)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
def test_attempts_that_the_openai_client_makes_by_itself_are_one_entry(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=429), Reply(status=429), PRICED)

    call(chat_model(server, max_retries=2), mode, config)

    assert len(server.calls) == 3
    assert (only(ledger).status, amount(only(ledger))) == ("completed", PRICE)


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_several_choices_count_their_usage_once(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    call(chat_model(server, n=3), mode, config)

    entry, wire = only(ledger), server.calls[0].usage
    assert entry.usage is not None
    assert wire is not None
    assert (entry.usage.input_tokens, entry.usage.output_tokens) == (wire["prompt_tokens"], wire["completion_tokens"])
    assert (entry.model, entry.cost_status) == ("gpt-4o-2024-08-06", "exact")


class Weather(BaseModel):
    """The weather of a city."""

    city: str
    degrees: int


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("method", ["function_calling", "json_mode", "json_schema"])
def test_a_structured_answer_is_paid_once(
    method: Literal["function_calling", "json_mode", "json_schema"],
    mode: Mode,
    server: OpenAIServer,
    config: RunnableConfig,
    ledger: MemoryLedger,
) -> None:
    call(chat_model(server).with_structured_output(Weather, method=method, include_raw=True), mode, config)

    assert (only(ledger).status, only(ledger).cost_status) == ("completed", "exact")


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("method", ["json_mode", "json_schema"])
def test_an_answer_that_does_not_fit_its_schema_is_paid_all_the_same(
    method: Literal["json_mode", "json_schema"],
    mode: Mode,
    server: OpenAIServer,
    config: RunnableConfig,
    ledger: MemoryLedger,
) -> None:
    server.script(Reply(text='{"city": 1}', usage=PRICED.usage))

    with pytest.raises(Exception) as caught:  # noqa: PT011 - which error it is, is LangChain's affair
        call(chat_model(server).with_structured_output(Weather, method=method), mode, config)

    assert "Weather" in str(caught.value)
    assert amount(only(ledger)) == PRICE


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
def test_an_answer_that_broke_off_before_it_fitted_its_schema_is_paid(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(text='{"city": "Ber', finish_reason="length", usage=PRICED.usage))

    with pytest.raises(Exception, match="length limit"):
        call(chat_model(server).with_structured_output(Weather, method="json_schema"), mode, config)

    assert amount(only(ledger)) == PRICE


def test_the_responses_api_is_recorded_alike(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    reply = Reply(usage={"input_tokens": 1000, "output_tokens": 500})
    server.script(*[reply] * 4)
    model = chat_model(server, use_responses_api=True)

    for mode in ("invoke", "ainvoke", "stream", "astream"):
        call(model, mode, config)

    assert costs(ledger) == [PRICE] * 4
    assert {call.path for call in server.calls} == {"/v1/responses"}


def test_a_call_knows_how_long_it_took_and_when_it_began(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(delay_s=0.05))

    chat_model(server).invoke("Hi", config)

    entry = only(ledger)
    assert entry.duration_us is not None
    assert entry.duration_us >= 50_000
    assert (entry.recorded_at - entry.occurred_at).total_seconds() * 1e6 >= entry.duration_us


def test_a_handler_that_fails_beside_ours_costs_us_nothing(
    server: OpenAIServer, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    class Failing(BaseCallbackHandler):
        """Raises into the application where the answer is there already."""

        raise_error = True

        def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:  # noqa: ARG002 - LangChain's names
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
        chat_model(server).invoke("Hi", {"callbacks": [handler, Failing()]})

    assert only(ledger).status == "completed"


def test_the_price_is_that_of_the_table_to_the_last_digit(
    server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(usage={"prompt_tokens": 7, "completion_tokens": 3}))

    chat_model(server, "gpt-4o-mini").invoke("Hi", config)

    assert amount(only(ledger)) == Decimal("0.00000285")
