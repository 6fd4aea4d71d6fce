"""langchain-deepseek. Shapes: https://api-docs.deepseek.com/api/create-chat-completion."""

from typing import Any

import pytest

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

deepseek = pytest.importorskip("langchain_deepseek")

USAGE = {
    "prompt_tokens": 3000,
    "completion_tokens": 700,
    "total_tokens": 3700,
    "prompt_cache_hit_tokens": 2560,
    "prompt_cache_miss_tokens": 440,
    "completion_tokens_details": {"reasoning_tokens": 512},
}
HEAD = {"id": "d-1", "created": 1795300000, "model": "deepseek-v4-flash", "system_fingerprint": "fp_1"}
BUCKETS = {"cache_read": 2560, "input": 440, "output": 700}


def model(stand_in: StandIn) -> Any:
    return deepseek.ChatDeepSeek(model="deepseek-v4-flash", api_key="test", api_base=stand_in.url, max_retries=0)


def test_a_cache_hit_is_read_and_a_miss_is_plain_input(stand_in: StandIn, recorded: Recorded) -> None:
    message = {"role": "assistant", "content": "Hello.", "reasoning_content": "Greet."}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    stand_in.answers({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (512, ())
    assert (entry.provider, entry.model) == ("deepseek", "deepseek-v4-flash")


def test_a_stream_tells_the_same(stand_in: StandIn, recorded: Recorded) -> None:
    head = {**HEAD, "object": "chat.completion.chunk"}
    last = {"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}
    stand_in.streams(
        [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}}]},
            {**head, "choices": [last], "usage": USAGE},
        ]
    )
    usage = usage_of(recorded(model(stand_in), stream=True))
    assert usage.buckets == BUCKETS
    assert usage.reasoning_tokens == 512
