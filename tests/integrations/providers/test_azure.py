"""langchain-openai, AzureChatOpenAI: the client speaks of OpenAI, the call was Azure's."""

from typing import Any

from langchain_openai import AzureChatOpenAI
from pydantic import SecretStr

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1795300000,
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello.", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
            "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
        }
    ],
    "prompt_filter_results": [],
    "system_fingerprint": "fp_1",
    "usage": {
        "prompt_tokens": 1500,
        "completion_tokens": 40,
        "total_tokens": 1540,
        "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 1024},
        "completion_tokens_details": {"audio_tokens": 0, "reasoning_tokens": 0},
    },
}


def model(stand_in: StandIn, **options: Any) -> AzureChatOpenAI:
    return AzureChatOpenAI(
        azure_endpoint=stand_in.url,
        azure_deployment="support-bot",
        api_version="2024-10-21",
        api_key=SecretStr("test"),
        max_retries=0,
        **options,
    )


def test_the_provider_is_azure_and_the_model_the_one_behind_the_deployment(
    stand_in: StandIn, recorded: Recorded
) -> None:
    stand_in.answers(ANSWER)
    entry = recorded(model(stand_in))
    assert usage_of(entry).buckets == {"cache_read": 1024, "input": 476, "output": 40}
    assert (entry.provider, entry.model) == ("azure", "gpt-4o-2024-08-06")
    assert entry.details["price_context"] == {"azure_deployment": "support-bot"}


def test_a_stream_tells_the_same(stand_in: StandIn, recorded: Recorded) -> None:
    head = {key: ANSWER[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    stand_in.streams(
        [
            {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}}]},
            {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {**head, "choices": [], "usage": ANSWER["usage"]},
        ]
    )
    entry = recorded(model(stand_in, stream_usage=True), stream=True)
    assert usage_of(entry).buckets == {"cache_read": 1024, "input": 476, "output": 40}
    assert (entry.provider, entry.model) == ("azure", "gpt-4o-2024-08-06")
