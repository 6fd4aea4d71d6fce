"""langchain-openrouter. Shapes: https://openrouter.ai/docs/use-cases/usage-accounting."""

from typing import Any

import pytest

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

openrouter = pytest.importorskip("langchain_openrouter")

COST = {"cost": 0.00492, "cost_details": {"upstream_inference_cost": None}}
USAGE = {
    "prompt_tokens": 2000,
    "completion_tokens": 150,
    "total_tokens": 2150,
    "prompt_tokens_details": {"cached_tokens": 1536, "cache_write_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 64},
    "is_byok": False,
    **COST,
}
HEAD = {
    "id": "gen-1",
    "created": 1795300000,
    "model": "openai/gpt-5.4",
    "provider": "OpenAI",
    "system_fingerprint": None,
}
BUCKETS = {"cache_read": 1536, "input": 464, "output": 150}


def model(stand_in: StandIn) -> Any:
    return openrouter.ChatOpenRouter(
        model="openai/gpt-5.4", api_key="test", base_url=f"{stand_in.url}/api/v1", max_retries=0
    )


def test_tokens_and_the_cost_that_was_charged_are_told(stand_in: StandIn, recorded: Recorded) -> None:
    message = {"role": "assistant", "content": "Hello.", "refusal": None, "reasoning": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "native_finish_reason": "stop"}
    stand_in.answers({**HEAD, "object": "chat.completion", "choices": [choice], "usage": USAGE})
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (64, ())
    assert (entry.provider, entry.model) == ("openrouter", "openai/gpt-5.4")
    reported = entry.details["price_context"]["provider_reported"]
    assert reported["cost"] == pytest.approx(0.00492)


def test_a_stream_tells_the_cost_as_well(stand_in: StandIn, recorded: Recorded) -> None:
    head = {**HEAD, "object": "chat.completion.chunk"}
    stand_in.streams(
        [
            {
                **head,
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}, "finish_reason": None}],
            },
            {**head, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": USAGE},
        ]
    )
    entry = recorded(model(stand_in), stream=True)
    assert usage_of(entry).buckets == BUCKETS
    assert entry.details["price_context"]["provider_reported"]["cost"] == pytest.approx(0.00492)
