"""langchain-openai, chat completions. Shapes: https://platform.openai.com/docs/api-reference/chat/object."""

from typing import Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0, "cache_write_tokens": 512},
    "completion_tokens_details": {
        "reasoning_tokens": 192,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def answer(usage: dict[str, Any] | None = None, *, tier: str | None = "default", choices: int = 1) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": []}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1795300000,
        "model": "gpt-5.6-terra-2026-07-09",
        "choices": [
            {"index": number, "message": message, "logprobs": None, "finish_reason": "stop"}
            for number in range(choices)
        ],
        "usage": usage or USAGE,
        "service_tier": tier,
        "system_fingerprint": "fp_1",
    }


def chunks(*, tier: str | None = "default") -> list[dict[str, Any]]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795300000, "service_tier": tier}
    head["model"] = "gpt-5.6-terra-2026-07-09"
    return [
        {**head, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {"content": "Hello."}, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {**head, "choices": [], "usage": USAGE},
    ]


def model(stand_in: StandIn, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-5.6-terra", api_key=SecretStr("sk-test"), base_url=f"{stand_in.url}/v1", max_retries=0, **options
    )


BUCKETS = {"cache_read": 1024, "cache_write": 512, "input": 470, "output": 300}


def test_cached_and_written_input_are_apart_and_reasoning_is_inside_the_output(
    stand_in: StandIn, recorded: Recorded
) -> None:
    stand_in.answers(answer())
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (192, ())
    assert (entry.provider, entry.model) == ("openai", "gpt-5.6-terra-2026-07-09")
    assert usage.raw["token_usage"]["prompt_tokens"] == 2006


@pytest.mark.parametrize("tier", ["default", "flex", "priority", "scale", None])
@pytest.mark.parametrize("stream", [False, True])
def test_the_buckets_are_the_same_at_every_tier_that_renames_the_details(
    stand_in: StandIn,
    recorded: Recorded,
    tier: str | None,
    stream: bool,  # noqa: FBT001 - pytest passes by name
) -> None:
    if stream:
        stand_in.streams(chunks(tier=tier))
    else:
        stand_in.answers(answer(tier=tier))
    entry = recorded(model(stand_in, stream_usage=True), stream=stream)
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert usage.reasoning_tokens == 192
    assert entry.details.get("service_tier") == tier


def test_the_tier_that_was_asked_for_is_told_apart_from_the_one_served(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer(tier=None))
    asked = recorded(model(stand_in, service_tier="flex"))
    assert asked.details["price_context"] == {"requested_service_tier": "flex"}
    stand_in.answers(answer(tier="default"))
    served = recorded(model(stand_in, service_tier="priority"))
    assert served.details["service_tier"] == "default"
    assert "price_context" not in served.details


def test_audio_has_buckets_of_its_own(stand_in: StandIn, recorded: Recorded) -> None:
    spoken = {
        "prompt_tokens": 500,
        "completion_tokens": 80,
        "total_tokens": 580,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 410},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 60},
    }
    stand_in.answers(answer(spoken))
    usage = usage_of(recorded(model(stand_in)))
    assert usage.buckets == {"input_audio": 410, "input": 90, "output_audio": 60, "output": 20}


def test_several_answers_to_one_call_are_counted_once(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer(choices=3))
    entry = recorded(model(stand_in, n=3))
    assert usage_of(entry).buckets == BUCKETS
    assert entry.model == "gpt-5.6-terra-2026-07-09"


def test_a_stream_without_usage_has_none(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.streams(chunks()[:-1])
    assert recorded(model(stand_in), stream=True).usage is None


def test_a_cost_that_a_reseller_reports_is_handed_on(stand_in: StandIn, recorded: Recorded) -> None:
    """OpenRouter behind the OpenAI client: https://openrouter.ai/docs/use-cases/usage-accounting."""
    cost = {"cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
    stand_in.answers(answer({**USAGE, **cost}))
    entry = recorded(model(stand_in))
    assert entry.details["price_context"] == {"provider_reported": cost}


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://user:secret@openrouter.ai/api/v1?key=secret", "https://openrouter.ai/api/v1"),
        ("https://eu.api.openai.com/v1", "https://eu.api.openai.com/v1"),
        ("http://localhost:4000", None),
        ("http://[::1]:4000", None),
    ],
)
def test_an_address_is_kept_without_its_secrets_unless_it_is_this_machine(address: str, kept: str | None) -> None:
    from costtrace.langchain.requests import request_context  # noqa: PLC0415 - no server answers at these addresses

    client = ChatOpenAI(model="gpt-4o", api_key=SecretStr("sk-test"), base_url=address)
    assert request_context("openai", client._serialized["kwargs"], {}) == ({} if kept is None else {"base_url": kept})
