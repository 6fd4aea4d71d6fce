"""Text completion models: another callback, usage in other places, and none of it on the message."""

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_openai import OpenAI
from pydantic import SecretStr

import costtrace
from costtrace import CostCallbackHandler
from costtrace.sandbox.loopback import LoopbackServer, Request, Response
from costtrace.testing import MemoryLedger
from tests.langchain.calls import Mode, amount, call, entries, only

# gpt-3.5-turbo-instruct: 1.50 and 2.00 dollars a million.
PRICE = Decimal("0.0025")


async def completions(request: Request) -> Response:
    """1000 tokens in and 500 out for each prompt."""
    asked = json.loads(request.body)
    if asked["prompt"] == ["refuse"]:
        return Response(
            status=429, body=b'{"error": {"message": "Later."}}', headers={"content-type": "application/json"}
        )
    prompts = asked["prompt"] if isinstance(asked["prompt"], list) else [asked["prompt"]]
    choices = [{"index": i, "text": "Fine.", "finish_reason": "stop", "logprobs": None} for i in range(len(prompts))]
    usage = {name: count * len(prompts) for name, count in (("prompt_tokens", 1000), ("completion_tokens", 500))}
    answer = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "gpt-3.5-turbo-instruct:20230824-v2",
        "choices": choices,
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }
    return Response(status=200, body=json.dumps(answer).encode(), headers={"content-type": "application/json"})


@pytest.fixture
def model() -> Iterator[OpenAI]:
    server = LoopbackServer(completions, name="completions stand-in")
    server.start()
    settings: dict[str, Any] = {"model": "gpt-3.5-turbo-instruct", "base_url": f"{server.address}/v1", "max_retries": 0}
    yield OpenAI(api_key=SecretStr("sk-local"), default_headers={"connection": "close"}, **settings)
    server.stop()


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler]}


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "batch", "abatch"])
def test_a_completion_is_recorded_and_priced(
    mode: Mode, model: OpenAI, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with costtrace.message("m1"):
        call(model, mode, config)

    (entry,) = ledger.message("m1").entries
    assert (entry.provider, entry.requested_model) == ("openai", "gpt-3.5-turbo-instruct")
    assert entry.usage is not None
    assert (entry.usage.input_tokens, entry.usage.output_tokens) == (1000, 500)
    assert amount(entry) == PRICE


def test_a_batch_of_prompts_is_paid_once_and_its_usage_stands_on_one_entry(
    model: OpenAI, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    callbacks: list[BaseCallbackHandler] = [handler]
    with costtrace.message("m1"):
        model.generate(["one", "two", "three"], callbacks=callbacks)
        asyncio.run(model.agenerate(["one", "two", "three"], callbacks=callbacks))

    assert [amount(entry) for entry in entries(ledger)] == [3 * PRICE, None, None] * 2
    total = ledger.message("m1").total
    assert total.actual.usd == 6 * PRICE
    assert total.complete, "the others of a batch are paid with its first"
    assert entries(ledger)[1].details["usage"] == "on the first of its batch"


class NotInline(AsyncCallbackHandler):
    """The kind of handler that LangChain passes over beside one like ours."""


def test_an_async_completion_is_recorded_beside_a_handler_that_is_not_inline(
    model: OpenAI, handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    call(model, "ainvoke", {"callbacks": [NotInline(), handler]})

    assert (only(ledger).status, amount(only(ledger))) == ("completed", PRICE)


def test_a_completion_that_fails_is_recorded(model: OpenAI, config: RunnableConfig, ledger: MemoryLedger) -> None:
    with pytest.raises(openai.RateLimitError):
        model.invoke("refuse", config)

    assert (only(ledger).status, only(ledger).error, only(ledger).quote) == ("failed", "RateLimitError 429", None)
