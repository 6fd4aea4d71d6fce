"""langchain-aws, ChatBedrockConverse, through botocore.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from typing import Any

import pytest

from tests.integrations.providers.conftest import Recorded
from tests.integrations.providers.partition import usage_of
from tests.integrations.providers.stand_in import StandIn

pytestmark = [
    pytest.mark.usefixtures("leaves_connections"),
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

aws = pytest.importorskip("langchain_aws")

MODEL = "us.anthropic.claude-sonnet-4-6"
USAGE: dict[str, Any] = {
    "inputTokens": 40,
    "outputTokens": 210,
    "totalTokens": 7250,
    "cacheReadInputTokens": 5000,
    "cacheWriteInputTokens": 2000,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 1500}, {"ttl": "5m", "inputTokens": 500}],
}
BUCKETS = {"cache_read": 5000, "cache_write_1h": 1500, "cache_write_5m": 500, "input": 40, "output": 210}
THOUGHT = {"usage": {"output_tokens_details": {"thinking_tokens": 150}}}


def answer(**changes: Any) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello."}]}},
        "stopReason": "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 900},
        **changes,
    }


def model(stand_in: StandIn, **options: Any) -> Any:
    return aws.ChatBedrockConverse(
        model=MODEL,
        region_name="us-east-1",
        endpoint_url=stand_in.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - nobody's
        **options,
    )


def test_cached_tokens_beside_the_input_are_part_of_it_and_split_by_their_time_to_live(
    stand_in: StandIn, recorded: Recorded
) -> None:
    stand_in.answers(answer(additionalModelResponseFields=THOUGHT))
    entry = recorded(model(stand_in))
    usage = usage_of(entry)
    assert usage.buckets == BUCKETS
    assert (usage.reasoning_tokens, usage.flags) == (150, ())
    assert (entry.provider, entry.model) == ("amazon_bedrock", MODEL)
    assert entry.details["price_context"] == {"region": "us-east-1"}


def test_the_tier_that_served_is_told(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer(serviceTier={"type": "flex"}))
    entry = recorded(model(stand_in, service_tier="flex"))
    assert entry.details["service_tier"] == "flex"
    assert entry.details["price_context"] == {"region": "us-east-1"}


def test_a_tier_that_only_the_request_names_is_told_apart(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer())
    entry = recorded(model(stand_in, service_tier="priority"))
    assert entry.details["price_context"] == {"region": "us-east-1", "requested_service_tier": "priority"}


def test_a_profile_of_ones_own_is_priced_by_the_model_behind_it(stand_in: StandIn, recorded: Recorded) -> None:
    stand_in.answers(answer())
    profile = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    client = model(stand_in).model_copy(
        update={"model_id": profile, "base_model_id": "anthropic.claude-sonnet-4-6", "provider": "anthropic"}
    )
    assert recorded(client).model == "anthropic.claude-sonnet-4-6"


def test_a_stream_tells_the_same(stand_in: StandIn, recorded: Recorded) -> None:
    metadata = {"usage": USAGE, "metrics": {"latencyMs": 900}, "serviceTier": {"type": "default"}}
    stand_in.streams_frames(
        [
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello."}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", metadata),
        ]
    )
    entry = recorded(model(stand_in), stream=True)
    assert usage_of(entry).buckets == BUCKETS
    assert (entry.model, entry.details["service_tier"]) == (MODEL, "default")
