"""langchain-xai. Shapes: https://docs.x.ai/developers/rest-api-reference and .../cost-tracking."""

from typing import Any

import pytest

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

xai = pytest.importorskip("langchain_xai")

USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 90,
    "total_tokens": 1610,
    "prompt_tokens_details": {"text_tokens": 1200, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 1000},
    "completion_tokens_details": {
        "reasoning_tokens": 320,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
    "num_sources_used": 0,
    "cost_in_usd_ticks": 37756000,
}
HEAD = {"id": "x-1", "created": 1795300000, "model": "grok-4.5", "system_fingerprint": "fp_1"}
BUCKETS = {"cache_read": 1000, "input": 200, "output": 410}


def answer(**usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Hello.", "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {**HEAD, "object": "chat.completion", "choices": [choice], "usage": {**USAGE, **usage}}


def model(stand_in: StandIn) -> Any:
    return xai.ChatXAI(model="grok-4.5", xai_api_key="test", xai_api_base=f"{stand_in.url}/v1", max_retries=0)


def test_reasoning_that_xai_counts_apart_is_part_of_the_output(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer())
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (320, ())
    assert (entry.provider, entry.model) == ("xai", "grok-4.5")


def test_the_ticks_that_were_charged_are_handed_on(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer())
    entry = recorded(model(stand_in))
    assert entry.details["price_context"] == {"provider_reported": {"cost_in_usd_ticks": 37756000}}


def test_tools_and_sources_are_counted_where_xai_counts_them(stand_in: StandIn, recorded: Recorded) -> None:
    tools = {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 1, "mcp_calls": 4}
    stand_in.answers(answer(num_sources_used=7, server_side_tool_usage_details=tools))
    usage = usage_of(recorded(model(stand_in)))
    assert usage.buckets == {
        **BUCKETS,
        "web_search": 2,
        "x_search": 1,
        "code_execution": 1,
        "search_sources": 7,
    }


def test_a_stream_loses_the_ticks_and_tells_the_same_tokens(stand_in: StandIn, recorded: Recorded) -> None:
    head = {**HEAD, "object": "chat.completion.chunk"}
    stand_in.streams(
        [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": USAGE},
        ]
    )
    entry = recorded(model(stand_in), stream=True)
    assert usage_of(entry).buckets == BUCKETS
    assert "price_context" not in entry.details
