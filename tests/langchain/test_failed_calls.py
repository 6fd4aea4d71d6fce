"""Calls that fail: refused ones cost nothing, and where nobody knows whether they were billed, the entry says so."""

import socket
import uuid

import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, LLMResult
from langchain_core.runnables import RunnableConfig

import costtrace
from costtrace import CostCallbackHandler
from costtrace.sandbox.openai import OpenAIServer, Reply
from costtrace.testing import MemoryLedger
from tests.langchain.calls import MODES, Mode, call, chat_model, only

SECRET = "the-customer-said-this"  # noqa: S105 - stands for what a prompt may hold


@pytest.fixture
def config(handler: CostCallbackHandler) -> RunnableConfig:
    return {"callbacks": [handler], "metadata": {"message_uuid": "m1"}}


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
@pytest.mark.parametrize("mode", MODES)
def test_a_refused_call_is_recorded_and_cost_nothing(
    status: int, mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(status=status, text=SECRET))

    with pytest.raises(openai.APIStatusError):
        call(chat_model(server), mode, config)

    entry = only(ledger)
    assert (entry.status, entry.requested_model, entry.quote, entry.cost) == ("failed", "gpt-4o", None, None)
    assert (entry.error or "").endswith(f" {status}")
    assert SECRET not in repr(entry)
    total = ledger.message("m1").total
    assert (total.entries, total.unpriced, total.complete) == (0, 0, True)


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_reached_nobody_is_not_taken_for_free(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        with pytest.raises(openai.APIConnectionError):
            call(chat_model(server, base_url=url), mode, config)

    entry = only(ledger)
    assert (entry.status, entry.cost_status) == ("failed", "usage_missing")
    assert "Connection" in (entry.error or "")
    assert ledger.message("m1").total.unpriced == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_timed_out_may_have_been_billed(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(delay_s=5))

    with pytest.raises(openai.APITimeoutError):
        call(chat_model(server, timeout=0.1), mode, config)

    assert (only(ledger).status, only(ledger).cost_status) == ("failed", "usage_missing")


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_that_the_connection_lost_may_have_been_billed(
    mode: Mode, server: OpenAIServer, config: RunnableConfig, ledger: MemoryLedger
) -> None:
    server.script(Reply(error_after_chunks=2))

    with costtrace.message("m1"), pytest.raises(Exception) as caught:  # noqa: PT011 - httpx or openai names it
        call(chat_model(server), mode, config)

    entry = only(ledger)
    assert (entry.status, entry.cost_status, entry.cost) == ("failed", "usage_missing", None)
    assert entry.error == type(caught.value).__name__
    assert entry.model in {"gpt-4o", "gpt-4o-2024-08-06"}


def test_a_failed_answer_that_reports_no_tokens_is_not_believed_to_be_free(
    handler: CostCallbackHandler, ledger: MemoryLedger
) -> None:
    """An answer that did not fit its schema was paid for; zeros in place of its usage are no price of zero."""
    run_id = uuid.uuid4()
    body = {"model": "gpt-4o-2024-08-06", "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}
    message = AIMessage(content="", response_metadata={"status_code": 200, "body": body})
    handler.on_chat_model_start({}, [[]], run_id=run_id, metadata={"ls_provider": "openai", "ls_model_name": "gpt-4o"})
    handler.on_llm_error(
        ValueError(), run_id=run_id, response=LLMResult(generations=[[ChatGeneration(message=message)]])
    )

    assert (only(ledger).status, only(ledger).cost, only(ledger).cost_status) == ("failed", None, "partial")
